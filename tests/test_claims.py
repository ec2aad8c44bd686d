"""The tests behind claims of prompts and of heads: a permutation test within data sets, and leaving words out."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from aftertune.explainers.heads.word_parts import N_PARTS, distances_without, excess_test, word_parts
from scipy import stats

from aftertune.explainers.attribution.change import compare_maps
from aftertune.explainers.heads.compare import compare_heads
from aftertune.explainers.heads.list_changes import HEAD
from aftertune.explainers.heads.result import PAIRS
from aftertune.statistics.tests import stratified_permutation_p_value
from comparison_samples import make_map
from null_runs import ASKED, GENERAL, null_heads

SCORES = np.array([0.9, 0.8, 0.7, 0.1, 0.5, 0.3, 0.2, 0.0])


def test_a_permutation_test_gives_the_share_of_permutations_with_as_large_a_sum() -> None:
    own = SCORES[:3].sum()
    exact = np.mean([sum(first) >= own - 1e-9 for first in combinations(SCORES, 3)])
    assert stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5)) == pytest.approx(
        exact, abs=0.006
    )
    assert stratified_permutation_p_value(SCORES[3:], SCORES[:3], (["d"] * 5, ["d"] * 3)) == pytest.approx(1)
    assert stratified_permutation_p_value(SCORES[:1], SCORES[3:], (["d"], ["d"] * 5)) is None
    assert stratified_permutation_p_value(SCORES, SCORES + 1, (["d"] * 8, ["d"] * 8), n_permutations=99) == 1


def test_equal_permutations_count_as_much_as_the_real_one() -> None:
    one, other = np.array([1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 0.0])
    p = stratified_permutation_p_value(one, other, (["d"] * 3, ["d"] * 4))
    assert p == pytest.approx(stats.hypergeom.sf(1, 7, 4, 3), abs=0.02)  # 2 or more of the 4 ones among 3


def test_scores_are_permuted_within_their_data_set() -> None:
    """All of the high data set's responses followed but one: pooled that looks like evidence, within them it's none."""
    high, low = np.array([3.0, 3.1, 2.9, 3.05]), np.array([1.0, 1.1, 0.9, 1.05])
    followed, unfollowed = np.concatenate([high[:3], low[:1]]), np.concatenate([high[3:], low[1:]])
    together = stratified_permutation_p_value(followed, unfollowed, (["d"] * 4, ["d"] * 4))
    apart = stratified_permutation_p_value(followed, unfollowed, (["x"] * 3 + ["y"], ["x"] + ["y"] * 3))
    # The first groups: 3 of the high ones (4 ways) with 1 of the low ones (4 ways); 11 of the 16 have such a sum.
    sums = [sum(h) + y for h in combinations(high, 3) for y in low]
    assert apart == pytest.approx(np.mean([one >= followed.sum() - 1e-9 for one in sums]), abs=0.02)
    assert together is not None and apart is not None and apart > 2 * together


def test_many_permutations_are_made_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5))
    monkeypatch.setattr("aftertune.statistics.spread.RESAMPLED_AT_ONCE", 800)
    assert stratified_permutation_p_value(SCORES[:3], SCORES[3:], (["d"] * 3, ["d"] * 5)) == whole


def test_tables_carry_both_p_values() -> None:
    maps = [make_map(f"{n}", model, k + n % 3) for model, k in (("old", 1), ("new", 9)) for n in range(6)]
    (row,) = compare_maps(maps, "old", "new").table2
    assert row.p_value is not None and row.p_value < 1e-4
    assert row.p_value_permutation == pytest.approx(1 / 924, abs=0.001)  # one of the ways to choose 6 of 12
    rated = [make_map(f"{n}", "new", n, helpfulness=4 if n < 4 else 1) for n in range(8)]
    (row1,) = compare_maps([*rated, make_map("x", "old", 1)], "old", "new").table1
    assert row1.p_value_permutation == pytest.approx(1)


def lists(pairs: list[tuple[int, str, str]]) -> pl.DataFrame:
    rows = [(0, head, rank, a, b, 2) for rank, (head, a, b) in enumerate(pairs, 1)]
    return pl.DataFrame(rows, schema=dict(PAIRS), orient="row")


def test_a_distance_is_taken_without_the_pairs_of_a_part() -> None:
    base = lists([(0, "a", "b"), (0, "c", "d"), (0, "a", "e"), (1, "a", "b")])
    tuned = lists([(0, "a", "b"), (0, "c", "f"), (0, "a", "e")])
    parts = pl.DataFrame({"word": list("abcdef"), "part": [0, 0, 1, 1, 2, 2]})
    found = distances_without(base, tuned, HEAD, parts)
    # Head 0: kept a-b, a-e; lost c-d; gained c-f. Head 1 lost a-b, and has nothing without part 0.
    assert found.rows() == [(0, 0, 0, 1.0), (0, 0, 1, 0.0), (0, 0, 2, 0.5), (0, 1, 1, 1.0), (0, 1, 2, 1.0)]


def test_words_are_split_into_parts_of_about_the_same_size() -> None:
    frame = lists([(0, f"a{n}", f"b{n}") for n in range(35)])
    parts = word_parts([frame, frame])
    assert parts["word"].n_unique() == 70 and set(parts["part"].value_counts()["count"]) == {3, 4}
    assert parts["part"].n_unique() == N_PARTS and not parts.equals(word_parts([frame], seed=1))
    assert word_parts([frame.head(19)]).is_empty() and word_parts([frame.head(20)]).height == 40


def test_an_excess_is_held_against_its_spread_over_parts() -> None:
    left = np.linspace(0.1, 0.2, N_PARTS)
    observed, control = (
        pl.DataFrame({"layer": 0, "head": 0, "part": range(N_PARTS), "distance": values}) for values in (left, left * 0)
    )
    error = np.sqrt((N_PARTS - 1) / N_PARTS * ((left - left.mean()) ** 2).sum())
    interval, p_value = excess_test(0.15, observed, control)
    assert p_value == pytest.approx(stats.t.sf(0.15 / error, N_PARTS - 1))
    assert interval == pytest.approx(stats.t.interval(0.95, N_PARTS - 1, 0.15, error))
    assert excess_test(None, observed, control) == excess_test(0.1, observed.head(9), control) == (None, None)
    assert excess_test(0.1, observed, observed) == (None, None)


def test_intervals_of_heads_are_over_words_and_those_of_neuron_pairs_over_heads() -> None:
    change = compare_heads(*null_heads(np.random.default_rng(0)), ASKED, GENERAL, n_groups=2)
    heads = [control for row in change.figure2 if row.level == "head" for control in row.controls]
    assert len(heads) == 6 and all(0 < (control.excess_p_value or 0) < 1 for control in heads)
    for control in heads:
        assert control.excess_interval is not None and control.excess is not None
        assert sum(control.excess_interval) / 2 == pytest.approx(control.excess)
    assert all(c.excess_p_value is None for row in change.figure2 if row.level != "head" for c in row.controls)
