"""Tests, effect sizes, intervals and corrections against oracles and published numbers."""

import subprocess
import sys
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from aftertune.statistics.corrections import benjamini_hochberg, holm
from aftertune.statistics.effects import (
    auroc,
    auroc_interval,
    cluster_bootstrap_interval,
    detectable_effect,
    detectable_paired_effect,
    hedges_g,
    mean_difference_interval,
    mean_interval,
    paired_difference_interval,
)
from aftertune.statistics.tests import (
    least_p_value,
    permutation_p_value,
    sign_permutation_p_value,
    welch_p_value,
)

generator = np.random.default_rng(7)
TUNED, BASE = generator.normal(1.0, 0.6, 23), generator.normal(0.7, 0.3, 31)
EMPTY, ONE, FLAT = np.array([]), np.array([1.0]), np.array([0.1 + 0.2, 0.3, 0.3])


def welch_by_hand(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """T and degrees of freedom (Welch-Satterthwaite), sums written out."""
    a, b = (sum((x - sum(v) / len(v)) ** 2 for x in v) / (len(v) - 1) / len(v) for v in (first, second))
    t = (sum(first) / len(first) - sum(second) / len(second)) / (a + b) ** 0.5
    return t, (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))


def test_welch_is_the_closed_form() -> None:
    t, degrees = welch_by_hand(TUNED, BASE)
    assert welch_p_value(TUNED, BASE) == pytest.approx(special.stdtr(degrees, -t), rel=1e-9)
    assert welch_p_value(TUNED, BASE, two_sided=True) == pytest.approx(2 * special.stdtr(degrees, -abs(t)), rel=1e-9)
    assert welch_p_value(BASE, TUNED) == pytest.approx(1 - special.stdtr(degrees, -t), rel=1e-9)


def test_welch_needs_variance_in_one_group_only() -> None:
    assert welch_p_value(np.array([1.0, 1.0]), np.array([0.0, 0.5])) == pytest.approx(special.stdtr(1, -3.0))


def test_permutation_of_few_scores_goes_through_every_way() -> None:
    first, second = np.array([5.0, 7.0, 6.5]), np.array([1.0, 2.0, 4.0, 6.0])
    whole, permuted = [*first, *second], []
    for chosen in combinations(range(7), 3):
        groups = [whole[i] for i in chosen], [whole[i] for i in range(7) if i not in chosen]
        permuted.append(welch_by_hand(*map(np.array, groups))[0])
    t = welch_by_hand(first, second)[0]
    above, below = (np.mean([sign * x >= sign * t - 1e-12 for x in permuted]) for sign in (1, -1))
    assert permutation_p_value(first, second) == pytest.approx(2 * min(above, below))


def test_permutation_is_drawn_from_its_seed_and_agrees_with_welch_on_normal_scores() -> None:
    found = permutation_p_value(TUNED, BASE, seed=1)
    assert found == permutation_p_value(TUNED, BASE, seed=1)
    assert found != permutation_p_value(TUNED, BASE, seed=2, n_permutations=499)
    near, other = np.random.default_rng(1).normal(0.0, 1, 30), np.random.default_rng(2).normal(0.3, 2, 300)
    assert permutation_p_value(near, other) == pytest.approx(welch_p_value(near, other, two_sided=True), abs=0.03)


def test_permutation_of_flat_groups_that_differ_in_size_has_no_warning() -> None:
    # Some permutations of these give two flat groups, where t is infinite.
    assert permutation_p_value(np.array([1.0, 0.0]), np.array([1.0, 0.0, 0.0])) == 1.0


def test_hedges_g_by_hand() -> None:
    # d = -1 / 1, and J(4) = gamma(2) / (sqrt(2) gamma(1.5)) = 0.797885.
    assert hedges_g(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])) == pytest.approx(-0.7978845608)
    # Unequal groups: pooled variance (1 * 2 + 3 * 5/3) / 4 = 1.75, difference 3 - 2.5.
    unequal = hedges_g(np.array([2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert unequal == pytest.approx(0.5 / 1.75**0.5 * 0.7978845608)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
)
def test_auroc_counts_every_pair(positive: list[int], negative: list[int]) -> None:
    wins = sum((a > b) + 0.5 * (a == b) for a in positive for b in negative)
    found = auroc(np.array(positive, dtype=float), np.array(negative, dtype=float))
    assert found == pytest.approx(wins / len(positive) / len(negative))


def test_holm_by_hand() -> None:
    # Smallest first: 0.01 * 3, 0.03 * 2, then 0.04 * 1, which may not fall below the one before.
    assert holm([0.04, None, 0.01, 0.03]) == pytest.approx([0.06, None, 0.03, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([None]) == [None]
    assert holm([]) == []


def test_holm_is_that_of_statsmodels() -> None:
    p_values = np.round(np.random.default_rng(4).random(60) ** 3, 2)  # with ties
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_benjamini_hochberg_by_hand() -> None:
    # Of three: 0.04 * 3 / 3, then 0.03 * 3 / 2, which may not exceed the one after, then 0.01 * 3.
    assert benjamini_hochberg([0.04, None, 0.01, 0.03]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert benjamini_hochberg([None]) == [None] and benjamini_hochberg([]) == []


def test_signs_are_permuted_in_every_way() -> None:
    differences = np.array([1.0, 2.0, 3.0, -0.5, 0.0])
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=5)]
    expected = np.mean([one >= differences.sum() - 1e-12 for one in sums])
    assert sign_permutation_p_value(differences) == pytest.approx(expected)
    assert sign_permutation_p_value(-differences * 1e-9) == pytest.approx(expected)
    assert sign_permutation_p_value(np.array([0.1, 0.2, -0.3])) == 1  # equal but for their last bits


@pytest.mark.parametrize("n_pairs", [2, 6, 12, 13])
def test_all_signs_are_those_of_scipy(n_pairs: int) -> None:
    differences = np.random.default_rng(n_pairs).normal(0.3, 1, n_pairs)

    def mean(values: np.ndarray, axis: int) -> np.ndarray:
        return np.round(values.mean(axis), 12)

    expected = stats.permutation_test((differences,), mean, permutation_type="samples", vectorized=True).pvalue
    assert sign_permutation_p_value(differences) == pytest.approx(expected)


def test_signs_of_many_pairs_are_drawn_and_agree_with_the_paired_test_on_normal_scores() -> None:
    first, second = TUNED, BASE[:23] + 0.2
    found = sign_permutation_p_value(first - second)
    assert found == sign_permutation_p_value(first - second) != sign_permutation_p_value(first - second, seed=1)
    # Doubled, one p-value of 9,999 draws has a standard error of 0.01.
    drawn = [sign_permutation_p_value(first - second, seed) for seed in range(8)]
    assert np.mean(drawn) == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)


@pytest.mark.parametrize("n_pairs", [2, 3, 5, 6, 13, 14, 40])
def test_signs_never_give_less_than_the_least_p_value(n_pairs: int) -> None:
    least = least_p_value(n_pairs)
    assert least == pytest.approx(max(2 / 2**n_pairs, 2 / 10_000)) and (least > 0.05) == (n_pairs < 6)
    found = sign_permutation_p_value(np.ones(n_pairs))
    assert found == pytest.approx(least, abs=4e-4) and found >= least


def test_no_pairs_have_no_p_value() -> None:
    for differences in (EMPTY, ONE, np.zeros(8)):
        assert sign_permutation_p_value(differences) is None
    assert least_p_value(0) == least_p_value(1) == 1


def test_undefined_is_none_without_a_warning() -> None:
    for first, second in ((EMPTY, BASE), (ONE, BASE), (ONE, ONE), (FLAT, FLAT)):
        assert welch_p_value(first, second) is None
        assert permutation_p_value(first, second) is None
        assert hedges_g(first, second) is None
    assert auroc(EMPTY, BASE) is None and auroc(BASE, EMPTY) is None
    assert mean_difference_interval(ONE, BASE) is None
    assert mean_interval(ONE) is None and mean_interval(EMPTY) is None
    assert auroc_interval(BASE, ONE) is None
    assert paired_difference_interval(ONE, ONE) is None
    assert detectable_effect(1, 50) is None and detectable_paired_effect(5) is None


def test_intervals_match_the_normal_approximation() -> None:
    first, second = np.random.default_rng(1).normal(1, 0.5, 400), np.random.default_rng(2).normal(0.8, 0.3, 300)
    width = 1.96 * (first.var() / 400 + second.var() / 300) ** 0.5
    found, middle = mean_difference_interval(first, second), first.mean() - second.mean()
    assert found == pytest.approx((middle - width, middle + width), abs=0.1 * width)
    width = 1.96 * first.std() / 400**0.5
    assert mean_interval(first) == pytest.approx((first.mean() - width, first.mean() + width), abs=0.1 * width)
    pairs = first[:300] - second
    width, middle = 1.96 * pairs.std() / 300**0.5, pairs.mean()
    found = paired_difference_interval(first[:300], second)
    assert found == pytest.approx((middle - width, middle + width), abs=0.1 * width)


def test_auroc_interval_matches_plain_resampling() -> None:
    first, second = np.round(TUNED, 1), np.round(BASE, 1)
    draws = np.random.default_rng(3)
    plain = []
    for _ in range(1500):
        a, b = draws.choice(first, len(first)), draws.choice(second, len(second))
        plain.append(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
    assert auroc_interval(first, second) == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)


def test_clusters_are_resampled_whole_and_samples_without_a_number_left_out() -> None:
    assert cluster_bootstrap_interval(23, lambda times: times @ TUNED / 23) == pytest.approx(mean_interval(TUNED))
    low, high = cluster_bootstrap_interval(4, lambda times: np.where(times[:, 0] > 0, times[:, 0], np.nan)) or (0, 0)
    assert (low, high) == (1, 3)
    assert cluster_bootstrap_interval(4, lambda times: np.full(len(times), np.nan)) is None
    assert cluster_bootstrap_interval(1, lambda times: times[:, 0]) is None


def test_intervals_come_from_their_seed() -> None:
    assert mean_difference_interval(TUNED, BASE, 1) == mean_difference_interval(TUNED, BASE, 1)
    assert mean_difference_interval(TUNED, BASE, 1) != mean_difference_interval(TUNED, BASE, 2)
    assert auroc_interval(TUNED, BASE, 1) == auroc_interval(TUNED, BASE, 1)
    assert auroc_interval(TUNED, BASE, 1) != auroc_interval(TUNED, BASE, 2)


def test_intervals_of_large_groups_are_drawn_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.statistics.spread.RESAMPLED_AT_ONCE", 1000)
    whole = TUNED.mean() - BASE.mean()
    low, high = mean_difference_interval(TUNED, BASE) or (0.0, 0.0)
    assert low < whole < high


@pytest.mark.parametrize(("first", "second"), [(2, 2), (5, 8), (19, 60), (1000, 3000)])
def test_detectable_effect_has_80_percent_power(first: int, second: int) -> None:
    effect, degrees = detectable_effect(first, second), first + second - 2
    assert effect is not None
    shift, critical = effect * (first * second / (first + second)) ** 0.5, stats.t.ppf(0.975, degrees)

    def rejected(quantile: float) -> float:
        limit = critical * (stats.chi2.ppf(quantile, degrees) / degrees) ** 0.5
        return float(stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift))

    assert integrate.quad(rejected, 0, 1, limit=200)[0] == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("n_pairs", [7, 12, 50, 632])
def test_detectable_paired_effect_is_that_of_the_paired_t_test(n_pairs: int) -> None:
    expected = TTestPower().solve_power(nobs=n_pairs, alpha=0.05, power=0.8, alternative="two-sided")
    assert detectable_paired_effect(n_pairs) == pytest.approx(expected, abs=1e-5)


def test_six_pairs_show_a_difference_only_where_all_signs_are_the_same() -> None:
    effect = detectable_paired_effect(6) or 0.0
    assert stats.norm.cdf(effect) ** 6 == pytest.approx(0.8)
    drawn = np.random.default_rng(0).normal(effect, 1, (400, 6))
    power = np.mean([(sign_permutation_p_value(one) or 1.0) < 0.05 for one in drawn])
    assert power == pytest.approx(0.8, abs=0.06)


def test_importing_is_quick() -> None:
    modules = ("tests", "effects", "corrections", "agreement", "layers", "questions", "spread")
    imports = "; ".join(f"import aftertune.statistics.{name}" for name in modules)
    slow = "{'torch', 'statsmodels', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"import sys; {imports}; assert not {slow}"], check=True)
