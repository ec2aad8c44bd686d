"""Rows of the importance matrix by forward mode, written out: all directions through one layer, then the next.

Question and paper section as in `forward`.
1. The tangent of a unit is its own embedding, 0 elsewhere. Units in blocks, few enough for the caches; for a block
   nothing is computed before the position of its first unit.
2. Layer by layer: the plain values once, then every block's tangents through them.
3. After the last attention nothing mixes positions. So one backward pass, for all units, takes the gradient of p(y_m)
   back to what that attention read and to the residual stream beside it: I[n, m] = <c_m, d_read_m> + <r_m, dx_m>.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aftertune.explainers.attribution.importance import chunks
from aftertune.explainers.attribution.importance.batch import Batch
from aftertune.explainers.attribution.importance.written.attention import PushRead, Turn, attend
from aftertune.explainers.attribution.importance.written.build import LayerParts, is_of_this_build, layers_of, norm_of
from aftertune.explainers.attribution.importance.written.steps import add_product, network, normed, through, written_by
from aftertune.models.backbone import Backbone
from aftertune.models.products import Weight

AGREEMENT = 1e-3

Rows = Callable[[int, int], Tensor | None]


@dataclass(frozen=True, eq=False)
class _Directions:
    """A block of units: their tangents (D, B, T - start, d_model), which each layer changes in place."""

    change: Tensor
    start: int


def rows_of(backbone: Backbone, batch: Batch, states: Tensor, gradient: Tensor, number: torch.dtype) -> Rows | None:
    """The function that gives the importance (stop - start, B, M) of units start..stop, or None if not of this build.

    ``states`` (B, M, d_model) are the model's own at the response positions, ``gradient`` that of p(y_m) by them.
    Products of tangents are taken in ``number``. The function gives None where what is written here does not give the
    model's states.
    """
    if not is_of_this_build(backbone):
        return None

    def rows(start: int, stop: int) -> Tensor | None:
        blocks = [_directions(batch, low, high) for low, high in _blocks(batch, start, stop)]
        *layers, last = layers_of(backbone)
        turns, x = _Turns(backbone, batch), batch.embeds
        for layer in layers:
            x = _layer(layer, x, turns.of(layer), blocks, number)
        return _last(last, x, turns.of(last), blocks, number, _Ending(backbone, batch, states, gradient))

    return rows


def _blocks(batch: Batch, start: int, stop: int) -> list[tuple[int, int]]:
    b, t, _ = batch.embeds.shape
    size = max(1, (chunks.ROWS_ON_GPU if batch.embeds.is_cuda else chunks.ROWS_ON_CPU) // (b * t))
    return [(low, min(low + size, stop)) for low in range(start, stop, size)]


def _directions(batch: Batch, low: int, high: int) -> _Directions:
    places = [place for task in batch.tasks for unit in task.units[low:high] for place in unit]
    start = min(places)
    return _Directions(batch.mask(low, high)[:, :, start:] * batch.embeds[:, start:], start)


@dataclass(frozen=True, eq=False)
class _Ending:
    """What comes after the last attention, at the response positions."""

    backbone: Backbone
    batch: Batch
    states: Tensor
    gradient: Tensor

    def gradients(self, layer: LayerParts, x: Tensor, read: Tensor) -> tuple[Tensor, Tensor] | None:
        """Gradients of p(y_m) by the residual stream and by what the last attention read, (B, M, ...) each.

        None if the states that come out are not the model's.
        """
        x, read = (self.batch.at_responses(part).requires_grad_() for part in (x, read))
        with torch.enable_grad():
            states = self._states(layer, x, read)
        if (states.detach() - self.states).abs().max() > AGREEMENT * self.states.abs().max():
            return None
        by_stream, by_read = torch.autograd.grad(states, (x, read), self.gradient.to(states.dtype))
        return by_stream, by_read

    def _states(self, layer: LayerParts, x: Tensor, read: Tensor) -> Tensor:
        checkpoint = self.backbone.checkpoint
        inner: Any = checkpoint.model.model
        x = x + normed(layer.after_attention, through(layer.attention.out, read)).value
        written = written_by(layer.network, normed(layer.before_network, x).value)
        x = x + normed(layer.after_network, written).value
        return normed(norm_of(inner.norm, checkpoint.family.norm_offset), x).value


class _Turns:
    """Rotary positions: for all layers, or for each kind of layer."""

    def __init__(self, backbone: Backbone, batch: Batch) -> None:
        model: Any = backbone.checkpoint.model
        self.rotary, self.like = model.model.rotary_emb, batch.embeds
        self.positions = torch.arange(batch.embeds.shape[1], device=batch.embeds.device)[None]
        self.found: dict[str | None, Turn] = {}

    def of(self, layer: LayerParts) -> Turn:
        """Cosines and sines (1, 1, T, d) for a layer."""
        if layer.kind not in self.found:
            given = (self.like, self.positions) if layer.kind is None else (self.like, self.positions, layer.kind)
            cosine, sine = (part.to(self.like.dtype)[:, None] for part in self.rotary(*given))
            self.found[layer.kind] = cosine, sine
        return self.found[layer.kind]


def _layer(layer: LayerParts, x: Tensor, turn: Turn, blocks: list[_Directions], number: torch.dtype) -> Tensor:
    read, push_read = attend(layer.attention, normed(layer.before_attention, x), turn, number)
    written = normed(layer.after_attention, through(layer.attention.out, read))
    out = Weight(layer.attention.out.weight, number)
    x = x + written.value
    network_writes, push = network(layer.network, layer.before_network, layer.after_network, x, number)
    for block in blocks:
        add_product(block.change, push_read(block.change, block.start, block.start), out, written, block.start)
        push(block.change, block.start)
    return x + network_writes


def _last(
    layer: LayerParts, x: Tensor, turn: Turn, blocks: list[_Directions], number: torch.dtype, ending: _Ending
) -> Tensor | None:
    read, push_read = attend(layer.attention, normed(layer.before_attention, x), turn, number)
    gradients = ending.gradients(layer, x, read)
    if gradients is None:
        return None
    first = min(len(task.prompt_ids) for task in ending.batch.tasks) - 1
    return torch.cat([_contributions(block, push_read, gradients, ending.batch.places, first) for block in blocks])


def _contributions(
    block: _Directions, push_read: PushRead, gradients: tuple[Tensor, Tensor], places: Tensor, first: int
) -> Tensor:
    """What each unit of the block does to p(y_m): (D, B, M). Before ``first`` no prompt's response is predicted."""
    begin = max(block.start, first)
    own = (places - begin).clamp(min=0)[None, ..., None]  # below 0 are those of padding, and prompts without such units

    def along(change: Tensor, gradient: Tensor) -> Tensor:
        return (torch.take_along_dim(change, own, dim=2) * gradient).sum(-1)

    of_stream = along(block.change[:, :, begin - block.start :], gradients[0])
    return of_stream + along(push_read(block.change, block.start, begin), gradients[1])
