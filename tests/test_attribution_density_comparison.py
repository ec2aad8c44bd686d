"""Tables 1 and 2: density of followed and unfollowed responses, of base and tuned, by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from aftertune.explainers.attribution.density_comparison import table1, table2
from comparison_samples import make_map, score_of


def test_samples_have_the_scores_they_say() -> None:
    for k in (0, 3, 16):
        assert make_map("a", "m", k).score() == pytest.approx(score_of(k))


def test_table1_splits_by_rating() -> None:
    ratings = {1: [2, 4], 2: [8], 3: [16], 4: [10]}
    maps = [make_map(f"{h}.{k}", "m", k, helpfulness=h) for h, ks in ratings.items() for k in ks]
    (row,) = table1([*maps, make_map("unrated", "m", 1)])
    followed, unfollowed = (np.array([score_of(k) for k in ks]) for ks in ([8, 16, 10], [2, 4]))
    assert (row.followed.n, row.unfollowed.n) == (3, 2)
    assert (row.followed.mean, row.followed.std) == pytest.approx((followed.mean(), followed.std(ddof=0)))
    assert (row.unfollowed.mean, row.unfollowed.std) == pytest.approx((unfollowed.mean(), unfollowed.std(ddof=0)))
    assert row.difference == pytest.approx(followed.mean() - unfollowed.mean())
    assert row.p_value == pytest.approx(
        stats.ttest_ind(followed, unfollowed, equal_var=False, alternative="greater").pvalue
    )
    assert row.p_value_two_sided == pytest.approx(stats.ttest_ind(followed, unfollowed, equal_var=False).pvalue)
    assert row.p_value_permutation == pytest.approx(2 / 10, abs=0.02)  # one of the 10 ways to choose 3 of 5, doubled
    assert row.p_value_holm == row.p_value
    assert row.auroc == 1.0
    assert (row.effect_size_g or 0) > 0 and (row.difference_interval or (0, 0))[0] > 0


def test_table1_leaves_short_responses_out() -> None:
    cut = []
    for h, k, n in ((1, 2, 4), (1, 3, 5), (4, 9, 16), (4, 12, 16)):
        whole = make_map(str(k), "m", k, helpfulness=h)
        cut.append(replace(whole, levels=whole.levels[:, :n], response_tokens=whole.response_tokens[:n]))
    assert table1(cut)[0].unfollowed.n == 1
    assert table1(cut)[0].p_value is None


def test_table1_has_a_row_per_model_and_data_set_and_a_pooled_one() -> None:
    maps = [
        make_map(f"{d}{h}{k}", model, k, d, h)
        for model in ("a", "b")
        for d in ("x", "y")
        for h, k in ((1, 1), (1, 3), (4, 2), (4, 12))
    ]
    rows = table1(maps)
    assert [(r.model, r.dataset, r.pooled) for r in rows] == [
        *(("a", "x", False), ("a", "y", False), ("a", "all", True)),
        *(("b", "x", False), ("b", "y", False), ("b", "all", True)),
    ]
    assert rows[2].followed.n == 4 and rows[2].p_value_holm is None
    # Two equal p-values of one model: both are doubled; the other model is another family.
    assert rows[0].p_value_holm == pytest.approx(2 * (rows[0].p_value or 0))


def test_without_ratings_there_is_no_table1() -> None:
    assert table1([make_map("a", "m", 1)]) == ()


def test_table2_counts_every_response_and_pairs_by_prompt() -> None:
    base = [make_map(str(n), "base", k) for n, k in enumerate([1, 4, 2, 9])]
    tuned = [make_map(str(n), "tuned", k) for n, k in enumerate([3, 16, 0])]
    (row,) = table2([*base, *tuned, make_map("other", "third", 5)], "base", "tuned")
    b, t = (np.array([score_of(k) for k in ks]) for ks in ([1, 4, 2, 9], [3, 16, 0]))
    assert (row.base.n, row.base.mean, row.base.std) == pytest.approx((4, b.mean(), b.std()))
    assert (row.tuned.n, row.tuned.mean, row.tuned.std) == pytest.approx((3, t.mean(), t.std()))
    assert row.difference == pytest.approx(t.mean() - b.mean())
    assert row.p_value == pytest.approx(stats.ttest_ind(t, b, equal_var=False, alternative="greater").pvalue)
    differences = t - b[:3]
    assert (row.paired.n_pairs, row.paired.n_higher, row.paired.n_lower) == (3, 2, 1)
    assert row.paired.difference == pytest.approx(differences.mean())
    assert row.paired.std == pytest.approx(differences.std(ddof=1))
    sums = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=3)]
    assert row.paired.p_value == pytest.approx(np.mean([one >= abs(differences.sum()) - 1e-9 for one in sums]))


def test_table2_of_equal_scores_and_of_too_few() -> None:
    (same,) = table2([make_map(f"{n}", model, n) for model in ("old", "new") for n in range(1, 5)], "old", "new")
    assert (same.paired.p_value, same.paired.n_higher, same.paired.n_lower) == (1.0, 0, 0)
    (one,) = table2([make_map("a", "old", 1), make_map("a", "new", 2)], "old", "new")
    assert (one.paired.p_value, one.paired.std, one.paired.n_higher) == (None, None, 1)


def test_an_empty_response_scores_zero_in_table2() -> None:
    maps = [make_map(str(k), model, k) for model in ("base", "tuned") for k in (2, 4, 8)]
    empty = replace(maps[0], levels=maps[0].levels[:, :0], response_tokens=())
    (row,) = table2([empty, *maps[1:]], "base", "tuned")
    assert row.base.n == 3
    assert row.base.mean == pytest.approx((score_of(4) + score_of(8)) / 3)


def test_table2_pools_data_sets_without_counting_the_pool_in_holm() -> None:
    ks = {("x", "base"): [1, 2, 3], ("x", "tuned"): [8, 9, 12], ("y", "base"): [4, 5, 7], ("y", "tuned"): [5, 4, 9]}
    maps = [make_map(str(n), model, k, d) for (d, model), row in ks.items() for n, k in enumerate(row)]
    x, y, pooled = table2([*maps, make_map("0", "base", 3, "only base")], "base", "tuned")
    assert (x.dataset, y.dataset, pooled.dataset, pooled.pooled) == ("x", "y", "all", True)
    assert (pooled.base.n, pooled.paired.n_pairs, pooled.p_value_holm, pooled.paired.p_value_holm) == (6, 6, None, None)
    assert x.p_value_holm == pytest.approx(2 * (x.p_value or 0))
    assert y.p_value_holm == pytest.approx(max(y.p_value or 0, x.p_value_holm or 0))
    assert x.paired.p_value_holm == pytest.approx(2 * (x.paired.p_value or 0))
