"""The test behind the claim of figure 2: would other words show the same excess over a control?"""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from aftertune.explainers.heads.compare import compare_heads
from aftertune.explainers.heads.figure2 import N_PARTS, distances_without, excess_test, word_parts
from aftertune.explainers.heads.list_changes import HEAD
from aftertune.explainers.heads.result import PAIRS
from null_runs import ASKED, GENERAL, null_heads


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
    change = compare_heads(*null_heads(np.random.default_rng(0))[:2], ASKED, GENERAL, n_groups=2)
    controls = [row for row in change.figure2 if row.is_control]
    heads = [row for row in controls if row.level == "head"]
    assert len(heads) == 6 and all(0 < (control.excess_p_value or 0) < 1 for control in heads)
    for control in heads:
        assert control.excess_interval is not None and control.excess is not None
        assert sum(control.excess_interval) / 2 == pytest.approx(control.excess)
    assert all(row.excess_p_value is None for row in controls if row.level != "head")
