"""Removal itself: how much does p(y_m) fall when a unit of the prompt is taken away?

Section 4.1, Eq. 1: I[n, m] = p(y_m | Z_m) - p(y_m | Z_m without x_n).  "Without" has two readings:
``zeroed``   the unit's embeddings are set to zero, positions stay (appendix A);
``deleted``  the unit's tokens leave the sequence, later tokens move up.
1. One plain pass keeps keys and values of every position.
2. Units in order, in chunks: what stands before the first unit of a chunk is unchanged, so its keys and values are
   taken from that pass; only the positions from there on are computed again, one row a unit.
3. The difference of the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance.chunks import fitting, in_chunks
from aftertune.explainers.attribution.importance.head import probability
from aftertune.models.weights import attending, attention_shape

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch, Task
    from aftertune.explainers.attribution.settings import Removal
    from aftertune.explainers.attribution.units import Unit
    from aftertune.models.backbone import Backbone


@dataclass(frozen=True, eq=False)
class _Whole:
    """The untouched sequence: embeddings (T, d_model), keys and values per layer, probability (M,).

    There is no cache where not all layers have keys and values (Qwen3.5): what others keep can't be cut at a position.
    """

    embeds: Tensor
    cache: DynamicCache | None
    probability: Tensor
    targets: Tensor
    first_place: int

    def start(self, place: int) -> int:
        """The position from which on to compute, if nothing before ``place`` changes."""
        return place if self.cache is not None else 0

    def prefix(self, length: int, rows: int) -> DynamicCache | None:
        """Keys and values of the first ``length`` positions, seen by ``rows`` sequences."""
        if self.cache is None:
            return None
        cache = DynamicCache()
        for index, layer in enumerate(self.cache.layers):
            keys, values = layer.keys[:, :, :length], layer.values[:, :, :length]
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
        return cache


def removal_importance(backbone: Backbone, batch: Batch, removal: Removal) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning.

    Raises `AttributionError` where deletion would leave no prompt at all.
    """
    kind = torch.promote_types(batch.embeds.dtype, torch.float32)
    shape, place = (len(batch.tasks), batch.n_units, batch.n_response), batch.embeds.device
    importance = torch.zeros(shape, dtype=kind, device=place)
    probabilities = torch.zeros(shape[0], shape[2], dtype=kind, device=place)
    with torch.no_grad():
        for row, task in enumerate(batch.tasks):
            whole = _run_whole(backbone, batch, row)
            m = len(task.response_ids)
            probabilities[row, :m] = whole.probability
            importance[row, : len(task.units), :m] = _remove_each(backbone, batch, task, whole, removal)
    return importance, probabilities


def _run_whole(backbone: Backbone, batch: Batch, row: int) -> _Whole:
    task = batch.tasks[row]
    n_layers = attention_shape(backbone.checkpoint).n_layers
    cache = DynamicCache() if len(attending(backbone.checkpoint, range(n_layers))) == n_layers else None
    m, first = len(task.response_ids), len(task.prompt_ids) - 1
    embeds = batch.embeds[row, : first + m]
    states = backbone.states(embeds[None], cache)[0, first : first + m]
    targets = batch.targets[row, :m]
    return _Whole(embeds, cache, probability(backbone, states, targets), targets, first)


def _remove_each(backbone: Backbone, batch: Batch, task: Task, whole: _Whole, removal: Removal) -> Tensor:
    order = sorted(range(len(task.units)), key=lambda index: task.units[index])
    units = [task.units[index] for index in order]
    remove = _zeroed if removal == "zeroed" else _deleted

    def rows(start: int, stop: int) -> Tensor:
        return whole.probability - remove(backbone, whole, units[start:stop])

    chunks = in_chunks(len(units), fitting(backbone, batch), rows)
    found = torch.cat([chunk for _, _, chunk in chunks])
    return found[torch.argsort(torch.tensor(order, device=found.device))]


def _zeroed(backbone: Backbone, whole: _Whole, units: list[Unit]) -> Tensor:
    start = whole.start(units[0][0])
    embeds = whole.embeds[start:].repeat(len(units), 1, 1)
    for row, unit in enumerate(units):
        embeds[row, torch.tensor(unit, device=embeds.device) - start] = 0
    states = backbone.states(embeds, whole.prefix(start, len(units)))
    return probability(backbone, states[:, whole.first_place - start :], whole.targets.expand(len(units), -1))


def _deleted(backbone: Backbone, whole: _Whole, units: list[Unit]) -> Tensor:
    # One position earlier, since the state before a deleted last prompt token predicts the first response token.
    start = whole.start(max(0, units[0][0] - 1))
    length = whole.embeds.shape[0]
    kept = [[place for place in range(start, length) if place not in set(unit)] for unit in units]
    places = [whole.first_place - start - len(unit) for unit in units]
    if min(places) + start < 0:
        raise AttributionError(
            "Deleting this unit leaves no prompt, and nothing predicts the first response token. "
            "Use smaller units, or removal 'zeroed'."
        )
    longest = max(map(len, kept))
    index = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in kept], device=whole.embeds.device)
    states = backbone.states(whole.embeds[index], whole.prefix(start, len(units)))
    m = whole.targets.shape[0]
    wanted = torch.stack([states[row, place : place + m] for row, place in enumerate(places)])
    return probability(backbone, wanted, whole.targets.expand(len(units), -1))
