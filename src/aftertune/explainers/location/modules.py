"""Which weights belong to which module, the same for every architecture.

1. A weight of the input or output embeddings, or of anything else outside the layers that is no norm (positions of
   GPT-2), is the embeddings' or the output head's. Where both embeddings are one tensor, it counts once, as embeddings.
2. A weight whose owner is a norm (by the name of its type) belongs to the norms.
3. Of what is left in a layer, the attention's weights are attention, all others (experts, routers) feed-forward.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from aftertune.errors import CheckpointError
from aftertune.explainers.location.result import ATTENTION, EMBEDDINGS, FEED_FORWARD, HEAD, NORMS, Module
from aftertune.models.loaded import Checkpoint

Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Slot:
    """A place in a model that holds a weight: the module that owns it, and the weight's name there."""

    owner: nn.Module
    leaf: str

    @property
    def weight(self) -> Tensor:
        """The weight that it holds now."""
        found = self.owner._parameters[self.leaf]
        assert found is not None
        return found


@dataclass(frozen=True, eq=False)
class Place:
    """A weight of base and tuned: its ``name``, the ``module`` that it belongs to, the ``slots`` that hold it.

    Where input and output embeddings are one tensor in both models, it has two slots, and ``tied_to`` is the second's
    name.
    """

    name: str
    module: Module
    base: tuple[Slot, ...]
    tuned: tuple[Slot, ...]
    tied_to: str | None = None

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """Base's and tuned's weight, of embeddings the rows that both have."""
        base, tuned = self.base[0].weight, self.tuned[0].weight
        n_rows = min(len(base), len(tuned)) if base.ndim else 0
        return (base[:n_rows], tuned[:n_rows]) if base.ndim else (base, tuned)

    @property
    def is_equal(self) -> bool:
        """Whether both models hold the same numbers there."""
        base, tuned = self.base[0].weight, self.tuned[0].weight
        return base.shape == tuned.shape and bool((base == tuned.to(base.device)).all())


def places(base: Checkpoint, tuned: Checkpoint) -> list[Place]:
    """All weights of two models; raises `CheckpointError` if they have not the same weights of the same shapes.

    Of embeddings the number of rows may differ: tuning adds tokens.
    """
    own, other = _slots(base), _slots(tuned)
    if own.keys() != other.keys():
        raise CheckpointError(_unlike(f"the weight {sorted(own.keys() ^ other.keys())[0]} is in one of them only"))
    outside, tied = _embedding_names(base, own), _twins(base, own) & _twins(tuned, other)
    found = []
    for name in own:
        if name in tied:
            continue
        module = module_of(base, name, own[name].owner, outside)
        _must_be_alike(name, module, own[name].weight, other[name].weight)
        names = [name, *(tied if name == outside[0] else ())]
        held = [tuple(slots[one] for one in names) for slots in (own, other)]
        found.append(Place(name, module, held[0], held[1], next(iter(names[1:]), None)))
    return found


def module_of(checkpoint: Checkpoint, name: str, owner: nn.Module, embeddings: tuple[str, str]) -> Module:
    """The module of a weight; ``embeddings`` are the names of the input and the output embeddings' weights."""
    described = checkpoint.description
    if "norm" in type(owner).__name__.lower():
        return Module(None, NORMS)
    start = f"{described.backbone}.{described.layers}."
    if name.startswith(start):
        number, _, rest = name.removeprefix(start).partition(".")
        return Module(int(number), ATTENTION if rest.startswith(f"{described.attention}.") else FEED_FORWARD)
    is_head = name.rpartition(".")[0] == embeddings[1].rpartition(".")[0]
    return Module(None, HEAD if is_head else EMBEDDINGS)


def _slots(checkpoint: Checkpoint) -> dict[str, Slot]:
    """Every place that holds a weight, one that is held twice under both names."""
    return {
        f"{path}.{leaf}" if path else leaf: Slot(owner, leaf)
        for path, owner in checkpoint.model.named_modules()
        for leaf, weight in owner._parameters.items()
        if weight is not None
    }


def _embedding_names(checkpoint: Checkpoint, slots: dict[str, Slot]) -> tuple[str, str]:
    """The names of the input and the output embeddings' weights."""
    model: Any = checkpoint.model
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    first, last = (next(n for n, slot in slots.items() if slot.owner is end and slot.leaf == "weight") for end in ends)
    return first, last


def _twins(checkpoint: Checkpoint, slots: dict[str, Slot]) -> set[str]:
    """The name of the output embeddings if they are the input embeddings."""
    first, last = _embedding_names(checkpoint, slots)
    return {last} if slots[first].weight is slots[last].weight else set()


def _must_be_alike(name: str, module: Module, base: Tensor, tuned: Tensor) -> None:
    may_grow = module.kind in (EMBEDDINGS, HEAD)
    if (base.shape[1:] if may_grow else base.shape) != (tuned.shape[1:] if may_grow else tuned.shape):
        raise CheckpointError(_unlike(f"{name} is {tuple(base.shape)} in one and {tuple(tuned.shape)} in the other"))


def _unlike(reason: str) -> str:
    return (
        f"The checkpoints can't be compared weight by weight: {reason}. Give a model and its tune, or leave location "
        "out (skip)."
    )
