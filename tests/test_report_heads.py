"""The report's part on attention heads: its tables, figures and data, and the page of several models."""

import base64
import csv
import io
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.explainers.heads import HeadExplainer
from aftertune.explainers.heads.change import DepthControl, HeadChange
from aftertune.explainers.heads.charts import heads_chart, layers_chart, pairs_chart
from aftertune.explainers.heads.page_data import blocks_of, grid_of
from aftertune.explainers.heads.show import depth_sentence, section, stages, table3_table, tables
from aftertune.report.formats import HTML, LATEX, PLAIN
from aftertune.report.page import write_report
from aftertune.runs.readable import visible
from aftertune.statistics.spread import Spread
from report_head_samples import ODD_WORDS, figure2_rows, head_report, many_heads, sample_heads
from test_report import Page

pytestmark = pytest.mark.usefixtures("drawn")


def unpack(block: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(json.loads(block))))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), head_report(sample_heads()))


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def table_of(written: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((written.parent / "tables" / name).read_text("utf-8"))))


def test_the_page_is_well_formed_and_its_ids_are_unique(page: Page) -> None:
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert page.open == []
    assert len(ids) == len(set(ids)) and {"heads", "figure2", "table3", "head-table"} <= set(ids)
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert [link for link in links if not link.startswith("#head-")] == ["#main", "#findings", "#heads", "#methods"]


def test_the_packed_lists_are_the_frame_again(page: Page) -> None:
    pairs = sample_heads().pairs
    words = unpack(page.blocks["head-words"])
    assert words == [visible(word) for word in sorted({*ODD_WORDS, "Poem", *(f"other{n}" for n in range(15))})]
    rows = []
    for layer in (0, 3):
        for head, columns in unpack(page.blocks[f"head-layer-{layer}"])["pairs"].items():
            names = [[words[id] for id in columns.pop(name)] for name in ("word_a", "word_b")]
            numbers = [[value or None for value in columns[name]] for name in columns]
            rows += [(layer, int(head), *row) for row in zip(*names, *numbers, strict=True)]
    shown = pairs.drop("change").with_columns(pl.col("word_a", "word_b").map_elements(visible, pl.String))
    assert rows == shown.rows()


def test_the_words_of_highest_cosine_stand_for_a_neuron_pair(page: Page) -> None:
    words = unpack(page.blocks["head-words"])
    (neuron,) = unpack(page.blocks["head-layer-0"])["neurons"]["1"]
    assert (neuron["neuron"], neuron["distance"]) == (17, 0.75)
    assert (neuron["n_gained"], neuron["n_lost"]) == (15, 1)
    expected = [["solve", f"other{n}", round(0.9 - n / 100, 2)] for n in range(12)]
    assert [[words[query], words[key], cosine] for query, key, cosine in neuron["gained"]] == expected
    assert [[words[query], words[key], cosine] for query, key, cosine in neuron["lost"]] == [["write", "Poem", 0.5]]


def test_the_grid_has_the_numbers_of_every_head(page: Page) -> None:
    grid = json.loads(page.blocks["head-grid"])
    assert (grid["layers"], grid["n_heads"], grid["asked"]) == ([0, 3], 3, "instruction verbs")
    assert grid["models"] == {"base": "base-model", "tuned": "tuned-model"}
    assert [dict(zip(grid["columns"], row, strict=True)) for row in grid["rows"]] == sample_heads().heads.to_dicts()


def test_odd_words_never_become_markup(written: Path) -> None:
    html = written.read_text("utf-8")
    assert "<script>alert" not in html and "\u202e" not in html and "\x00" not in html and "x" * 10_000 not in html


def test_table_3_is_in_per_cent_with_its_controls_below(page: Page, written: Path) -> None:
    lines = (written.parent / "tables" / "table3.md").read_text("utf-8").splitlines()
    assert lines[0].startswith("| Layers | Lists | Instruction verbs, % (n) | General verbs, % (n) | Difference,")
    assert lines[2] == (
        "| 0 | as read | 65.96±26.96 (21) | 49.61±31.89 (812) | +16.35 | [-1.23, 29.41] | 0.0050 | 0.0200 | 1.2e-5 | "
        "4.8e-5 | 0.515 | 51.23 | 0.0310 |"
    )
    assert lines[3] == (
        "| 0 | permuted | 51.00±25.00 (20) | 50.00±30.00 (800) | +1.00 | – | 0.8100 | – | – | – | – | – | – |"
    )
    assert len(lines) == 2 + 3 * 3 and "65.96 ± 26.96 (21)" in page.text
    assert page.attributes.count(("tr", "class", "control")) == 3 * 2
    assert r"65.96$\pm$26.96 (21)" in (written.parent / "tables" / "table3.tex").read_text("utf-8")


def test_the_csv_of_table_3_has_shares_in_full(written: Path) -> None:
    rows = table_of(written, "table3.csv")
    first, control, pooled = rows[0], rows[2], rows[6]
    assert (first["instruction_mean"], first["instruction_n"]) == ("0.6596", "21")
    assert first["difference_interval_low"] == "-0.0123"
    assert (control["lists"], control["p_value"], control["p_value_permutation"]) == ("frequency-matched", "0.0212", "")
    assert (first["pooled"], pooled["pooled"], pooled["layers"]) == ("false", "true", "all")


def test_figure_2_has_its_numbers_as_a_table(written: Path) -> None:
    rows = table_of(written, "figure2.csv")
    assert [row["lists"] for row in rows] == ["as read", "permuted", "frequency-matched"] * 6
    assert [row["distance_mean"] for row in rows[:3]] == ["0.5", "0.375", "0.4375"]
    assert (rows[0]["interval_high"], rows[0]["excess"], rows[1]["excess"]) == ("0.55", "", "0.125")
    assert (rows[0]["distance_n"], rows[3]["layers"], rows[9]["level"]) == ("8", "3", "neuron pair")


def test_every_head_has_a_row_in_its_csv(page: Page, written: Path) -> None:
    text = (written.parent / "tables" / "heads.csv").read_text("utf-8")
    assert text.splitlines()[2] == "0,1,0.625,0.8125,1,3,2,0,2,0" and text.splitlines()[5] == "3,2,,,0,0,0,0,0,0"
    assert json.loads(page.blocks["texts"])["heads"] == {"csv": text}


def test_files_are_all_there(written: Path) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert figures == {"figure2.svg", "figure2.png", "heads.svg", "heads.png"}
    tables = {path.name for path in (written.parent / "tables").iterdir()}
    assert tables == {
        "heads.csv",
        *(f"{name}.{suffix}" for name in ("head_strengths", "table3", "figure2") for suffix in ("csv", "tex", "md")),
    }


def test_data_frames_have_what_the_files_have() -> None:
    change = sample_heads()
    frames = change.tables()
    assert list(frames) == ["heads", "pairs", "neurons", "verbs", "head_strengths", "figure2", "table3"]
    assert frames["heads"].equals(change.heads) and frames["pairs"].equals(change.pairs)
    assert frames["figure2"]["excess_interval_low"].to_list()[:2] == [None, 0.125 - 0.02]
    empty = replace(change, table3=()).tables()["table3"]
    assert empty.is_empty() and empty.schema == frames["table3"].schema


def test_the_chart_of_layers_has_means_intervals_and_controls() -> None:
    spec = layers_chart(figure2_rows("head", "0-7", 0.5))
    assert spec and spec["datasets"]["figure2"] == [
        {"level": "head", "layers": "0-7", "lists": "as read", "distance": 0.5, "low": 0.46, "high": 0.55},
        {"level": "head", "layers": "0-7", "lists": "permuted", "distance": 0.375, "low": None, "high": None},
        {"level": "head", "layers": "0-7", "lists": "frequency-matched", "distance": 0.4375, "low": None, "high": None},
    ]


def test_the_chart_of_heads_is_scaled_to_the_largest_and_leaves_the_undefined_out() -> None:
    heads = sample_heads().heads
    spec = heads_chart(heads.filter(pl.col("distance").ne_missing(1.0)), (0, 3), 3)
    assert spec and [tuple(row.values()) for row in spec["datasets"]["heads"]] == [
        (0, 0, 0.0),
        (0, 1, 0.625),
        (0, 2, 0.25),
    ]
    assert spec["encoding"]["color"]["scale"]["domain"] == [0, 0.625]
    assert heads_chart(heads.clear(), (), 0) is None


def test_methods_say_what_a_pair_means_and_where_words_come_from(page: Page) -> None:
    for words in ("18,311 of 20,000 words (from a <corpus>)", "(from GloVe)", "demonstrate, <b>"):
        assert words in page.text
    assert "Rotary position is left out" in page.text
    assert section(sample_heads()).settings["plan"] == {"n_pairs": 100, "n_draws": 5}


def without_pairs(change: HeadChange) -> HeadChange:
    empty = Spread(0, None, None)
    figure2 = tuple(replace(row, distance=empty, interval=None, excess=None) for row in change.figure2)
    frames = {name: getattr(change, name).clear() for name in ("pairs", "neurons", "neurons_base", "neurons_tuned")}
    return replace(change, figure2=figure2, table3=(), depth=replace(change.depth, correlation=None), **frames)


def test_heads_without_any_pair_are_said_to_have_none(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, head_report(without_pairs(sample_heads()))).read_text("utf-8"))
    assert "There is no figure 2" in page.text and "There is no table 3" in page.text
    assert "Whether deeper heads" not in page.text
    assert unpack(page.blocks["head-words"]) == []


def test_words_of_ones_own_name_the_column() -> None:
    table = table3_table(sample_heads(verbs_name="medical {asked}.txt"))
    assert "| Medical {asked}.txt, % (n) |" in table.markdown()


def test_the_measure_of_a_pair_is_its_pooled_distance_beside_the_largest_control() -> None:
    (measure,) = HeadExplainer().measures(sample_heads())
    assert (measure.name, measure.kind, measure.value, measure.interval) == (
        "pairs_changed",
        "percent",
        0.5,
        (0.46, 0.55),
    )
    assert measure.control == 0.4375 and measure.phrase.format(value=measure.value).startswith("50.0% of the pairs")
    (nothing,) = HeadExplainer().measures(without_pairs(sample_heads()))
    assert (nothing.value, nothing.control) == (None, None)


def test_several_models_have_a_line_for_each_pair_and_tables_that_name_it() -> None:
    first, second = sample_heads(), sample_heads(base="tuned-model", tuned="last")
    found = stages([first, second])
    pairs = ["base-model → tuned-model", "tuned-model → last"]
    (figure,) = found.figures
    points = figure.chart["datasets"]["figure2"]
    assert [(point["pair"], point["layers"], point["distance"], point["low"]) for point in points] == [
        (pair, layers, 0.5, 0.46) for pair in pairs for layers in ("0", "3")
    ]
    strengths, numbers, table3 = found.tables
    assert strengths.name == "head_strengths"
    assert (numbers.name, numbers.columns, table3.name) == ("figure2", (), "table3")
    assert table3.columns[0].title == "Models" and numbers.frame["pair"].unique(maintain_order=True).to_list() == pairs
    assert table3.frame.height == 2 * len(first.table3) and len(table3.markdown().splitlines()) == 2 + 2 * 9
    assert [pale for pale, _ in table3.html_rows] == [False, True, True] * 6
    assert pairs_chart({"none": ()}) is None


def test_shares_are_written_in_per_cent() -> None:
    assert PLAIN["percent_spread"](Spread(21, 0.6596, 0.2696)) == "65.96±26.96 (21)"
    assert PLAIN["percent_spread"](Spread(0, None, None)) == PLAIN["percent"](None) == "–"
    assert HTML["percent_change"](-0.1635) == "−16.35" and LATEX["percent_change"](-0.1635) == "$-16.35$"
    assert LATEX["percent_change"](None) == "--" and LATEX["change"](None) == "--"
    assert HTML["percent_interval"]((-0.0123, 0.2941)) == "[−1.23, 29.41]"
    assert PLAIN["percent_interval"](None) == PLAIN["percent_interval"]((None, 0.1)) == "–"


def test_the_trend_over_depth_in_words() -> None:
    depth = replace(sample_heads().depth, n_heads=64, correlation=0.451)
    assert "64 heads" in depth_sentence(depth) and "correlation of +0.45" in depth_sentence(depth)
    controls = DepthControl("permuted", None, None, None, None), DepthControl("matched", -0.1, 0.5, None, None)
    sentence = depth_sentence(replace(depth, controls=controls))
    assert "permuted word vectors not defined" in sentence and "matched word vectors -0.10" in sentence


def test_a_notebook_shows_findings_a_table_and_a_figure() -> None:
    html = sample_heads()._repr_html_()
    assert html.count("<details>") == len(head_report(sample_heads()).findings)
    assert "Table 3." in html and "<svg" in html and "65.96 ± 26.96 (21)" in html


def test_a_7b_model_stays_light() -> None:
    change = many_heads()
    size = len(json.dumps(grid_of(change))) + sum(map(len, blocks_of(change).values()))
    assert size < 4_000_000
    assert sum(len(text) for table in tables(change) for text in table.texts().values()) < 100_000
