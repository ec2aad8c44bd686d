"""What does a map have to predict?  Words are replaced, and many units are left out at once.

1. Replaced words: each of a few units that the user wrote, in turn, has others put in the place of its tokens, drawn
   from the vocabulary: words for words, parts of words for parts. How far log p of every response token falls is
   averaged over draws, on both halves of them, so that the noise of the truth itself is known.
2. The five units that matter most are left out together, and five drawn ones, for comparison.
3. Each unit is left out with probability 1/2, many times (ContextCite, arXiv 2409.00729).
Units of the template are left alone where there are others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from aftertune.explainers.attribution.faithfulness import measure_faithfulness
from aftertune.explainers.attribution.importance.another import with_others
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.variants import Falls, Whole, falls_without, numbers
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.units import Unit
from aftertune.models.backbone import Backbone

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

N_REPLACED, N_DRAWS, N_ABLATIONS = 12, 6, 32
N_TOP, N_RANDOM = 5, 5


def with_faithfulness(checkpoint: Checkpoint, task: Task, found: Attribution) -> Attribution:
    """The attribution with how well it predicts interventions; as it is with fewer than two units, or with no truth."""
    places = np.flatnonzero(found.is_user) if found.is_user.sum() > 1 else np.arange(len(task.units))
    if len(places) < 2 or not task.response_ids:
        return found
    backbone, rng, predicted = Backbone(checkpoint), np.random.default_rng(0), found.fall()
    totals = predicted.sum(axis=1)[places]
    with torch.no_grad():
        whole = Whole.of(backbone, make_batch(backbone, [task]), 0)
        chosen = np.sort(rng.permutation(places)[:N_REPLACED])
        replaced = _replaced(whole, [task.units[place] for place in chosen], rng)
        order = places[np.argsort(-totals, kind="stable")]
        some = [order[:N_TOP], *(rng.permutation(places)[:N_TOP] for _ in range(N_RANDOM))]
        left_out = rng.random((N_ABLATIONS, len(places))) < 0.5
        falls = falls_without(whole, [*some, *(places[row] for row in left_out)])
    if not (np.isfinite(falls).all() and np.isfinite(replaced).all()):
        return found  # a word that was put in overflows: the truth is not known
    top, random, many = falls[0], falls[1 : 1 + N_RANDOM].mean(), falls[1 + N_RANDOM :]
    told = measure_faithfulness(predicted[chosen], replaced, left_out, many, totals, (float(top), float(random)))
    return replace(found, faithfulness=told)


def _replaced(whole: Whole, units: Sequence[Unit], rng: np.random.Generator) -> Falls:
    """How far log p falls, (2, n_units, M): the means of either half of the draws."""
    drawn = [unit for unit in units for _ in range(N_DRAWS)]
    after = whole.log_p_after(with_others(whole, drawn, rng))[0].view(len(units), 2, N_DRAWS // 2, -1)
    return numbers(whole.log_p[0] - after.mean(2)).swapaxes(0, 1)
