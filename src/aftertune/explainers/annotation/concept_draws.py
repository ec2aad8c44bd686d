"""Would other concepts show the same difference between two models?

An annotator's repeats judge the same concepts, so tests between repeats find any difference that these concepts happen
to have, if only the annotator is steady. These two ask of the concepts instead, with all of their repeats.
1. The interval of a difference of shares when concepts are drawn again. Places are drawn, with what stands there in
   both models: a component and its counterpart are often nearly the same.
2. A paired permutation test: at each place the two models change sides or do not. Marks are averaged over repeats
   first.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from aftertune.statistics.intervals import N_RESAMPLES, cluster_bootstrap_interval
from aftertune.statistics.spread import ROUNDING, Interval, Scores, batch_size
from aftertune.statistics.tests import DECIMALS


def difference_interval(base: Scores, tuned: Scores, seed: int = 0) -> Interval | None:
    """95 % interval of the mean share of ``tuned`` - that of ``base`` (n_concepts, n_repeats), NaN where not known.

    None with fewer than two concepts, or without any that is known.
    """

    def difference(times: Scores) -> Scores:
        return np.asarray(_mean_shares(tuned, times) - _mean_shares(base, times))

    return cluster_bootstrap_interval(len(base), difference, seed)


def paired_permutation_p_value(base: Scores, tuned: Scores, seed: int = 0) -> float | None:
    """Two-sided p-value of the difference of shares when the models change sides at random places.

    None with fewer than two concepts, or where no change of sides would show.
    """
    if len(base) < 2:
        return None
    sides, generator = [_known_and_marked(side) for side in (base, tuned)], np.random.default_rng(seed)

    def swaps(*, size: tuple[int, ...]) -> Scores:
        return generator.integers(0, 2, size).astype(np.float64)

    def difference(swapped: Scores, axis: int) -> Scores:  # noqa: ARG001
        return np.asarray(np.round(np.abs(_difference(swapped, *sides)), DECIMALS))

    # Not `permutation_test` of pairs: it permutes every pair of every draw, which takes 20 times as long.
    found = stats.monte_carlo_test(
        np.zeros(len(base)),
        swaps,
        difference,
        vectorized=True,
        n_resamples=N_RESAMPLES,
        batch=batch_size(len(base)),
        alternative="greater",
    )
    if not np.isfinite(found.statistic) or not (found.null_distribution > 0).any():
        return None
    return float(found.pvalue)


def _mean_shares(marked: Scores, times: Scores) -> Scores:
    """Mean over repeats of the share of marked concepts, each counted ``times`` (n_samples, n_concepts)."""
    known = np.isfinite(marked)
    share = _divided(times @ np.where(known, marked, 0.0), times @ known.astype(np.float64))
    return _divided(np.nansum(share, axis=1), np.isfinite(share).sum(axis=1))


def _known_and_marked(marked: Scores) -> Scores:
    """Of each concept the share of repeats in which it is known, and in which it is marked (n_concepts, 2)."""
    known = np.isfinite(marked)
    return np.stack([known.mean(axis=1), np.where(known, marked, 0.0).mean(axis=1)], axis=1)


def _difference(swapped: Scores, base: Scores, tuned: Scores) -> Scores:
    """Share of tuned - that of base (n_samples,), places where ``swapped`` (n_samples, n_concepts) is 1 swapped."""
    moved = swapped @ (tuned - base)
    before, after = base.sum(axis=0) + moved, tuned.sum(axis=0) - moved
    return np.asarray(_divided(after[..., 1], after[..., 0]) - _divided(before[..., 1], before[..., 0]))


def _divided(part: Scores, whole: npt.NDArray[Any]) -> Scores:
    """NaN where there is nothing to divide by."""
    quotient: Scores = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > ROUNDING)
    return quotient
