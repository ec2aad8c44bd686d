"""How large is a difference between two groups of scores, and how large would it have to be to be found?

1. Hedges' g, a difference in standard deviations (Hedges, 1981, Journal of Educational Statistics 6).
2. AUROC, how well scores tell two groups apart: Mann and Whitney's U over all pairs.
3. The smallest effect that a test finds with 80 % power (Cohen, 1988).

Where a number is not defined it is None: never NaN, never a warning.
"""

import numpy as np
from scipy import special, stats

from aftertune.statistics.spread import ALPHA, Scores, have_spread

POWER = 0.8


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
    """Smallest difference, in standard deviations, that a one-sided 5 % t-test of two groups finds with 80 % power.

    None if a group has fewer than two members.
    """
    from statsmodels.stats.power import TTestIndPower  # pandas comes with it: only where it is needed

    if min(n_first, n_second) < 2:
        return None
    asked = {"nobs1": n_first, "ratio": n_second / n_first, "alpha": ALPHA, "power": POWER}
    return float(TTestIndPower().solve_power(**asked, alternative="larger"))
