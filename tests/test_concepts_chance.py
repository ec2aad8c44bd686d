"""Are words nearer than chance would give?  P-values by hand, planted and unrelated models, run folders, findings."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

import planted_heads as planted
from aftertune.explainers.concepts.chance import beyond_chance, chance_p_values
from aftertune.explainers.concepts.change import ConceptChange, compare_concepts
from aftertune.explainers.concepts.findings import describe_concepts
from aftertune.explainers.concepts.layer import nearest_by_chance
from aftertune.explainers.concepts.measure import ConceptWork, read_concepts
from aftertune.explainers.concepts.result import open_concepts
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.statistics.finding import Verdict
from aftertune.words import load_words
from concept_samples import make_concepts, orthonormal
from test_concepts_read import checkpoint_of, planted_concepts
from test_heads_read import some_words
from tiny import make_model

SAMPLE = np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32)


def components_of(*cosines: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"cosines": list(cosines)}, schema={"cosines": pl.List(pl.Float32)})


def test_the_p_value_counts_random_directions_that_are_as_near() -> None:
    found = chance_p_values(components_of([0.25, -0.9], [-0.4], [0.1], [0.05], []), SAMPLE, 10**9, 3)
    assert found.name == "p_chance" and found.to_list() == [3 / 5, 2 / 5, 1.0, 1.0, None]


def test_where_the_upper_bound_is_smaller_it_is_the_p_value() -> None:
    """In three dimensions a cosine is even from -1 to 1, so a word lies as near as 0.999 one time in a thousand."""
    found = chance_p_values(components_of([0.999], [0.9]), SAMPLE, 5, 3)
    assert found.to_list() == pytest.approx([5 * 0.001, 1 / 5], rel=1e-4)
    far = chance_p_values(components_of([0.35]), SAMPLE, 10_000, 576)
    square = np.float64(np.float32(0.35)) ** 2
    assert far[0] == pytest.approx(10_000 * special.betainc(287.5, 0.5, 1 - square)) and 0 < far[0] < 1e-12


def test_without_random_directions_nothing_is_known() -> None:
    assert chance_p_values(components_of([0.9], []), None, 5, 3).to_list() == [None, None]
    assert make_concepts("old", {(0, 0): np.eye(3)}).components["p_chance"].null_count() == 3


def test_random_directions_are_nearest_to_the_word_that_plain_products_find() -> None:
    checkpoint = checkpoint_of(make_model())
    words = some_words()
    embeddings = WordEmbeddings(checkpoint, words, "output", unit=True)
    found = nearest_by_chance(checkpoint, embeddings, 50)
    drawn = np.random.default_rng(0).standard_normal((50, 32), dtype=np.float32)
    ((_, units),) = embeddings.blocks()
    expected = np.abs(drawn / np.linalg.norm(drawn, axis=1, keepdims=True) @ units.numpy().T).max(axis=1)
    np.testing.assert_allclose(found, np.sort(expected), rtol=1e-5)


def test_directions_that_have_nothing_to_do_with_words_have_any_p_value() -> None:
    """Unrelated rows: the p-values of 96 components are even between 0 and 1, and none passes the correction."""
    found = read_concepts(checkpoint_of(make_model()), some_words(), n_words=2)
    p_values = found.components["p_chance"]
    assert len(p_values) == 96 and p_values.min() > 0 and p_values.max() <= 1
    assert stats.kstest(p_values.to_numpy(), "uniform").pvalue > 0.01
    assert not beyond_chance(p_values).any()
    assert found.to_polars()["p_chance"].equals(p_values)


def test_planted_words_are_beyond_chance() -> None:
    found = read_concepts(planted_concepts(), planted.WORDS, n_components=3, n_words=2, layers="2")
    assert found.chance is not None and len(found.chance) == 1000 and (np.diff(found.chance) >= 0).all()
    assert found.components["p_chance"].max() < 0.01 and beyond_chance(found.components["p_chance"]).all()


def test_the_correction_is_that_of_benjamini_and_hochberg() -> None:
    """Four of five are below 0.05, but the largest of them is not below 4/5 of it."""
    found = beyond_chance(pl.Series([0.001, 0.045, None, 0.02, 0.9, 0.025]))
    assert found.to_list() == [True, False, None, True, False, True]
    assert beyond_chance(pl.Series([], dtype=pl.Float64)).len() == 0


def test_a_run_keeps_the_control_and_an_old_one_gets_it(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(make_model())
    work = ConceptWork(ConceptSettings(n_components=4, n_words=3), load_words(some_words()))
    run = RunFolder.start(tmp_path / "run", {}, {})
    work.measure(checkpoint, "model", run, silent)
    found, expected = open_concepts(run.address), read_concepts(checkpoint, some_words(), 4, 3)
    assert found.components.equals(expected.components) and np.array_equal(found.chance, expected.chance)
    (part,) = (tmp_path / "run/concepts/chance").rglob("*.parquet")
    part.unlink()
    old = open_concepts(run.address)
    assert old.chance is None and old.components["p_chance"].null_count() == 12
    assert not work.is_measured(run, "model")
    read = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.parquet")}
    work.measure(checkpoint, "model", run, silent)
    assert work.is_measured(run, "model") and open_concepts(run.address).components.equals(expected.components)
    assert all(path.stat().st_mtime_ns == time for path, time in read.items()), "only the control was missing"


def compared(chance: list[float] | None = None) -> ConceptChange:
    """12 components; in base the first two have words beyond the 99 of chance, in tuned none has."""
    rows = {(0, 0): orthonormal(12, 20)}
    known = {"chance": [0.3 + 0.001 * n for n in range(99)] if chance is None else chance or None}
    near = {"old": [0.95, 0.99, *[0.3] * 10], "new": [0.35] * 12}
    return compare_concepts(*(make_concepts(name, rows, nearest={(0, 0): own}, **known) for name, own in near.items()))


def test_the_comparison_counts_them_by_rank() -> None:
    change = compared()
    first, ten, every = change.chance[:3]
    assert [(row.model, row.ranks, row.n, row.n_beyond) for row in change.chance] == [
        *(("old", "1", 1, 1), ("old", "1-10", 10, 2), ("old", "all", 12, 2)),
        *(("new", "1", 1, 0), ("new", "1-10", 10, 0), ("new", "all", 12, 0)),
    ]
    assert (first.nearest, ten.nearest, every.nearest_by_chance) == pytest.approx((0.95, 0.3, 0.349))
    assert (first.near, ten.near, every.beyond) == pytest.approx((1, 0.2, 2 / 12))
    frame = change.components
    assert frame["beyond_chance_base"].to_list() == [True, True] + [False] * 10
    assert frame["p_chance_tuned"].to_list() == pytest.approx([0.5] * 12, abs=0.011)
    assert change.to_dict()["chance"][0]["n_beyond"] == 1


def test_all_components_of_either_model_say_whether_they_are_beyond_chance() -> None:
    change = compared()
    assert change.components_base["beyond_chance"].to_list() == [True, True] + [False] * 10
    assert change.components_tuned["beyond_chance"].to_list() == [False] * 12
    assert change.components_base["p_chance"].to_list() == change.components["p_chance_base"].to_list()


def test_the_finding_counts_what_is_beyond_chance() -> None:
    (found,) = [one for one in describe_concepts(compared()) if one.kind == "concepts.chance"]
    assert found.verdict == Verdict.NOT_TESTED and "2 of 12 in old, 0 of 12 in new" in found.headline
    assert "0.300" in found.sentence and "2 of 10 at rank 1-10" in found.sentence
    assert found.evidence["old"]["all"]["n_beyond"] == 2 and found.evidence["new"]["all"]["n_beyond"] == 0
    assert not [one for one in describe_concepts(compared([])) if one.kind == "concepts.chance"]
    assert compared([]).chance == ()
