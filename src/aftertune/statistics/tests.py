"""Is a difference between two groups of scores more than chance?

1. Welch's t-test (two groups of different spread), one-sided ("the first is greater") as in the paper, and two-sided.
2. A permutation test of Welch's t, which asks nothing of how scores are distributed.
3. A permutation test within data sets. Welch's test trusts that means are normally distributed; where scores are
   skewed, one group small and the other large, its p-values are far too small. And a data set that scores high and has
   most of one group's responses shows nothing by itself, so scores are permuted within each data set.
4. A permutation test of the signs of paired differences.

Where a p-value is not defined (fewer than two scores, no variance) it is None: never NaN, never a warning.

Welch (1947), Biometrika 34; Good (2005), Permutation, Parametric and Bootstrap Tests of Hypotheses. A drawn permutation
test counts the scores as they are among the permutations (Phipson and Smyth, 2010).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aftertune.statistics.effects import LEAST_PAIRS
from aftertune.statistics.spread import ALPHA, Scores, batch_size, have_spread

Strata = Sequence[str]

N_PERMUTATIONS = 9999
DECIMALS = 12
TIED = 1e-11  # sums of values of 1 at most that differ by less differ in their last bits only


def welch_p_value(greater: Scores, lesser: Scores, two_sided: bool = False) -> float | None:
    """P-value of Welch's t-test that ``greater`` (n,) has the greater mean than ``lesser`` (m,), or another mean.

    None with fewer than two scores in a group, or where no score of either group differs from its group's others.
    """
    if not have_spread(greater, lesser):
        return None
    # From moments: `ttest_ind` warns where one of the groups is flat.
    moments = (greater.mean(), greater.std(ddof=1), len(greater), lesser.mean(), lesser.std(ddof=1), len(lesser))
    return float(stats.ttest_ind_from_stats(*moments, equal_var=False, alternative=_alternative(two_sided)).pvalue)


def permutation_p_value(
    first: Scores, second: Scores, seed: int = 0, n_permutations: int = N_PERMUTATIONS
) -> float | None:
    """Two-sided p-value of a permutation test of Welch's t of ``first`` (n,) and ``second`` (m,).

    Exact where there are no more than ``n_permutations`` ways to choose the first group. None where `welch_p_value` is.
    """
    if not have_spread(first, second):
        return None
    found = stats.permutation_test(
        (first, second),
        _welch_t,
        permutation_type="independent",
        vectorized=True,
        n_resamples=n_permutations,
        batch=batch_size(len(first) + len(second)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def stratified_permutation_p_value(
    first: Scores,
    second: Scores,
    strata: tuple[Strata, Strata],
    seed: int = 0,
    n_permutations: int = N_PERMUTATIONS,
) -> float | None:
    """Two-sided p-value that ``first`` (n,) and ``second`` (m,) differ in their means, permuted within strata.

    ``strata`` has the stratum (a data set) of each score of either group; each keeps the sizes of its two groups.
    None where `welch_p_value` is.
    """
    if not have_spread(first, second):
        return None
    scores, generator = _scaled(np.concatenate([first, second])), np.random.default_rng(seed)
    found = stats.monte_carlo_test(
        scores,
        _within_strata(scores, [*strata[0], *strata[1]], generator),
        # Group sizes and the sum of all scores never change, so the first group's mean decides alone.
        lambda values, axis: _mean(values[..., : len(first)], axis),
        vectorized=True,
        n_resamples=n_permutations,
        batch=batch_size(len(scores)),
        alternative="two-sided",
    )
    return float(found.pvalue)


def sign_permutation_p_value(differences: Scores, seed: int = 0) -> float | None:
    """Two-sided p-value that paired ``differences`` (n,) are 0 on average, by a permutation test of their signs.

    Exact for up to 13 pairs that are not 0 (no sign changes those that are); of the 2^n ways to sign more of them,
    9,999 are drawn. None with fewer than two pairs, or where all differences are 0. Never below `least_p_value`.
    """
    if len(differences) < 2 or not np.abs(differences).max():
        return None
    scaled = _scaled(differences[differences != 0])
    ways, n_counted = _ways_to_sign(len(scaled), seed)
    below = above = n_ways = n_counted
    for signs in ways:
        # A product, since scipy's test copies the sample for each permutation, which takes ten times as long.
        beyond = signs @ scaled - scaled.sum()
        below, above = below + int((beyond <= TIED).sum()), above + int((beyond >= -TIED).sum())
        n_ways += len(signs)
    return min(1.0, 2 * min(below, above) / n_ways)


class LargestOfSigns(NamedTuple):
    """``p_value`` of the largest |mean| of several differences; 95 % of permutations have none beyond ``limit``."""

    p_value: float
    limit: float


def largest_sign_permutation(differences: Scores, seed: int = 0) -> LargestOfSigns | None:
    """Whether the largest |mean| over pairs of ``differences`` (n_pairs, n_traits) is more than chance.

    As `sign_permutation_p_value`, but a permutation signs all traits of a pair alike and counts its largest |mean| of
    any trait, so that the p-value holds for all traits together. None where fewer than six pairs differ in any trait.
    """
    own = differences[differences.any(axis=1)]
    if len(own) < LEAST_PAIRS:
        return None
    unit = float(np.abs(own).max())
    own = own / unit
    ways, n_counted = _ways_to_sign(len(own), seed)
    largest = np.concatenate([np.abs(signs @ own).max(axis=1) for signs in ways]) / len(differences)
    found = np.abs(own.sum(axis=0)).max() / len(differences)
    p_value = (n_counted + int((largest >= found - TIED).sum())) / (n_counted + len(largest))
    limit = float(np.quantile(largest, 1 - ALPHA, method="higher")) + TIED
    return LargestOfSigns(p_value, unit * limit)


def least_p_value(n_pairs: int) -> float:
    """The least p-value that `sign_permutation_p_value` gives of so many pairs that are not 0; 1 of fewer than two.

    That is 2 / 2^n, or 0.0002 where permutations are drawn. With fewer than 6 pairs it is above 0.05: no difference,
    however large, can be shown.
    """
    return 2 / float(min(2 ** max(n_pairs, 1), 1 + N_PERMUTATIONS))


def _ways_to_sign(n: int, seed: int) -> tuple[Iterator[Scores], int]:
    """Ways to sign n values, and how many more count as reached: drawn ones lack the signs as they are."""
    return (_all_signs(n), 0) if 2**n <= N_PERMUTATIONS else (_drawn_signs(n, seed), 1)


def _all_signs(n: int) -> Iterator[Scores]:
    """All ways to sign n values, at once (2^n, n)."""
    yield _signs(np.arange(2**n)[:, None] >> np.arange(n) & 1)


def _drawn_signs(n: int, seed: int) -> Iterator[Scores]:
    """`N_PERMUTATIONS` ways to sign n values, drawn, in batches (m, n)."""
    generator = np.random.default_rng(seed)
    for start in range(0, N_PERMUTATIONS, batch_size(n)):
        size = min(batch_size(n), N_PERMUTATIONS - start), n
        yield _signs(generator.integers(0, 2, size, np.int8))


def _signs(bits: NDArray[np.integer]) -> Scores:
    return 1 - 2 * bits.astype(np.float64)


def _alternative(two_sided: bool) -> Literal["two-sided", "greater"]:
    return "two-sided" if two_sided else "greater"


def _welch_t(first: Scores, second: Scores, axis: int) -> Scores:
    error = first.var(axis, ddof=1) / first.shape[axis] + second.var(axis, ddof=1) / second.shape[axis]
    with np.errstate(divide="ignore"):  # two flat groups that differ: t is infinite
        t: Scores = (first.mean(axis) - second.mean(axis)) / np.sqrt(error)
    return t


def _scaled(values: Scores) -> Scores:
    """Values (n,) of which the largest is 1 or -1, so that their means can be rounded."""
    return np.asarray(values / np.abs(values).max())


def _mean(values: Scores, axis: int) -> Scores:
    # Rounded, so that means which differ in their last bits only are ties.
    return np.asarray(np.round(values.mean(axis), DECIMALS))


def _within_strata(scores: Scores, strata: Strata, generator: np.random.Generator) -> Callable[..., Scores]:
    """What draws arrays of ``size`` (n_permutations, n), each row the scores (n,) permuted within every stratum."""
    of = np.array(strata, dtype=np.str_)
    members = [np.flatnonzero(of == name) for name in np.unique(of)]

    def draw(size: tuple[int, int]) -> Scores:
        found = np.empty(size)
        for places in members:
            found[:, places] = generator.permuted(np.tile(scores[places], (size[0], 1)), axis=1)
        return found

    return draw
