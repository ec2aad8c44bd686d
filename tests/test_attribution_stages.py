"""Tables and figures of several models: every model once, every pair, corrected for all of them."""

import pytest

from aftertune.explainers.attribution import AttributionExplainer
from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.stages import score_rows, stages_chart
from aftertune.report.render import to_svg
from aftertune.statistics.corrections import holm
from comparison_samples import make_map, score_of

pytestmark = pytest.mark.usefixtures("drawn")

MODELS = ("first", "second", "third")
KS = {"first": [1, 3, 2], "second": [4, 6, 5], "third": [8, 9, 12]}


def maps(dataset: str, more: int = 0) -> list[SalientMap]:
    return [
        make_map(f"{dataset}{n}", model, k + more, dataset, helpfulness=1 + 3 * (n % 2))
        for model, ks in KS.items()
        for n, k in enumerate(ks)
    ]


@pytest.fixture(scope="module")
def changes() -> list[AttributionChange]:
    together = [*maps("x"), *maps("y", 1), make_map("z0", "first", 1, "z"), make_map("z0", "second", 2, "z")]
    pairs = (("first", "second"), ("second", "third"), ("first", "third"))
    return [compare_maps(together, base, tuned) for base, tuned in pairs]


def test_each_data_set_has_a_column_for_each_model_and_pair(changes: list[AttributionChange]) -> None:
    rows = {row.dataset: row for row in score_rows(changes, MODELS)}
    assert list(rows) == ["x", "y", "z", "all"] and rows["all"].pooled
    assert [one.mean for one in rows["x"].models] == pytest.approx(
        [sum(map(score_of, KS[name])) / 3 for name in MODELS]
    )
    assert [one.n for one in rows["z"].models] == [1, 1, 0] and rows["z"].pairs[1:] == (None, None)
    asked = [one.table2[place] for place in (0, 1) for one in changes]
    for p, found in (
        ([row.p_value for row in asked], [row.p_value_holm for name in "xy" for row in rows[name].pairs if row]),
        (
            [row.paired.p_value for row in asked],
            [row.paired.p_value_holm for name in "xy" for row in rows[name].pairs if row],
        ),
    ):
        assert found == holm(p)  # that of one response each is not tested, and not counted
    pooled = holm([one.table2[-1].p_value for one in changes])
    assert [row.p_value_holm for row in rows["all"].pairs if row] == pooled


def test_the_section_has_all_models_side_by_side(changes: list[AttributionChange]) -> None:
    section = AttributionExplainer().stages(changes, MODELS)
    tables = {table.name: table for table in section.tables}
    assert list(tables) == ["table2", "table2_controls", "table1", "table1_controls", "figure6", "instances"]
    frame = tables["table2"].frame
    assert frame["models_second_mean"][0] == pytest.approx(sum(map(score_of, KS["second"])) / 3)
    assert frame["pairs_first to third_paired_n_pairs"].to_list() == [3, 3, None, 6]
    assert [row.model for row in tables["table1"].rows] == [name for name in MODELS for _ in range(3)]
    assert sorted({row.model for row in tables["figure6"].rows}) == list(MODELS)
    controls = tables["table2_controls"].frame
    assert controls["pair"].unique(maintain_order=True).to_list() == [f"{one.base} → {one.tuned}" for one in changes]
    of_each = [row.excess.difference for one in changes for row in one.table2_controls]
    assert controls["excess_difference"].to_list() == of_each
    assert [row.model for row in tables["table1_controls"].rows] == [name for name in MODELS for _ in range(3)]
    scores = tables["instances"].frame.row(-1, named=True)
    assert scores["id"] == "z0" and scores["scores_third"] is None
    assert scores["scores_second"] == pytest.approx(score_of(2))
    assert all(len(cells) == len(table.columns) for table in section.tables for _, cells in table.html_rows)
    assert [figure.name for figure in section.figures] == ["stages", "figure6"]
    assert all(figure.svg.startswith("<svg") for figure in section.figures)


def test_the_chart_has_a_mark_for_each_model_and_data_set(changes: list[AttributionChange]) -> None:
    spec = stages_chart(score_rows(changes, MODELS), MODELS)
    values = {(one["dataset"], one["model"]): one for one in spec["datasets"]["stages"]}
    assert len(values) == 3 * 3 + 2
    one = values["all data sets", "first"]
    assert one["low"] < one["mean"] < one["high"] and to_svg(spec).startswith("<svg")
