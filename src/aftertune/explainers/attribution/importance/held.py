"""What the locally linear network holds constant, in any model that can be read, for `torch.func`.

The detached Jacobian (arXiv 2505.24293): every factor that depends on the input, but for one, is a constant.
1. Norms: what they divide by. x / rms(x) becomes x times a number; what centring takes away stays linear in x.
2. Attention: its patterns (`HELD`, in `fused`), and what gates are made of the queries' projection (Qwen3.5).
3. Networks: act(gate(x)) where there is a gate, and act(h) / h where there is none, so that act(h) is h times a number.
4. Mixtures of experts: which experts a position goes to, with what weights, and the gate of a shared expert.

Forward hooks put a constant, or a constant times the module's input, in the place of what a module gave. Values stay
the model's own, to the bit; only tangents differ. With biases the network is affine: shares of tokens and of biases
add up to the logit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from aftertune.errors import AttributionError
from aftertune.models.description import Description, at, found_at
from aftertune.models.norms import kind_of
from aftertune.models.temporary_state import borrowed

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

HELD = "aftertune-held"  # attention whose patterns are constants, by the name that transformers finds it by
Hook = Callable[[nn.Module, Any, Any], Any]
Held = tuple[nn.Module, Hook]


@contextmanager
def holding(checkpoint: Checkpoint) -> Iterator[None]:
    """A context in which the model's tangents are those of its locally linear network; `must_be_holdable` first."""
    with ExitStack() as stack:
        for module, hook in _held(checkpoint):
            stack.callback(module.register_forward_hook(hook).remove)
        stack.enter_context(borrowed(checkpoint.model, attention=HELD))
        yield


def must_be_holdable(checkpoint: Checkpoint) -> None:
    """Raise `AttributionError` where layers mix positions without attention, or apply no module to their gates."""
    described = checkpoint.description
    others = [layer for layer in _layers(checkpoint) if found_at(layer, described.attention) is None]
    if others or described.activation is None:
        raise no_locally_linear(checkpoint.provenance.name)


def no_locally_linear(name: str) -> AttributionError:
    """That a model has no locally linear network."""
    return AttributionError(
        f"Method 'locally-linear' holds attention patterns and gates constant. {name} has layers that mix positions in "
        "another way, and what to hold there is not defined. Take method removal."
    )


def _held(checkpoint: Checkpoint) -> Iterator[Held]:
    described = checkpoint.description
    yield _norm(at(at(checkpoint.model, described.backbone), described.final_norm), checkpoint)
    for layer in _layers(checkpoint):
        for place in (described.norm, described.attended_norm, described.network_norm, described.written_norm):
            if found_at(layer, place) is not None:
                yield _norm(at(layer, place or ""), checkpoint)
        if described.fused not in ("blocks", "heads"):
            attention = at(layer, described.attention)
            yield from ((at(attention, place), _constant) for place in described.projections)
        yield from _network(layer, described)


def _layers(checkpoint: Checkpoint) -> Any:
    return at(at(checkpoint.model, checkpoint.description.backbone), checkpoint.description.layers)


def _network(layer: Any, described: Description) -> Iterator[Held]:
    experts = found_at(layer, described.experts)
    if experts is None:
        yield _gate(layer, described, described.gates, described.down, described.activation or "")
        return
    yield experts.act_fn, _constant  # gate and up are one tensor
    shared, parent = found_at(layer, described.shared), at(layer, (described.experts or "").rpartition(".")[0])
    yield from ((child, _constant) for child in parent.children() if child not in (experts, shared))
    if shared is not None:
        gates, (down, act) = described.gates, (described.down, described.activation or "")
        inside = [place.rpartition(".")[2] for place in (*gates, down, act)]
        yield _gate(shared, described, tuple(inside[: len(gates)]), *inside[len(gates) :])


def _gate(owner: Any, described: Description, gates: tuple[str, ...], down: str, act: str) -> Held:
    if len(gates) == 2:
        return at(owner, gates[0]), _constant
    opened, written = at(owner, gates[0]).weight.shape, at(owner, down).weight.shape
    is_gated = opened[1 if described.transposed else 0] != written[0 if described.transposed else 1]
    return at(owner, act), _constant if is_gated else _proportional


def _norm(module: nn.Module, checkpoint: Checkpoint) -> Held:
    kind = kind_of(module, checkpoint.model.config.hidden_size)
    return module, partial(_normalised, offset=kind.offset, centred=kind.centred, epsilon=kind.epsilon)


def _constant(_module: nn.Module, _given: Any, gave: Any) -> Any:
    """What a module gave, without tangents."""
    if isinstance(gave, tuple):
        return tuple(_constant(_module, _given, part) for part in gave)
    return gave.detach() if isinstance(gave, Tensor) else gave


def _proportional(_module: nn.Module, given: Any, gave: Tensor) -> Tensor:
    """What an activation gave, as its input times a constant; where that input is 0 nothing depends on it."""
    x, value = given[0], gave.detach()
    slope = (value / x.detach()).masked_fill(x.detach() == 0, 0)
    found: Tensor = value + slope * _change(x)
    return found


def _normalised(module: nn.Module, given: Any, gave: Tensor, *, offset: float, centred: bool, epsilon: float) -> Tensor:
    """What a norm gave, as its input, centred or not, times a constant, and its bias."""
    gain, bias = (getattr(module, name, None) for name in ("weight", "bias"))
    x, change = given[0].detach(), _change(given[0])
    if centred:
        x, change = (part - part.mean(-1, keepdim=True) for part in (x, change))
    scale = (x.double().square().mean(-1, keepdim=True) + epsilon).rsqrt().to(x.dtype)
    scaled = scale * change if gain is None else scale * (gain + offset) * change
    found: Tensor = gave.detach() + scaled.to(gave.dtype)
    return found if bias is None else found + _change(bias)


def _change(x: Tensor) -> Tensor:
    """0, with the tangent of x."""
    return x - x.detach()
