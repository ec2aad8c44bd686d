"""How sure are we of a number?  95 % percentile bootstrap intervals, from a seed (Efron and Tibshirani, 1993).

An interval is None with fewer than two values in a group: never NaN, never a warning.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from aftertune.statistics.effects import auroc_along
from aftertune.statistics.spread import Interval, Scores, batch_size

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
