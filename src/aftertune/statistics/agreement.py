"""How far do raters agree, beyond what their habits alone would give?

Fleiss' kappa, of as many raters for every item: (observed - expected) / (1 - expected), of the share of pairs of raters
that give the same answer. Fleiss (1971), Psychological Bulletin 76.

Krippendorff's alpha, of raters who may each have judged some units only:
1. Each unit that two or more raters judged gives pairs of values; counted over all units they are the coincidences
   o[c, k], each unit weighted by 1 / (its raters - 1). Units that fewer judged say nothing and are left out.
2. Disagreement is the sum of o[c, k] d[c, k]; expected is the same sum with the values paired at random.
   alpha = 1 - disagreement / expected: 1 is full agreement, 0 what chance gives, below 0 worse than chance.
3. d is 1 for values that differ (nominal), or the square of how many values lie between them in rank (ordinal).
4. Interval: 95 % percentile bootstrap over groups of units (the prompts), from a seed.

After Krippendorff (2019, Content Analysis), conclusions want 0.8; below 0.667 not even tentative ones should be drawn.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aftertune.statistics.effects import cluster_bootstrap_interval
from aftertune.statistics.spread import ROUNDING, Interval, Scores

GOOD, TENTATIVE = 0.8, 0.667

Judged = npt.NDArray[np.float64]
Counts = npt.NDArray[np.float64]


def fleiss_kappa(counts: Scores) -> float | None:
    """Fleiss' kappa of ``counts`` (n_items, n_answers): how many raters gave each answer, as many for every item.

    None without an item, with fewer than two raters, or where only one answer was ever given.
    """
    from statsmodels.stats import inter_rater  # pandas comes with it: only where it is needed

    if not len(counts) or counts[0].sum() < 2 or np.count_nonzero(counts.sum(axis=0)) < 2:
        return None
    return float(inter_rater.fleiss_kappa(counts))


def krippendorff_alpha(groups: Sequence[Judged], ordinal: bool) -> float | None:
    """Alpha of what raters said of units: ``groups`` of arrays (n_units, n_raters), NaN where one said nothing.

    ``ordinal`` takes the order of the values into account. None where no unit has two raters, or only one value was
    ever given.
    """
    return _alpha(_coincidences(groups).sum(axis=0), ordinal)


def alpha_interval(groups: Sequence[Judged], ordinal: bool, seed: int = 0) -> Interval | None:
    """Interval of `krippendorff_alpha`, groups resampled whole; None with fewer than two that two raters judged.

    Samples in which only one value was given have no alpha and are left out.
    """
    counts = _coincidences(groups)
    counts = counts[counts.sum(axis=(1, 2)) > 0]
    if len(counts) < 2 or _alpha(counts.sum(axis=0), ordinal) is None:
        return None

    def alphas(times: Scores) -> Scores:
        sampled = np.tensordot(times, counts, axes=1)
        return np.array([_alpha(sample, ordinal) for sample in sampled], dtype=np.float64)  # None becomes NaN

    return cluster_bootstrap_interval(len(counts), alphas, seed)


def count_units(groups: Sequence[Judged]) -> tuple[int, int]:
    """How many units two or more raters judged, and in how many groups."""
    counts = [int((np.isfinite(group).sum(axis=1) > 1).sum()) for group in groups]
    return sum(counts), sum(count > 0 for count in counts)


def _coincidences(groups: Sequence[Judged]) -> Counts:
    """Coincidences (n_groups, n_values, n_values) of the values that occur, smallest first."""
    found = [group.ravel() for group in groups]
    values = np.unique(np.concatenate([*found, np.empty(0)]))
    values = values[np.isfinite(values)]
    empty = np.zeros((0, len(values), len(values)))
    return np.stack([_of_group(group, values) for group in groups]) if groups else empty


def _of_group(group: Judged, values: Judged) -> Counts:
    given = (group[:, :, None] == values).sum(axis=1).astype(np.float64)  # (n_units, n_values)
    n_raters = given.sum(axis=1)
    given, weights = given[n_raters > 1], 1 / (n_raters[n_raters > 1] - 1)
    found: Counts = (given * weights[:, None]).T @ given - np.diag((given * weights[:, None]).sum(axis=0))
    return found


def _alpha(coincidences: Counts, ordinal: bool) -> float | None:
    given = coincidences.sum(axis=0)
    far = _distances(given, ordinal)
    expected = float((np.outer(given, given) * far).sum()) / (given.sum() - 1) if given.sum() > 1 else 0.0
    if expected <= ROUNDING:
        return None
    return 1 - float((coincidences * far).sum()) / expected


def _distances(given: Judged, ordinal: bool) -> Counts:
    """d (n_values, n_values): for ordinal values the ranks between c and k, half of c and k themselves counted."""
    if not ordinal:
        return 1 - np.eye(len(given))
    middle = np.cumsum(given) - given / 2
    found: Counts = (middle[:, None] - middle[None, :]) ** 2
    return found
