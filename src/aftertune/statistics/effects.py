"""How large is a difference between two groups of scores, and how large would it have to be to be found?

1. Hedges' g, a difference in standard deviations (Hedges, 1981, Journal of Educational Statistics 6).
2. AUROC, how well scores tell two groups apart: Mann and Whitney's U over all pairs.
3. The smallest effect that a test of groups, or of pairs, finds with 80 % power (Cohen, 1988).

Where a number is not defined it is None: never NaN, never a warning.

How sure are we of a number?  95 % percentile bootstrap intervals, from a seed (Efron and Tibshirani, 1993).

An interval is None with fewer than two values in a group: never NaN, never a warning.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from aftertune.statistics.spread import ALPHA, Interval, Scores, batch_size, have_spread

POWER = 0.8
LEAST_PAIRS = 6  # 2 / 2^5 is above 0.05: of fewer pairs the signs never show a difference


def hedges_g(first: Scores, second: Scores) -> float | None:
    """Hedges' g: mean of ``first`` (n,) minus that of ``second`` (m,), in pooled standard deviations, unbiased.

    Cohen's d with the exact small-sample factor J = gamma(k/2) / (sqrt(k/2) gamma((k-1)/2)), k = n + m - 2. None with
    fewer than two scores in a group, or without variance.
    """
    if not have_spread(first, second):
        return None
    k = len(first) + len(second) - 2
    pooled = np.sqrt(((len(first) - 1) * first.var(ddof=1) + (len(second) - 1) * second.var(ddof=1)) / k)
    unbiased = np.exp(special.gammaln(k / 2) - special.gammaln((k - 1) / 2)) / np.sqrt(k / 2)
    return float(unbiased * (first.mean() - second.mean()) / pooled)


def auroc(positive: Scores, negative: Scores) -> float | None:
    """Probability that a score of ``positive`` (n,) exceeds one of ``negative`` (m,), a tie counting half.

    None if a group is empty.
    """
    return float(auroc_along(positive, negative)) if len(positive) and len(negative) else None


def auroc_along(positive: Scores, negative: Scores, axis: int = -1) -> Scores:
    """`auroc` along an axis of arrays (..., n) and (..., m) that are not empty."""
    found = stats.mannwhitneyu(positive, negative, axis=axis, method="asymptotic")  # its p-value is not used
    return np.asarray(found.statistic / (positive.shape[axis] * negative.shape[axis]))


def detectable_effect(n_first: int, n_second: int) -> float | None:
    """Smallest difference, in standard deviations, that a two-sided 5 % t-test of two groups finds with 80 % power.

    None if a group has fewer than two members.
    """
    from statsmodels.stats.power import TTestIndPower  # pandas comes with it: only where it is needed

    if min(n_first, n_second) < 2:
        return None
    asked = {"nobs1": n_first, "ratio": n_second / n_first, "alpha": ALPHA, "power": POWER}
    return float(TTestIndPower().solve_power(**asked, alternative="two-sided"))


def detectable_paired_effect(n_pairs: int) -> float | None:
    """Smallest mean difference of pairs, in standard deviations of the differences, that is found with 80 % power.

    By a two-sided 5 % test: that of a paired t-test, which a permutation test of signs comes close to from 7 pairs on.
    Of 6 pairs signs give p < 0.05 only where all are the same, so it is the mean at which that happens 80 % of times to
    normal differences. None of fewer than 6, of which they never do.
    """
    if n_pairs < LEAST_PAIRS:
        return None
    if n_pairs == LEAST_PAIRS:
        return float(special.ndtri(POWER ** (1 / n_pairs)))
    limit = stats.t.isf(ALPHA / 2, n_pairs - 1)
    # The chance of a t below -limit is left out: at this power it is far below one in a million.
    return float(special.nctdtrinc(n_pairs - 1, 1 - POWER, limit) / np.sqrt(n_pairs))


Statistic = Callable[..., Scores]

N_RESAMPLES = 2000
CONFIDENCE = 0.95


def mean_interval(values: Scores, seed: int = 0) -> Interval | None:
    """Interval of the mean of ``values`` (n,); None with fewer than two."""
    return bootstrap_interval((values,), np.mean, seed)


def mean_difference_interval(first: Scores, second: Scores, seed: int = 0) -> Interval | None:
    """Interval of mean(first) - mean(second), both groups resampled; None with fewer than two scores in a group."""
    return bootstrap_interval((first, second), lambda one, other, axis: one.mean(axis) - other.mean(axis), seed)


def paired_difference_interval(first: Scores, second: Scores, seed: int = 0) -> Interval | None:
    """Interval of mean(first - second), pairs (n,) resampled; None with fewer than two pairs."""
    return mean_interval(first - second, seed)


def auroc_interval(positive: Scores, negative: Scores, seed: int = 0) -> Interval | None:
    """Interval of the AUROC, both groups resampled; None with fewer than two scores in a group."""
    return bootstrap_interval((positive, negative), auroc_along, seed)


def cluster_bootstrap_interval(
    n_clusters: int, statistic: Callable[[Scores], Scores], seed: int = 0
) -> Interval | None:
    """Interval of a statistic of ``n_clusters`` clusters (prompts, places) that are resampled whole.

    ``statistic`` takes how often each cluster was drawn (n_samples, n_clusters) and gives numbers (n_samples,), NaN
    where it is not defined; those are left out. None with fewer than two clusters, or if no sample has a number.
    """
    return bootstrap_interval((np.arange(n_clusters),), lambda drawn, axis: statistic(_times(drawn)), seed)  # noqa: ARG005


def bootstrap_interval(
    samples: Sequence[npt.NDArray[np.float64 | np.int64]], statistic: Statistic, seed: int = 0
) -> Interval | None:
    """Interval of ``statistic(*samples, axis)``, each sample (n,) resampled by itself; NaN is left out.

    None with fewer than two values in a sample, or if no resample has a number.
    """
    if min(map(len, samples)) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # of resamples without a number
        found = stats.bootstrap(
            samples,
            statistic,
            n_resamples=N_RESAMPLES,
            batch=batch_size(sum(map(len, samples))),
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return _percentiles(found.bootstrap_distribution)


def _percentiles(drawn: Scores) -> Interval | None:
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _times(drawn: npt.NDArray[np.int64]) -> Scores:
    """How often each of n places is among the drawn ones (n_samples, n), as numbers of the same shape."""
    size, n = drawn.shape
    numbered = drawn + n * np.arange(size)[:, None]
    return np.bincount(numbered.reshape(-1), minlength=size * n).reshape(size, n).astype(np.float64)
