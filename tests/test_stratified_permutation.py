"""The test behind claims of prompts: a permutation test within data sets."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from aftertune.explainers.attribution.change import compare_maps
from aftertune.statistics.tests import stratified_permutation_p_value
from comparison_samples import make_map

SCORES = np.array([0.9, 0.8, 0.7, 0.1, 0.5, 0.3, 0.2, 0.0])


def test_it_is_the_share_of_permutations_with_as_large_a_sum() -> None:
    own = SCORES[:3].sum()
    exact = 2 * np.mean([sum(first) >= own - 1e-9 for first in combinations(SCORES, 3)])
    assert exact == pytest.approx(2 / 56)
    up = stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5))
    down = stratified_permutation_p_value(SCORES[3:], SCORES[:3], (["d"] * 5, ["d"] * 3))
    assert up == pytest.approx(exact, abs=0.01) and down == pytest.approx(exact, abs=0.01)
    assert stratified_permutation_p_value(SCORES[:1], SCORES[3:], (["d"], ["d"] * 5)) is None
    apart = stratified_permutation_p_value(SCORES, SCORES + 1, (["d"] * 8, ["d"] * 8), n_permutations=99)
    assert apart == pytest.approx(2 / 100)


def test_equal_permutations_count_as_much_as_the_real_one() -> None:
    one, other = np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])
    p = stratified_permutation_p_value(one, other, (["d"] * 3, ["d"] * 4))
    # 2 or more of the 4 ones among 3 (22 of 35), or 2 or fewer (31 of 35): twice the smaller share is above 1.
    assert stats.hypergeom.sf(1, 7, 4, 3) == pytest.approx(22 / 35) and p == 1
    fewer = stratified_permutation_p_value(np.array([0.0, 0.0, 1.0]), np.ones(4), (["d"] * 3, ["d"] * 4))
    assert fewer == pytest.approx(2 * stats.hypergeom.cdf(1, 7, 5, 3), abs=0.02)  # 1 or fewer of the 5 ones among 3


def test_scores_are_permuted_within_their_data_set() -> None:
    """All of the high data set's responses followed but one: pooled that looks like evidence, within them it's none."""
    high, low = np.array([3.0, 3.1, 2.9, 3.05]), np.array([1.0, 1.1, 0.9, 1.05])
    followed, unfollowed = np.concatenate([high[:3], low[:1]]), np.concatenate([high[3:], low[1:]])
    together = stratified_permutation_p_value(followed, unfollowed, (["d"] * 4, ["d"] * 4))
    apart = stratified_permutation_p_value(followed, unfollowed, (["x"] * 3 + ["y"], ["x"] + ["y"] * 3))
    # The first groups: 3 of the high ones (4 ways) with 1 of the low ones (4 ways); 11 of the 16 have such a sum.
    sums = [sum(h) + y for h in combinations(high, 3) for y in low]
    above, below = (np.mean([sign * (one - followed.sum()) >= -1e-9 for one in sums]) for sign in (1, -1))
    assert apart == pytest.approx(min(2 * min(above, below), 1), abs=0.02)
    assert together is not None and apart is not None and apart > 2 * together


def test_many_permutations_are_made_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5))
    monkeypatch.setattr("aftertune.statistics.spread.RESAMPLED_AT_ONCE", 800)
    assert stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5)) == whole


def test_table_1_carries_it() -> None:
    rated = [make_map(f"{n}", "new", n, helpfulness=4 if n < 4 else 1) for n in range(8)]
    (row1,) = compare_maps([*rated, make_map("x", "old", 1)], "old", "new").table1
    assert row1.p_value_permutation == pytest.approx(2 / 70, abs=0.01)  # all that follow score lower
