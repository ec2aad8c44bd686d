"""Removal itself: how much does p(y_m) fall when a unit of the prompt is taken away?

Section 4.1, Eq. 1: I[n, m] = p(y_m | Z_m) - p(y_m | Z_m without x_n).  "Without" has two readings:
``deleted``  the unit's tokens leave the sequence, later tokens move up;
``zeroed``   the unit's embeddings are set to zero, positions stay (appendix A).
A unit that is the whole prompt is zeroed in either reading: without it nothing would predict the first response token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aftertune.explainers.attribution.importance.variants import Variant, Whole

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.explainers.attribution.settings import Removal
    from aftertune.explainers.attribution.units import Unit
    from aftertune.models.backbone import Backbone


def removal_importance(backbone: Backbone, batch: Batch, removal: Removal) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning."""
    kind = torch.promote_types(batch.embeds.dtype, torch.float32)
    shape, place = (len(batch.tasks), batch.n_units, batch.n_response), batch.embeds.device
    importance = torch.zeros(shape, dtype=kind, device=place)
    probabilities = torch.zeros(shape[0], shape[2], dtype=kind, device=place)
    with torch.no_grad():
        for row, task in enumerate(batch.tasks):
            whole, m = Whole.of(backbone, batch, row), len(task.response_ids)
            probabilities[row, :m] = whole.log_p[0].exp()
            importance[row, : len(task.units), :m] = fall(whole, task.units, removal)
    return importance, probabilities


def fall(whole: Whole, units: Sequence[Unit], removal: Removal) -> Tensor:
    """How far p(y_m) falls without each unit, less how far p(c_m) does where there is a contrast: (n_units, M)."""
    after = whole.log_p_after([removed(unit, removal, whole) for unit in units])
    falls = whole.log_p.exp()[:, None] - after.exp()
    return falls[0] - falls[1:].sum(0)


def removed(unit: Unit, removal: Removal, whole: Whole) -> Variant:
    """The prompt without a unit."""
    if removal == "deleted" and len(unit) <= whole.first_place:
        return Variant(left_out=frozenset(unit))
    return Variant(replaced=dict.fromkeys(unit, whole.embeds.new_zeros(())))
