"""Every result is a data frame with the columns that it promises, and says in one line what it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

import aftertune
from aftertune.errors import RunError
from aftertune.explainers.annotation.change import compare_annotations
from aftertune.explainers.attribution.change import AttributionChange, InstanceRow, compare_maps
from aftertune.explainers.concepts.change import compare_concepts
from aftertune.explainers.heads.compare import compare_heads
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result
from aftertune.statistics.spread import Interval, Spread
from aftertune.study.comparison import Comparison
from aftertune.study.stages import Stages
from annotated_samples import make_annotations
from comparison_samples import make_map, score_of
from concept_samples import make_concepts, orthonormal
from head_samples import make_reading

BASE, TUNED = "base", "tuned"


def make_heads(model: str, *pairs: tuple[str, str]) -> Any:
    return make_reading(model, {(0, 0): [("write", "make"), *pairs], (1, 1): [("run", "walk")]})


@pytest.fixture(scope="module")
def everything() -> Comparison:
    maps = [make_map(id, model, k) for id in ("a", "b", "c") for model, k in ((BASE, 4), (TUNED, 9))]
    readings = [make_concepts(name, {(0, 0): orthonormal(4, 8, seed)}) for seed, name in enumerate((BASE, TUNED))]
    changes = {
        "attribution": compare_maps(maps, BASE, TUNED),
        "heads": compare_heads(make_heads(BASE), make_heads(TUNED, ("tree", "stone"))),
        "concepts": compare_concepts(*readings),
        "annotation": compare_annotations(make_annotations(), BASE, TUNED, (0, 1)),
    }
    return Comparison(BASE, TUNED, changes)


@pytest.fixture(scope="module")
def results(everything: Comparison) -> list[Result]:
    readings = [make_heads(BASE), make_concepts(BASE, {(0, 0): orthonormal(4, 8)}), make_map("a", BASE, 4)]
    words = aftertune.load_words(["tree", "stone"])
    vectors = aftertune.load_vectors((["tree", "stone"], np.eye(2, 3)))
    return [everything, *everything.changes.values(), *readings, words, vectors]


@dataclass(frozen=True)
class Row:
    layers: str
    distance: Spread
    interval: Interval | None
    quarters: tuple[float, float]
    words: tuple[str, ...]
    pooled: bool = False


def test_a_frame_has_every_nested_number_in_a_column_of_its_own() -> None:
    row = Row("0-3", Spread(4, 0.75, 0.125), (0.5, 1.0), (0.4, 0.6), ("tree", "stone"))
    assert frame_of([row, Row("4-7", Spread(0, None, None), None, (0.0, 1.0), ())], Row).rows(named=True) == [
        {
            **{"layers": "0-3", "distance_n": 4, "distance_mean": 0.75, "distance_std": 0.125},
            **{"interval_low": 0.5, "interval_high": 1.0, "quarters_1": 0.4, "quarters_2": 0.6},
            **{"words": ["tree", "stone"], "pooled": False},
        },
        {
            **{"layers": "4-7", "distance_n": 0, "distance_mean": None, "distance_std": None},
            **{"interval_low": None, "interval_high": None, "quarters_1": 0.0, "quarters_2": 1.0},
            **{"words": [], "pooled": False},
        },
    ]


def nothing() -> AttributionChange:
    return AttributionChange(BASE, TUNED, (), (), (), (), ())


def test_a_frame_without_rows_has_its_columns_and_types() -> None:
    empty = nothing().to_polars()
    assert empty.is_empty() and empty.columns == list(InstanceRow.__annotations__)
    assert empty.schema["difference"] == pl.Float64 and empty.schema["repetitive_base"] == pl.Boolean
    full = frame_of([unmeasured()], InstanceRow)
    assert full.schema == empty.schema and full.row(0)[2:] == (None,) * (full.width - 2)


def unmeasured() -> InstanceRow:
    return InstanceRow("a", "d", **dict.fromkeys(list(InstanceRow.__annotations__)[2:]))


def test_the_frame_of_a_comparison_has_a_row_for_each_finding(everything: Comparison) -> None:
    frame = everything.to_polars()
    assert frame.columns == ["kind", "verdict", "headline", "sentence"]
    assert frame["kind"].to_list() == [one.kind for one in everything.findings]
    assert frame["verdict"].to_list() == [str(one.verdict) for one in everything.findings]


def test_the_frame_of_attribution_has_a_row_for_each_prompt(everything: Comparison) -> None:
    frame = everything.attribution.to_polars()
    assert frame["id"].to_list() == ["a", "b", "c"]
    assert frame["difference"].to_list() == pytest.approx([score_of(9) - score_of(4)] * 3)


def test_the_tables_of_a_comparison_are_those_of_its_changes(everything: Comparison) -> None:
    tables = everything.tables()
    of_attribution = ["table1", "table2", "table2_answered", "figure6", "instances"]
    of_attribution += ["table2_controls", "table1_controls", "read_first"]
    assert list(tables)[:9] == ["findings", *of_attribution]
    assert {"heads", "figure2", "table3", "components", "rotation", "categories", "agreement"} <= tables.keys()
    row = tables["table2"].row(0, named=True)
    assert (row["base_mean"], row["tuned_n"]) == (pytest.approx(score_of(4)), 3)
    assert tables["rotation"]["subspace_angle_mean"][0] == everything.concepts.rotation[0].subspace_angle.mean
    assert tables["heads"].equals(everything.heads.heads)
    assert list(nothing().tables()) == of_attribution
    assert list(Comparison(BASE, TUNED).tables()) == ["findings"]


def test_no_table_of_a_change_takes_the_place_of_another(everything: Comparison) -> None:
    names = [name for change in everything.changes.values() for name in change.tables()]
    assert len(names) == len(set(names)) and len(everything.tables()) == 1 + len(names)


def test_the_tables_of_stages_say_which_pair_a_row_is_of() -> None:
    maps = {name: [make_map(id, name, k) for id in ("a", "b")] for name, k in (("one", 4), ("two", 6), ("three", 9))}
    pairs = [("one", "two"), ("two", "three"), ("one", "three")]
    changes = [{"attribution": compare_maps([*maps[a], *maps[b]], a, b)} for a, b in pairs]
    stages = Stages(tuple(maps), tuple(Comparison(*pair, own) for pair, own in zip(pairs, changes, strict=True)))
    frame = stages.tables()["instances"]
    assert frame.select("base", "tuned", "id").unique().height == frame.height == 6
    assert frame.filter(base="one", tuned="three")["difference"].to_list() == pytest.approx(
        [score_of(9) - score_of(4)] * 2
    )
    assert stages.tables()["table1"].is_empty()
    findings = stages.to_polars()
    assert findings.columns[:4] == ["base", "tuned", "kind", "verdict"]
    assert set(findings.select("base", "tuned").unique().rows()) == set(pairs)
    assert repr(stages) == "Stages(names=('one', 'two', 'three'), n_comparisons=3)"
    assert "From two to three" in stages._repr_html_()


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
