"""Rows of the importance matrix by forward mode, written out: all directions through one layer, then the next.

Question and paper section as in `forward`.
1. The tangent of a unit is its own embedding, 0 elsewhere. Units in blocks, few enough for the caches; for a block
   nothing is computed before the position of its first unit.
2. Layer by layer: the plain values once, then every block's tangents through them.
3. After the last attention nothing mixes positions. So one backward pass, for all units, takes the gradient of p(y_m)
   back to what that attention read and to the residual stream beside it: I[n, m] = <c_m, d_read_m> + <r_m, dx_m>.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aftertune.explainers.attribution.importance import chunks
from aftertune.explainers.attribution.importance.explicit_jvp.attention import PushRead, attend
from aftertune.explainers.attribution.importance.explicit_jvp.build import (
    LayerParts,
    final_norm,
    is_of_this_build,
    layers_of,
)
from aftertune.explainers.attribution.importance.explicit_jvp.facts import Facts, Rotary, facts_of
from aftertune.explainers.attribution.importance.explicit_jvp.steps import (
    add_product,
    added,
    network,
    normed,
    through,
    written_by,
)
from aftertune.models.products.digits import in_tf32
from aftertune.models.products.weight import Weight

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.models.backbone import Backbone

AGREEMENT, AGREEMENT_IN_TF32 = 1e-3, 5e-2  # of the largest state; another build is further off than rounding

Rows = Callable[[int, int], Tensor | None]


@dataclass(frozen=True, eq=False)
class _Directions:
    """A block of units: their tangents (D, B, T - start, d_model), which each layer changes in place."""

    change: Tensor
    start: int


def rows_of(
    backbone: Backbone, batch: Batch, states: Tensor, gradient: Tensor, number: torch.dtype, held: bool = False
) -> Rows | None:
    """The function that gives the importance (stop - start, B, M) of units start..stop, or None if not of this build.

    ``states`` (B, M, d_model) are the model's own at the response positions, ``gradient`` that of p(y_m) by them.
    Products of tangents are taken in ``number``. ``held`` is the locally linear network, in which denominators of
    norms, weights of attention and gates are constants. The function gives None where what is written here does not
    give the model's states.
    """
    facts = facts_of(backbone) if is_of_this_build(backbone) else None
    if facts is None:
        return None

    def rows(start: int, stop: int) -> Tensor | None:
        blocks = [_directions(batch, low, high, facts.embedding) for low, high in _blocks(batch, start, stop)]
        *layers, last = layers_of(backbone, facts, held)
        x = batch.embeds * facts.embedding
        turns, ending = _Turns(batch.embeds), _Ending(backbone, facts, batch, states, gradient)
        for layer in layers:
            x = _layer(layer, x, turns.of(layer), blocks, number)
        return _last(last, x, turns.of(last), blocks, number, ending)

    return rows


def _blocks(batch: Batch, start: int, stop: int) -> list[tuple[int, int]]:
    b, t, _ = batch.embeds.shape
    size = max(1, (chunks.ROWS_ON_GPU if batch.embeds.is_cuda else chunks.ROWS_ON_CPU) // (b * t))
    return [(low, min(low + size, stop)) for low in range(start, stop, size)]


def _directions(batch: Batch, low: int, high: int, factor: float) -> _Directions:
    places = [place for task in batch.tasks for unit in task.units[low:high] for place in unit]
    start = min(places)
    return _Directions(batch.mask(low, high)[:, :, start:] * (batch.embeds[:, start:] * factor), start)


@dataclass(frozen=True, eq=False)
class _Ending:
    """What comes after the last attention, at the response positions."""

    backbone: Backbone
    facts: Facts
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
        close = AGREEMENT_IN_TF32 if in_tf32(self.states) else AGREEMENT
        if (states.detach() - self.states).abs().max() > close * self.states.abs().max():
            return None
        by_stream, by_read = torch.autograd.grad(states, (x, read), self.gradient.to(states.dtype))
        return by_stream, by_read

    def _states(self, layer: LayerParts, x: Tensor, read: Tensor) -> Tensor:
        factor = layer.facts.residual
        x = x + added(normed(layer.after_attention, through(layer.attention.out, read), layer.held), factor)
        written = written_by(layer.network, normed(layer.before_network, x, layer.held).value, layer.held)
        x = x + added(normed(layer.after_network, written, layer.held), factor)
        return normed(final_norm(self.backbone, self.facts), x, layer.held).value


class _Turns:
    """Rotary positions: one rotary for all layers that share it."""

    def __init__(self, embeds: Tensor) -> None:
        self.embeds = embeds
        self.found: dict[object, Rotary | None] = {}

    def of(self, layer: LayerParts) -> Rotary | None:
        """The rotary of a layer; None where nothing is rotated."""
        kind, make = layer.facts.kind, layer.facts.rotary
        if kind not in self.found:
            self.found[kind] = None if make is None else make(self.embeds)
        return self.found[kind]


def _layer(
    layer: LayerParts, x: Tensor, rotary: Rotary | None, blocks: list[_Directions], number: torch.dtype
) -> Tensor:
    read, push_read = attend(layer, normed(layer.before_attention, x, layer.held), rotary, number)
    written = normed(layer.after_attention, through(layer.attention.out, read), layer.held)
    out = Weight(layer.attention.out.weight, number)
    factor = layer.facts.residual
    x = x + added(written, factor)
    network_writes, push = network(layer, x, number)
    for block in blocks:
        add_product(block.change, push_read(block.change, block.start, block.start), out, written, block.start, factor)
        push(block.change, block.start)
    return x + network_writes


def _last(
    layer: LayerParts, x: Tensor, rotary: Rotary | None, blocks: list[_Directions], number: torch.dtype, ending: _Ending
) -> Tensor | None:
    read, push_read = attend(layer, normed(layer.before_attention, x, layer.held), rotary, number)
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
