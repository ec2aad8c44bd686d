"""What does a norm compute?  Found out on the module itself, whatever its class is called.

A norm divides x, or x less its mean, by the root of the mean square, and scales by its weight, by 1 more than that
(Gemma), or not at all. It is applied to a few random inputs; the one of these that it agrees with is what it computes.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aftertune.errors import CheckpointError

LARGE, SMALL = 100.0, 1e-8  # inputs beside which a norm's epsilon does not count, and which do not count beside it
EPSILONS = ("variance_epsilon", "eps", "epsilon", "norm_eps")
TOLERANCE, TOLERANCE_OF_HALF = 1e-4, 3e-2


@dataclass(frozen=True)
class NormKind:
    """What a norm adds to its weight before it scales, whether it takes away the mean, what it adds to the square."""

    offset: float
    centred: bool
    epsilon: float


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm: its gain (d,), or (heads, d_head) where each head has its own, and what it is besides."""

    gain: Tensor
    kind: NormKind


def norm_of(module: Any, width: int, kind: NormKind | None = None) -> Norm:
    """What a norm of vectors of ``width`` numbers computes; its gain is in float32, or float64 if its weight is.

    Its kind is found out if it is not given. Raises `CheckpointError` if it is neither a root mean square norm nor a
    LayerNorm.
    """
    kind = kind or kind_of(module, width)
    weight: Tensor | None = getattr(module, "weight", None)
    gain = torch.ones(width, device="cpu") if weight is None else precise(weight)
    return Norm(gain + kind.offset if kind.offset and weight is not None else gain, kind)


def kind_of(module: Any, width: int) -> NormKind:
    """The kind of a norm; raises `CheckpointError` if it is neither a root mean square norm nor a LayerNorm."""
    weight: Tensor | None = getattr(module, "weight", None)
    bias: Tensor | None = getattr(module, "bias", None)
    like = torch.ones(width, device="cpu") if weight is None else weight.detach()
    inputs = _inputs(like)
    with torch.no_grad():
        found = precise(module((LARGE * inputs).to(like.dtype))) - (0 if bias is None else precise(bias))
    fits = [
        (_misfit(found, _divided((LARGE * inputs).to(like.dtype), centred) * (precise(like) + offset)), offset, centred)
        for offset in ((0.0, 1.0) if weight is not None else (0.0,))
        for centred in (False, True)
    ]
    misfit, offset, centred = min(fits)
    if not misfit < (TOLERANCE if like.dtype in (torch.float32, torch.float64) else TOLERANCE_OF_HALF):
        raise CheckpointError(
            f"The norm {type(module).__name__} is neither a root mean square norm nor a LayerNorm, so what it does to "
            "its input can't be folded into weights. Give a checkpoint of another architecture."
        )
    return NormKind(offset, centred, _epsilon(module, inputs, precise(like) + offset, centred))


def is_centred(empty: Any, width: int) -> bool:
    """Whether a norm of a model without weights takes away the mean first; raises as `kind_of` does."""
    module = deepcopy(empty).to_empty(device="cpu").float()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            weight.copy_(
                torch.zeros_like(weight)
                if name == "bias"
                else torch.rand(weight.shape, generator=generator, device="cpu")
            )
    return kind_of(module, width).centred


def precise(weight: Tensor) -> Tensor:
    """A weight in float32, or float64 if it is in float64."""
    return weight.detach() if weight.dtype == torch.float64 else weight.detach().float()


def _inputs(like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(2, 1, *like.shape, generator=generator, device="cpu") + 0.5).to(
        like.device, precise(like).dtype
    )


def _divided(x: Tensor, centred: bool) -> Tensor:
    x = precise(x)
    x = x - x.mean(-1, keepdim=True) if centred else x
    return x * x.square().mean(-1, keepdim=True).rsqrt()


def _misfit(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _epsilon(module: Any, inputs: Tensor, gain: Tensor, centred: bool) -> float:
    """What is added to the mean square: told by the module, else from what it makes of inputs that are very small."""
    named = next((getattr(module, name) for name in EPSILONS if getattr(module, name, None) is not None), None)
    if named is not None:
        return float(named)
    x = SMALL * inputs
    with torch.no_grad():
        scaled = precise(module(x))
    moved = (x - x.mean(-1, keepdim=True) if centred else x) * gain
    return float((moved.square().sum() / scaled.square().sum()).clamp(min=0))
