"""Every result is a data frame with the columns that it promises, and says in one line what it is."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from aftertune.explainers.annotation.compare import compare_annotations
from aftertune.explainers.attribution.rows import InstanceRow
from aftertune.explainers.concepts.compare import compare_concepts

import aftertune
from aftertune.errors import RunError
from aftertune.explainers.attribution.change import compare_maps, without_maps
from aftertune.explainers.heads.compare import compare_heads
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result
from aftertune.statistics.spread import Interval, Spread
from aftertune.study.stages import Lineage
from annotated_samples import make_annotations
from comparison_samples import make_map, score_of
from concept_samples import make_concepts, orthonormal
from head_samples import make_reading

BASE, TUNED = "base", "tuned"


def make_heads(model: str, *pairs: tuple[str, str]) -> Any:
    return make_reading(model, {(0, 0): [("write", "make"), *pairs], (1, 1): [("run", "walk")]})


@pytest.fixture(scope="module")
def everything() -> aftertune.comparison.Comparison:
    maps = [make_map(id, model, k) for id in ("a", "b", "c") for model, k in ((BASE, 4), (TUNED, 9))]
    readings = [make_concepts(name, {(0, 0): orthonormal(4, 8, seed)}) for seed, name in enumerate((BASE, TUNED))]
    return replace(
        compare_maps(maps, BASE, TUNED),
        heads=compare_heads(make_heads(BASE), make_heads(TUNED, ("tree", "stone"))),
        concepts=compare_concepts(*readings),
        annotations=compare_annotations(make_annotations(), BASE, TUNED, (0, 1)),
    )


@pytest.fixture(scope="module")
def results(everything: Any) -> list[Result]:
    parts = [everything.heads, everything.concepts, everything.annotations]
    readings = [make_heads(BASE), make_concepts(BASE, {(0, 0): orthonormal(4, 8)}), make_map("a", BASE, 4)]
    words = aftertune.load_words(["tree", "stone"])
    vectors = aftertune.load_vectors((["tree", "stone"], np.eye(2, 3)))
    return [everything, *parts, *readings, words, vectors]


@dataclass(frozen=True)
class Control:
    control: str
    distance: float
    excess_interval: Interval | None


@dataclass(frozen=True)
class Row:
    layers: str
    distance: Spread
    interval: Interval | None
    quarters: tuple[float, float]
    controls: tuple[Control, ...]
    pooled: bool = False


def test_a_frame_has_every_nested_number_in_a_column_of_its_own() -> None:
    controls = Control("frequency-matched", 0.25, None), Control("permuted", 0.5, (0.1, 0.2))
    row = Row("0-3", Spread(4, 0.75, 0.125), (0.5, 1.0), (0.4, 0.6), controls)
    assert frame_of([row, Row("4-7", Spread(0, None, None), None, (0.0, 1.0), ())], Row).rows(named=True) == [
        {
            **{"layers": "0-3", "distance_n": 4, "distance_mean": 0.75, "distance_std": 0.125},
            **{"interval_low": 0.5, "interval_high": 1.0, "quarters_1": 0.4, "quarters_2": 0.6, "pooled": False},
            "frequency_matched_distance": 0.25,
            **{"frequency_matched_excess_interval_low": None, "frequency_matched_excess_interval_high": None},
            "permuted_distance": 0.5,
            **{"permuted_excess_interval_low": 0.1, "permuted_excess_interval_high": 0.2},
        },
        {
            **{"layers": "4-7", "distance_n": 0, "distance_mean": None, "distance_std": None},
            **{"interval_low": None, "interval_high": None, "quarters_1": 0.0, "quarters_2": 1.0, "pooled": False},
            "frequency_matched_distance": None,
            **{"frequency_matched_excess_interval_low": None, "frequency_matched_excess_interval_high": None},
            "permuted_distance": None,
            **{"permuted_excess_interval_low": None, "permuted_excess_interval_high": None},
        },
    ]


def test_a_frame_without_rows_has_its_columns_and_types() -> None:
    empty = without_maps(BASE, TUNED).to_polars()
    assert empty.is_empty() and empty.columns == list(InstanceRow.__annotations__)
    assert empty.schema["difference"] == pl.Float64 and empty.schema["repetitive_base"] == pl.Boolean
    full = frame_of([unmeasured()], InstanceRow)
    assert full.schema == empty.schema and full.row(0)[2:] == (None,) * (full.width - 2)


def unmeasured() -> InstanceRow:
    return InstanceRow("a", "d", **dict.fromkeys(list(InstanceRow.__annotations__)[2:]))


def test_the_frame_of_a_comparison_has_a_row_for_each_prompt(everything: Any) -> None:
    frame = everything.to_polars()
    assert frame["id"].to_list() == ["a", "b", "c"]
    assert frame["difference"].to_list() == pytest.approx([score_of(9) - score_of(4)] * 3)


def test_the_tables_of_a_comparison_are_those_of_its_parts_too(everything: Any) -> None:
    tables = everything.tables()
    assert list(tables)[:5] == ["table1", "table2", "table2_answered", "figure6", "instances"]
    assert {"heads", "figure2", "table3", "components", "rotation", "categories", "agreement"} <= tables.keys()
    row = tables["table2"].row(0, named=True)
    assert (row["base_mean"], row["tuned_n"]) == (pytest.approx(score_of(4)), 3)
    assert tables["rotation"]["subspace_angle_mean"][0] == everything.concepts.rotation[0].subspace_angle.mean
    assert tables["heads"].equals(everything.heads.heads)
    assert list(without_maps(BASE, TUNED).tables()) == list(tables)[:5]


def test_the_tables_of_a_lineage_say_which_pair_a_row_is_of() -> None:
    maps = {name: [make_map(id, name, k) for id in ("a", "b")] for name, k in (("one", 4), ("two", 6), ("three", 9))}
    pairs = [("one", "two"), ("two", "three"), ("one", "three")]
    lineage = Lineage(tuple(maps), tuple(compare_maps([*maps[a], *maps[b]], a, b) for a, b in pairs))
    frame = lineage.to_polars()
    assert frame.select("base", "tuned", "id").unique().height == frame.height == 6
    assert frame.filter(base="one", tuned="three")["difference"].to_list() == pytest.approx(
        [score_of(9) - score_of(4)] * 2
    )
    assert lineage.tables()["table1"].is_empty()
    assert repr(lineage) == "Lineage(names=('one', 'two', 'three'), n_comparisons=3)"
    assert "From two to three" in lineage._repr_html_()


def test_the_frame_of_a_map_has_a_row_for_each_pair_of_tokens() -> None:
    salient = make_map("a", BASE, 4)
    frame = salient.to_polars()
    assert frame.height == salient.levels.size
    assert frame.filter(prompt_index=0, response_index=3)["level"].item() == salient.levels[0, 3] == 10
    assert frame.filter(prompt_index=0, response_index=4)["level"].item() == salient.levels[0, 4] == 0
    assert frame.filter(prompt_index=1)["prompt_token"].unique().item() == "▁Now."
    assert frame.filter("is_instruction")["prompt_index"].unique().to_list() == [0]
    assert frame.filter(response_index=2)["response_token"].unique().item() == "▁2"


def test_the_frames_of_words_and_vectors() -> None:
    words = aftertune.load_words(["tree", "stone"]).to_polars()
    assert words.to_dicts() == [{"word": "tree", "frequency": 0.5}, {"word": "stone", "frequency": 0.5}]
    vectors = aftertune.load_vectors((["tree", "stone"], np.array([[1.0, 2.0], [3.0, 4.0]]))).to_polars()
    assert vectors["vector"].to_list() == [[1.0, 2.0], [3.0, 4.0]]


def test_pandas_frames_hold_what_polars_frames_do(results: list[Result]) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    for result in results:
        frame, pandas = result.to_polars(), result.to_pandas()
        assert list(pandas.columns) == frame.columns and len(pandas) == frame.height
        first = frame.columns[0]
        assert pandas[first].tolist() == frame[first].to_list()


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.runs.result.find_spec", lambda _: None)
    with pytest.raises(RunError, match=r"pip install 'pandas>=2\.2'.*to_polars"):
        make_map("a", BASE, 4).to_pandas()


def test_results_say_in_a_line_what_they_are(results: list[Result]) -> None:
    assert repr(make_map("a", BASE, 4)) == ("SalientMap(id='a', dataset='d', model='base', n_prompt=2, n_response=16)")
    for result in results:
        assert len(repr(result)) < 200 and repr(result).startswith(f"{type(result).__name__}(")
