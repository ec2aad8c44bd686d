"""What does each layer of a model do with a few tokens?  Noted from outside; none of the model's code is changed.

1. Attention goes through transformers' table of attention functions. Ours notes queries, keys and how scores are made,
   and reads at each position that position's own value, so that it needs no mask.
2. Hooks note what each layer, and each module in it, was given and what it gave.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from aftertune.models.temporary_state import borrowed

RECORDED = "aftertune-recorded"


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module of a layer, at ``place`` in it: its first tensor, and the first that it gave."""

    place: str
    module: nn.Module
    given: Tensor | None
    gave: Tensor | None


@dataclass(frozen=True, eq=False)
class Attended:
    """One call of attention: queries, keys (B, heads, T, d_head) after rotary position; read (B, T, heads, d_head)."""

    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    read: Tensor
    scaling: float | None
    softcap: float | None
    window: int | None


@dataclass(eq=False)
class LayerRecord:
    """One layer: its input and output (B, T, d_model), how it was called, and what was called in it, in order.

    A module's call stands where it ended, so after those of the modules in it.
    """

    module: nn.Module
    given: Tensor
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    gave: Tensor | None = None
    calls: list[Call | Attended] = field(default_factory=list)

    @property
    def attended(self) -> list[Attended]:
        """The calls of attention."""
        return [call for call in self.calls if isinstance(call, Attended)]

    def last(self, module: Any) -> Call | None:
        """The last call of a module."""
        found = [call for call in self.calls if isinstance(call, Call) and call.module is module]
        return found[-1] if found else None

    @property
    def rotary(self) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines (B or 1, T, d) of rotary positions that the layer was given; None if it was given none."""
        given = self.named.get("position_embeddings")
        return given if isinstance(given, tuple) and len(given) == 2 else None


_OPEN: list[list[Call | Attended]] = []  # where the calls of the layer that runs now are noted


@contextmanager
def recording(model: PreTrainedModel, layers: nn.ModuleList, *, leaves: bool = False) -> Iterator[list[LayerRecord]]:
    """Inside, every call of one of ``layers`` adds a record to the list.

    With ``leaves``, inputs of layers and what attention reads are cut out of the graph before them, as leaves of it.
    """
    records: list[LayerRecord] = []
    handles = [handle for layer in layers for handle in _hooks(layer, records, leaves)]
    _LEAVES.append(leaves)
    try:
        with borrowed(model, attention=RECORDED, experts="eager"):
            yield records
    finally:
        _LEAVES.pop()
        _OPEN.clear()
        for handle in handles:
            handle.remove()


_LEAVES: list[bool] = []


def first_tensor(given: Any) -> Tensor | None:
    """The first tensor of what a module was given or gave."""
    if isinstance(given, Tensor):
        return given
    values = given.values() if isinstance(given, dict) else given if isinstance(given, tuple | list) else ()
    return next((value for value in values if isinstance(value, Tensor)), None)


def leaf(tensor: Tensor) -> Tensor:
    """The same values, as a leaf of a graph of their own."""
    return tensor.detach().requires_grad_()


def _hooks(layer: nn.Module, records: list[LayerRecord], leaves: bool) -> Iterator[Any]:
    yield layer.register_forward_pre_hook(partial(_enter, records=records, leaves=leaves), with_kwargs=True)
    for place, module in layer.named_modules():
        if place:
            yield module.register_forward_hook(partial(_note, place=place), with_kwargs=True)
    yield layer.register_forward_hook(partial(_leave, records=records))


def _enter(module: nn.Module, args: Any, named: Any, *, records: list[LayerRecord], leaves: bool) -> Any:
    states = args[0] if args else named["hidden_states"]
    states = leaf(states) if leaves else states
    args, named = ((states, *args[1:]), named) if args else (args, {**named, "hidden_states": states})
    records.append(LayerRecord(module, states, args, dict(named)))
    _OPEN.append(records[-1].calls)
    return args, named


def _leave(_module: nn.Module, _args: Any, gave: Any, *, records: list[LayerRecord]) -> None:
    records[-1].gave = first_tensor(gave)
    _OPEN.pop()


def _note(module: nn.Module, args: Any, named: Any, gave: Any, *, place: str) -> None:
    if _OPEN:
        given = first_tensor(args)
        _OPEN[-1].append(Call(place, module, first_tensor(named) if given is None else given, first_tensor(gave)))


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Any = None,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    read = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1).transpose(1, 2).contiguous()
    read = leaf(read) if _LEAVES and _LEAVES[-1] else read
    if _OPEN:
        _OPEN[-1].append(Attended(module, query, key, value, read, scaling, softcap, sliding_window))
    return read, None


AttentionInterface.register(RECORDED, _attend)
AttentionMaskInterface.register(RECORDED, lambda *_, **__: None)
