"""Would other concepts show the same difference between two models?

An annotator's repeats judge the same concepts, so tests between repeats find any difference that these concepts happen
to have, if only the annotator is steady. These two ask of the concepts instead, with all of their repeats.
1. The interval of a difference of shares when concepts are drawn again. Places are drawn, with what stands there in
   both models: a component and its counterpart are often nearly the same.
2. A permutation test: at each place the two models change sides or do not. Marks are averaged over repeats first.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.statistics.inference import CONFIDENCE, N_RESAMPLES, RESAMPLED_AT_ONCE, ROUNDING, Interval, Scores


def difference_interval(base: Scores, tuned: Scores, seed: int = 0) -> Interval | None:
    """95 % interval of the mean share of ``tuned`` - that of ``base`` (n_concepts, n_repeats), NaN where not known.

    None with fewer than two concepts, or without any that is known.
    """
    n, generator = len(base), np.random.default_rng(seed)
    drawn = np.concatenate([_drawn(base, tuned, size, generator) for size in _sizes(n)]) if n > 1 else np.empty(0)
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def swapping_p_value(base: Scores, tuned: Scores, seed: int = 0) -> float | None:
    """Two-sided p-value of the difference of shares when the models change sides at random places.

    None with fewer than two concepts, or where no change of sides would show.
    """
    if len(base) < 2:
        return None
    sides, generator = [_known_and_marked(side) for side in (base, tuned)], np.random.default_rng(seed)
    own = abs(_difference(np.zeros((1, len(base))), *sides)[0])
    drawn = [generator.integers(0, 2, (size, len(base))).astype(np.float64) for size in _sizes(len(base))]
    found = np.abs(np.concatenate([_difference(swapped, *sides) for swapped in drawn]))
    if not np.isfinite(own) or not (found > ROUNDING).any():
        return None
    return float((1 + (found >= own - ROUNDING).sum()) / (1 + len(found)))


def _sizes(n: int) -> list[int]:
    """Sizes that add up to all draws, each of a bounded number of values."""
    size = max(1, RESAMPLED_AT_ONCE // n)
    return [min(size, N_RESAMPLES - at) for at in range(0, N_RESAMPLES, size)]


def _drawn(base: Scores, tuned: Scores, size: int, generator: np.random.Generator) -> Scores:
    """Differences (size,) of mean shares, each over as many places drawn with replacement."""
    n = len(base)
    places = generator.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
    times = np.bincount(places.reshape(-1), minlength=size * n).reshape(size, n).astype(np.float64)
    return np.asarray(_mean_shares(tuned, times) - _mean_shares(base, times))


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
    return np.asarray(_divided(after[:, 1], after[:, 0]) - _divided(before[:, 1], before[:, 0]))


def _divided(part: Scores, whole: npt.NDArray[Any]) -> Scores:
    """NaN where there is nothing to divide by."""
    quotient: Scores = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > ROUNDING)
    return quotient
