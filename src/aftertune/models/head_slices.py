"""Which slices of which weights are those of single attention heads?

1. A query head has rows of the query projection (with its gate, where it has one), and columns of the projection that
   writes what was read.
2. A key head has rows of the key and value projections. Where query heads share one (grouped-query attention), its rows
   belong to the whole group.
3. Biases of queries, keys and values go with their rows. What all heads share (norms of queries and keys, the bias of
   what is written) is no head's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aftertune.errors import CheckpointError
from aftertune.models.description import AttentionShape, Description, at
from aftertune.models.loaded import Checkpoint
from aftertune.models.mapped.computing import in_full
from aftertune.models.weights import attending, attention_shape, block_of


@dataclass(frozen=True, eq=False)
class WeightSlice:
    """The places ``index`` (n,) along dimension ``dim`` of the weight that ``owner`` holds as ``leaf``."""

    owner: nn.Module
    leaf: str
    dim: int
    index: Tensor

    @property
    def weight(self) -> Tensor:
        """The whole weight."""
        found: Tensor = getattr(self.owner, self.leaf)
        return found.detach()

    @property
    def full(self) -> Tensor:
        """The whole weight as its module takes it."""
        return in_full(self.owner, self.weight)

    @property
    def values(self) -> Tensor:
        """A copy of the slice, as its module takes it."""
        return in_full(self.owner, self.weight.index_select(self.dim, self.index.to(self.weight.device)))


def head_slices(
    checkpoint: Checkpoint, layer: int, heads: Iterable[int], key_heads: Iterable[int] = ()
) -> list[WeightSlice]:
    """The slices of query heads and of key heads of a layer, no place twice.

    Raises `CheckpointError` if the layer has no attention, or the weights have not the shape that the configuration
    says.
    """
    attending(checkpoint, (layer,))
    described, shape = checkpoint.description, attention_shape(checkpoint)
    attention, heads, key_heads = at(block_of(checkpoint, layer), described.attention), tuple(heads), tuple(key_heads)
    places = (described.projections[0], described.projections[-1], described.value)
    found = [
        one
        for place, rows in zip(places, _rows(described, shape, heads, key_heads), strict=True)
        for one in _slices(at(attention, place), rows, described.transposed)
    ]
    columns = _places(heads, shape.d_head, shape.d_head)
    found.append(WeightSlice(at(attention, described.out), "weight", 0 if described.transposed else 1, columns))
    _must_fit(attention, described, shape)
    return [one for one in found if len(one.index)]


def _rows(
    described: Description, shape: AttentionShape, heads: tuple[int, ...], key_heads: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of queries, keys and values in their projections, as these are laid out."""
    d = shape.d_head
    if described.fused == "heads":
        asked, offered = _places(heads, d, 3 * d), _places(key_heads, d, 3 * d)
        return asked, offered + d, offered + 2 * d
    asked, offered = _places(heads, d, d), _places(key_heads, d, d)
    if described.fused == "blocks":
        keys, values = shape.n_heads * d, (shape.n_heads + shape.n_key_heads) * d
        return asked, offered + keys, offered + values
    return _places(heads, 2 * d, 2 * d) if described.fused == "gated" else asked, offered, offered


def _places(units: Iterable[int], width: int, stride: int) -> Tensor:
    parts = [torch.arange(unit * stride, unit * stride + width) for unit in units]
    return torch.cat(parts) if parts else torch.arange(0)


def _slices(projection: nn.Module, rows: Tensor, transposed: bool) -> Iterator[WeightSlice]:
    yield WeightSlice(projection, "weight", 1 if transposed else 0, rows)
    if projection._parameters.get("bias") is not None:
        yield WeightSlice(projection, "bias", 0, rows)


def _must_fit(attention: nn.Module, described: Description, shape: AttentionShape) -> None:
    """Raise `CheckpointError` where values are not as wide as keys, or their heads others."""
    q, k = shape.n_heads * shape.d_head, shape.n_key_heads * shape.d_head
    expected = {described.value: k if described.fused in (None, "gated") else q + 2 * k, described.out: q}
    for place, width in expected.items():
        weight = at(attention, place).weight
        is_row = (place == described.value) != described.transposed
        if weight.shape[0 if is_row else 1] != width:
            raise CheckpointError(
                f"{place} has the shape {tuple(weight.shape)}; with {shape.n_heads} heads of {shape.d_head} dimensions "
                f"{width} were expected. Its heads can't be told apart: leave them out (confirm 0)."
            )
