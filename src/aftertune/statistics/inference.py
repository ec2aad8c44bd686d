"""Is a difference between two groups of scores more than chance, how large is it, and how sure are we?

1. Tests: Welch's (two groups of different spread) and the paired t-test, one-sided ("the first is greater") as in the
   paper, and two-sided; a permutation test of Welch's t, which asks nothing of how scores are distributed.
2. Sizes: Hedges' g (a difference in standard deviations) and AUROC (how well scores tell the groups apart).
3. Intervals: 95 % percentile bootstrap, from a seed.
4. Several questions at once: Holm's correction.
5. What a sample could have shown: the smallest effect that the test finds with 80 % power.

Where a number is not defined (fewer than two scores, no variance) the answer is None: never NaN, never a warning.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Scores = npt.NDArray[np.float64]
Interval = tuple[float, float]

N_RESAMPLES = 2000
N_PERMUTATIONS = 9999
CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8
SMALLEST_BRACKET, LARGEST_EFFECT = 0.01, 50.0
ROUNDING = 1e-12
RESAMPLED_AT_ONCE = 2_000_000


def welch_p_value(greater: Scores, lesser: Scores, two_sided: bool = False) -> float | None:
    """P-value of Welch's t-test that ``greater`` (n,) has the greater mean than ``lesser`` (m,), or another mean.

    None with fewer than two scores in a group, or where no score of either group differs from its group's others.
    """
    if min(len(greater), len(lesser)) < 2 or (_is_flat(greater) and _is_flat(lesser)):
        return None
    alternative: Literal["two-sided", "greater"] = "two-sided" if two_sided else "greater"
    moments = (greater.mean(), greater.std(ddof=1), len(greater), lesser.mean(), lesser.std(ddof=1), len(lesser))
    return float(stats.ttest_ind_from_stats(*moments, equal_var=False, alternative=alternative).pvalue)


def permutation_p_value(
    first: Scores, second: Scores, seed: int = 0, n_permutations: int = N_PERMUTATIONS
) -> float | None:
    """Two-sided p-value of Welch's t when the scores of ``first`` (n,) and ``second`` (m,) are dealt out again.

    Exact where there are no more than ``n_permutations`` ways to deal them. None where `welch_p_value` is None.
    """
    if min(len(first), len(second)) < 2 or (_is_flat(first) and _is_flat(second)):
        return None
    at_once = max(1, RESAMPLED_AT_ONCE // (len(first) + len(second)))
    generator = np.random.default_rng(seed)
    found = stats.permutation_test(
        (first, second), _welch_t, vectorized=True, n_resamples=n_permutations, batch=at_once, rng=generator
    )
    return float(found.pvalue)


def paired_p_value(greater: Scores, lesser: Scores, two_sided: bool = False) -> float | None:
    """P-value of the paired t-test that ``greater`` (n,) exceeds ``lesser`` (n,) on average, or differs from it.

    None with fewer than two pairs, or where all differences are the same.
    """
    differences = greater - lesser
    if len(differences) < 2 or np.ptp(differences) <= ROUNDING * max(np.abs(greater).max(), np.abs(lesser).max()):
        return None
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(len(differences)))
    degrees = len(differences) - 1
    return float(2 * stats.t.sf(abs(t), degrees) if two_sided else stats.t.sf(t, degrees))


def hedges_g(first: Scores, second: Scores) -> float | None:
    """Hedges' g: mean of ``first`` (n,) minus that of ``second`` (m,), in pooled standard deviations, unbiased.

    Cohen's d with the exact small-sample factor J = gamma(k/2) / (sqrt(k/2) gamma((k-1)/2)), k = n + m - 2. None with
    fewer than two scores in a group, or without variance.
    """
    if min(len(first), len(second)) < 2 or (_is_flat(first) and _is_flat(second)):
        return None
    k = len(first) + len(second) - 2
    pooled = np.sqrt(((len(first) - 1) * first.var(ddof=1) + (len(second) - 1) * second.var(ddof=1)) / k)
    unbiased = np.exp(special.gammaln(k / 2) - special.gammaln((k - 1) / 2)) / np.sqrt(k / 2)
    return float(unbiased * (first.mean() - second.mean()) / pooled)


def auroc(positive: Scores, negative: Scores) -> float | None:
    """Probability that a score of ``positive`` (n,) exceeds one of ``negative`` (m,), a tie counting half.

    None if a group is empty.
    """
    if not len(positive) or not len(negative):
        return None
    counts = _value_counts(positive, negative)
    return float(_auroc_of_counts(counts[:1], counts[1:])[0])


def mean_interval(values: Scores, seed: int = 0) -> Interval | None:
    """Interval of the mean of ``values`` (n,); None with fewer than two."""
    if len(values) < 2:
        return None
    return _interval(lambda size, generator: _resampled_means(values, size, generator), len(values), seed)


def mean_difference_interval(first: Scores, second: Scores, seed: int = 0) -> Interval | None:
    """Interval of mean(first) - mean(second), both groups resampled; None with fewer than two scores in a group."""
    if min(len(first), len(second)) < 2:
        return None

    def draw(size: int, generator: np.random.Generator) -> Scores:
        return _resampled_means(first, size, generator) - _resampled_means(second, size, generator)

    return _interval(draw, len(first) + len(second), seed)


def paired_difference_interval(first: Scores, second: Scores, seed: int = 0) -> Interval | None:
    """Interval of mean(first - second), pairs (n,) resampled; None with fewer than two pairs."""
    return mean_interval(first - second, seed)


def auroc_interval(positive: Scores, negative: Scores, seed: int = 0) -> Interval | None:
    """Interval of the AUROC, both groups resampled; None with fewer than two scores in a group."""
    if min(len(positive), len(negative)) < 2:
        return None
    shares = _value_counts(positive, negative) / np.array([[len(positive)], [len(negative)]])

    def draw(size: int, generator: np.random.Generator) -> Scores:
        above = generator.multinomial(len(positive), shares[0], size)
        return _auroc_of_counts(above, generator.multinomial(len(negative), shares[1], size))

    return _interval(draw, 2 * shares.shape[1], seed)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction for asking several questions at once; None stays None and is not counted."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[index] = largest
    return corrected


def detectable_effect(n_first: int, n_second: int) -> float | None:
    """Smallest difference, in standard deviations, that a one-sided 5 % t-test of two groups finds with 80 % power.

    None if a group has fewer than two members, or if only a difference beyond 50 standard deviations would do.
    """
    if min(n_first, n_second) < 2:
        return None
    degrees, scale = n_first + n_second - 2, np.sqrt(n_first * n_second / (n_first + n_second))
    critical = stats.t.isf(ALPHA, degrees)

    def lacking(effect: float) -> float:
        return float(stats.nct.sf(critical, degrees, effect * scale)) - POWER

    # Doubled step by step: far beyond the answer the noncentral t distribution is not computed reliably.
    largest = SMALLEST_BRACKET
    while lacking(largest) < 0:
        largest *= 2
        if largest > LARGEST_EFFECT:
            return None
    return float(optimize.brentq(lacking, 0.0, largest))


def _is_flat(values: Scores) -> bool:
    # Equal values may differ in their last bits after a sum; no test can use such a difference.
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def _welch_t(first: Scores, second: Scores, axis: int) -> Scores:
    error = first.var(axis, ddof=1) / first.shape[axis] + second.var(axis, ddof=1) / second.shape[axis]
    with np.errstate(divide="ignore"):  # two flat groups that differ: t is infinite
        t: Scores = (first.mean(axis) - second.mean(axis)) / np.sqrt(error)
    return t


def _resampled_means(values: Scores, size: int, generator: np.random.Generator) -> Scores:
    means: Scores = values[generator.integers(0, len(values), (size, len(values)))].mean(axis=1)
    return means


def _value_counts(positive: Scores, negative: Scores) -> npt.NDArray[np.int64]:
    """How often each distinct value, smallest first, occurs in either group (2, n_values)."""
    values, place = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    groups = place[: len(positive)], place[len(positive) :]
    return np.stack([np.bincount(group, minlength=len(values)) for group in groups])


def _auroc_of_counts(positive: npt.NDArray[np.int64], negative: npt.NDArray[np.int64]) -> Scores:
    """AUROC (n_samples,) from counts of the distinct values, smallest first (n_samples, n_values)."""
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs: Scores = positive.sum(axis=1) * negative.sum(axis=1)
    return np.asarray((positive * below).sum(axis=1) / pairs, dtype=np.float64)


def _interval(draw: Callable[[int, np.random.Generator], Scores], n_values: int, seed: int) -> Interval:
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([draw(size, generator) for size in _batches(n_values)])
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _batches(n_values: int) -> Iterator[int]:
    """Sizes that add up to all resamples, each of a bounded number of values."""
    size = max(1, RESAMPLED_AT_ONCE // n_values)
    for start in range(0, N_RESAMPLES, size):
        yield min(size, N_RESAMPLES - start)
