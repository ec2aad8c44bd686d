"""In which dtype, and where, does a module compute whose weights lie elsewhere?

Half precision on disk is computed in float32, and what lies in the machine's memory or on disk on a GPU: while a module
runs, its weights are replaced by full ones, and afterwards they are its own again, whatever happened. No more than one
module is in memory in full; what is computed is what a model computes that was converted as a whole, bit for bit.

Of embeddings only the rows that are looked up are made full.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from aftertune.models.mapped.memory import mark_mapped

COMPUTES, AT, OWN, PADDING = "computes_in", "computes_at", "own_weights", "padding_idx"
LOOKED_UP = ("input", "input_ids")


def compute_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Let every module of a model compute in ``dtype``, whatever its weights are in, unless it was told already."""
    for module in model.modules():
        if any(True for _ in module.parameters(recurse=False)) and not hasattr(module, COMPUTES):
            compute_at(module, dtype)


def compute_at(module: nn.Module, dtype: torch.dtype, device: torch.device | None = None) -> None:
    """Let a module compute in ``dtype`` on a device (None: where its weights lie); the first that is told counts."""
    if hasattr(module, COMPUTES):
        return
    setattr(module, COMPUTES, dtype)
    setattr(module, AT, device)
    module.register_forward_pre_hook(_bring, prepend=True, with_kwargs=True)
    module.register_forward_hook(_put_back, always_call=True)


def computed_in(model: nn.Module) -> torch.dtype | None:
    """The dtype that `compute_in` was told; None for a model that computes in its weights' own."""
    return next((getattr(one, COMPUTES) for one in model.modules() if hasattr(one, COMPUTES)), None)


def dtype_of_model(model: Any) -> torch.dtype:
    """The dtype in which a model computes."""
    found: torch.dtype = computed_in(model) or model.dtype
    return found


def dtype_of(module: nn.Module, weight: Tensor) -> torch.dtype:
    """The dtype in which a module takes its ``weight``."""
    found: torch.dtype = getattr(module, COMPUTES, weight.dtype)
    return found if weight.is_floating_point() else weight.dtype


def in_full(module: nn.Module, weight: Tensor) -> Tensor:
    """A weight as its module takes it; the same tensor where nothing is to be converted."""
    return weight.detach().to(dtype_of(module, weight))


def make_full(modules: Iterable[nn.Module]) -> None:
    """Give modules their weights in full, in memory, for good."""
    for module in modules:
        for weight in module.parameters(recurse=False):
            if weight.dtype != dtype_of(module, weight):
                mark_mapped(weight, False).data = in_full(module, weight)


def _bring(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    device: torch.device | None = getattr(module, AT)
    own = {name: weight for name, weight in module._parameters.items() if weight is not None}
    other = {name: weight for name, weight in own.items() if not _is_there(module, weight)}
    vars(module).setdefault(OWN, []).append((other, getattr(module, PADDING, None)))
    if device is not None:
        given, named = send_to_device((given, named), device)
    if not other:
        return given, named
    full: dict[str, Tensor] = {}
    if _looks_up(module) and given and given[0].numel() < len(own["weight"]):
        rows, places = torch.unique(given[0], return_inverse=True)
        full["weight"], given = own["weight"].detach()[rows.to(own["weight"].device)], (places, *given[1:])
        setattr(module, PADDING, None)  # it counts for gradients only, and may not be among these rows
    for name, weight in other.items():
        full[name] = in_full(module, full.get(name, weight)).to(device or weight.device)
    module._parameters.update(full)  # type: ignore[arg-type]
    return given, named


def _is_there(module: nn.Module, weight: Tensor) -> bool:
    """Whether a weight can be computed with as it is."""
    device: torch.device | None = getattr(module, AT)
    return weight.dtype == dtype_of(module, weight) and device in (None, weight.device)


def _put_back(module: nn.Module, _given: Any, _gave: Any) -> None:
    kept = vars(module)[OWN]
    if not kept:
        return
    own, padding = kept.pop()
    module._parameters.update(own)
    if hasattr(module, PADDING):
        setattr(module, PADDING, padding)


def _looks_up(module: nn.Module) -> bool:
    """Whether a module does nothing with ids but look up their rows; some compute positions from them first."""
    if not isinstance(module, nn.Embedding) or module.max_norm is not None:
        return False
    return list(inspect.signature(type(module).forward).parameters)[1:] in ([name] for name in LOOKED_UP)
