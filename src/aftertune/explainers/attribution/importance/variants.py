"""How likely is a response after a changed prompt?  Tokens are left out, or others put in their place.

1. One plain pass keeps keys and values of every position.
2. Variants in the order of their first change, in chunks: what stands before the first change of a chunk is as it was,
   so its keys and values are taken from that pass; only the positions from there on are computed again, one row a
   variant. After a token that left the sequence positions move up.
3. log p(y_m) of every response token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache

from aftertune.explainers.attribution.importance.chunks import fitting_variants, in_chunks
from aftertune.explainers.attribution.importance.head import log_probability
from aftertune.models.prefix import keeps_every_position, seen_by

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch, Task
    from aftertune.models.backbone import Backbone

Falls = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Variant:
    """A changed prompt: positions ``left_out`` of it, and embeddings (d_model,) that take the place of others."""

    left_out: frozenset[int] = frozenset()
    replaced: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The first position whose state changes: that before a token left out predicts another token now."""
        return min([*self.replaced, *(max(0, place - 1) for place in self.left_out)])


@dataclass(frozen=True, eq=False)
class Whole:
    """The untouched sequence: embeddings (T, d_model), keys and values per layer, log p (k, M) of the targets (k, M).

    The first target of a position is its response token, the second what that is held against, if anything (k = 2).
    There is no cache where not all layers have keys and values (Qwen3.5).
    """

    backbone: Backbone
    batch: Batch
    task: Task
    embeds: Tensor
    cache: DynamicCache | None
    log_p: Tensor
    targets: Tensor
    first_place: int

    @classmethod
    def of(cls, backbone: Backbone, batch: Batch, row: int) -> Whole:
        """The sequence of a row of a batch."""
        task = batch.tasks[row]
        cache = DynamicCache() if keeps_every_position(backbone.checkpoint) else None
        m, first = len(task.response_ids), len(task.prompt_ids) - 1
        embeds = batch.embeds[row, : first + m]
        states = backbone.states(embeds[None], cache)[0, first : first + m]
        chosen = [batch.targets] if batch.contrast is None else [batch.targets, batch.contrast]
        targets = torch.stack([one[row, :m] for one in chosen])
        return cls(backbone, batch, task, embeds, cache, log_probability(backbone, states, targets), targets, first)

    def log_p_after(self, variants: Sequence[Variant]) -> Tensor:
        """log p (k, n_variants, M) of the targets after each changed prompt, of which a token at least must be left."""
        order = sorted(range(len(variants)), key=lambda index: variants[index].first)
        ordered = [variants[index] for index in order]
        found = list[Tensor]()
        for _, _, rows in in_chunks(
            len(ordered),
            fitting_variants(self.backbone, self.batch),
            lambda start, stop: self._rows(ordered[start:stop]),
        ):
            found.append(rows)
        back = torch.argsort(torch.tensor(order, device=self.embeds.device))
        return torch.cat(found, dim=1)[:, back]

    def _rows(self, variants: Sequence[Variant]) -> Tensor:
        start = variants[0].first if self.cache is not None else 0
        length, m = self.embeds.shape[0], self.targets.shape[1]
        kept = [[place for place in range(start, length) if place not in one.left_out] for one in variants]
        longest = max(map(len, kept))
        index = torch.tensor([row + [row[-1]] * (longest - len(row)) for row in kept], device=self.embeds.device)
        embeds = self.embeds[index]
        for row, (one, places) in enumerate(zip(variants, kept, strict=True)):
            for place, embedding in one.replaced.items():
                embeds[row, places.index(place)] = embedding.to(embeds)
        before = seen_by(len(variants), self.cache, start) if self.cache is not None and start else None
        states = self.backbone.states(embeds, before)
        first = [self.first_place - start - len(one.left_out) for one in variants]
        wanted = torch.stack([states[row, place : place + m] for row, place in enumerate(first)])
        return log_probability(self.backbone, wanted, self.targets[:, None].expand(-1, len(variants), -1))


def falls_without(whole: Whole, sets: Sequence[npt.NDArray[np.int64]]) -> Falls:
    """How far log p of the whole response falls, (n_sets,), when the units of a set leave the prompt."""
    variants = []
    for places in sets:
        tokens = frozenset(token for place in places for token in whole.task.units[place])
        tokens -= {max(tokens)} if len(tokens) > whole.first_place else set()  # something must be left
        variants.append(Variant(left_out=tokens))
    empty = [number for number, one in enumerate(variants) if not one.left_out]
    known = [one for one in variants if one.left_out]
    falls = numbers((whole.log_p[0] - whole.log_p_after(known)[0]).sum(-1))
    return np.insert(falls, [number - place for place, number in enumerate(empty)], 0.0)


def numbers(found: Tensor) -> Falls:
    """A tensor as numbers of numpy, in float64."""
    plain: Falls = found.double().cpu().numpy()
    return plain
