"""Removal itself: how much does p(y_m) fall when a unit of the prompt is taken away?

Section 4.1, Eq. 1: I[n, m] = p(y_m | Z_m) - p(y_m | Z_m without x_n).  "Without" has several readings:
``deleted``   the unit's tokens leave the sequence, later tokens move up;
``zeroed``    the unit's embeddings are set to zero, positions stay (appendix A);
``mean``      they are set to the mean of all tokens' embeddings (mean ablation);
``averaged``  the mean of what deleted and mean give: each errs in its own way;
``mixed``     the mean of what deleted, mean and zeroed give, and other tokens in the unit's place, drawn N_DRAWN times.
A unit that is the whole prompt is not deleted but zeroed: without it nothing would predict the first response token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aftertune.explainers.attribution.importance.another import with_others
from aftertune.explainers.attribution.importance.hierarchy import by_hierarchy
from aftertune.explainers.attribution.importance.variants import Variant, Whole

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.explainers.attribution.settings import Removal
    from aftertune.explainers.attribution.units import Unit
    from aftertune.models.backbone import Backbone

PARTS: Mapping[str, tuple[Removal, ...]] = {"averaged": ("deleted", "mean"), "mixed": ("deleted", "mean", "zeroed")}
N_DRAWN = 5


def removal_importance(backbone: Backbone, batch: Batch, removal: Removal) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning."""
    importance, probabilities, _ = removal_within_budget(backbone, batch, removal, 1.0)
    return importance, probabilities


def removal_within_budget(
    backbone: Backbone, batch: Batch, removal: Removal, budget: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Importance and probability as above, and which units (B, n_units) share the importance of their group.

    Tasks without groups are exact.
    """
    kind = torch.promote_types(batch.embeds.dtype, torch.float32)
    shape, place = (len(batch.tasks), batch.n_units, batch.n_response), batch.embeds.device
    importance = torch.zeros(shape, dtype=kind, device=place)
    probabilities = torch.zeros(shape[0], shape[2], dtype=kind, device=place)
    is_divided = torch.zeros(shape[:2], dtype=torch.bool)
    with torch.no_grad():
        for row, task in enumerate(batch.tasks):
            whole, n, m = Whole.of(backbone, batch, row), len(task.units), len(task.response_ids)
            probabilities[row, :m] = whole.log_p[0].exp()
            falls = partial(fall, whole, removal=removal)
            if task.groups:
                cost = partial(_positions, whole, removal=removal)
                found, is_divided[row, :n] = by_hierarchy(task.units, task.groups, falls, cost, budget)
            else:
                found = falls(task.units)
            importance[row, :n, :m] = found
    return importance, probabilities, is_divided


def fall(whole: Whole, units: Sequence[Unit], removal: Removal) -> Tensor:
    """How far p(y_m) falls without each unit, less how far p(c_m) does where there is a contrast: (n_units, M)."""
    after = whole.log_p_after([variant for unit in units for variant in without(unit, removal, whole)]).exp()
    by_unit = after.view(len(after), len(units), -1, after.shape[-1]).mean(2)
    falls: Tensor = whole.log_p.exp()[:, None] - by_unit
    return falls[0] - falls[1:].sum(0)


def n_passes(removal: Removal) -> int:
    """How many prompts are read for each unit."""
    return len(PARTS.get(removal, (removal,))) + (N_DRAWN if removal == "mixed" else 0)


def without(unit: Unit, removal: Removal, whole: Whole) -> list[Variant]:
    """The prompts that tell what it is without a unit."""
    found = [removed(unit, one, whole) for one in PARTS.get(removal, (removal,))]
    if removal == "mixed":
        rng = np.random.default_rng([N_DRAWN, *unit])  # each unit has its own random numbers
        found += with_others(whole, [unit] * N_DRAWN, rng)
    return found


def removed(unit: Unit, removal: Removal, whole: Whole) -> Variant:
    """The prompt without a unit, by a removal of one part."""
    if removal == "deleted" and len(unit) <= whole.first_place:
        return Variant(left_out=frozenset(unit))
    instead = whole.backbone.mean_embedding if removal == "mean" else whole.embeds.new_zeros(())
    return Variant(replaced=dict.fromkeys(unit, instead))


def _positions(whole: Whole, unit: Unit, removal: Removal) -> int:
    """How many positions are computed again without a unit."""
    length, is_kept = len(whole.embeds), whole.cache is not None
    return sum(length - len(one.left_out) - is_kept * one.first for one in without(unit, removal, whole))
