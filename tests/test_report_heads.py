"""The report's part on attention heads: its tables, charts and data, and pages that have only heads or none."""

import base64
import csv
import io
import json
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.errors import RunError
from aftertune.explainers.heads.figures import heads_chart, layers_chart
from aftertune.explainers.heads.page_data import heads_view
from aftertune.report.contents import ReportContents
from aftertune.report.evidence import depth_sentence
from aftertune.report.formats import HTML, LATEX, PLAIN
from aftertune.report.page import write_report
from aftertune.report.tables import table_texts
from aftertune.runs.readable import visible
from report_head_samples import ODD_WORDS, figure2_row, many_heads, sample_heads, table3_row
from report_samples import sample_contents
from test_report import Page

SECTIONS = {"tables", "figures", "prompts"}


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def heads_only(**changes: Any) -> ReportContents:
    values = {"heads": sample_heads(), "comparison": None, "maps": [], "check": None}
    return sample_contents(**(values | changes))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = sample_contents(heads=sample_heads())
    return write_report(tmp_path_factory.mktemp("report"), contents, n_maps_drawn=0)


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def ids_of(page: Page) -> set[str]:
    return {value for _, name, value in page.attributes if name == "id"}


def test_the_page_is_well_formed_and_its_ids_are_unique(page: Page) -> None:
    assert page.open == []
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) and SECTIONS | {"heads", "figure2", "table3", "head-table"} <= set(ids)
    assert ("a", "href", "#heads") in page.attributes


def test_the_packed_lists_are_the_frame_again(page: Page) -> None:
    pairs = sample_heads()["pairs"]
    words = unpack(json.loads(page.blocks["head-words"]))
    assert words == [visible(word) for word in sorted({*ODD_WORDS, "Poem", *(f"other{n}" for n in range(15))})]
    rows = []
    for layer in (0, 3):
        for head, columns in unpack(json.loads(page.blocks[f"head-layer-{layer}"]))["pairs"].items():
            names = [[words[id] for id in columns.pop(name)] for name in ("word_a", "word_b")]
            numbers = [[value or None for value in columns[name]] for name in columns]
            rows += [(layer, int(head), *row) for row in zip(*names, *numbers, strict=True)]
    shown = pairs.drop("change").with_columns(pl.col("word_a", "word_b").map_elements(visible, pl.String))
    assert rows == shown.rows()


def test_the_words_of_highest_cosine_stand_for_a_neuron_pair(page: Page) -> None:
    words = unpack(json.loads(page.blocks["head-words"]))
    (neuron,) = unpack(json.loads(page.blocks["head-layer-0"]))["neurons"]["1"]
    assert (neuron["neuron"], neuron["distance"]) == (17, 0.75)
    assert (neuron["n_gained"], neuron["n_lost"]) == (15, 1)
    expected = [["solve", f"other{n}", round(0.9 - n / 100, 2)] for n in range(12)]
    assert [[words[query], words[key], cosine] for query, key, cosine in neuron["gained"]] == expected
    assert [[words[query], words[key], cosine] for query, key, cosine in neuron["lost"]] == [["write", "Poem", 0.5]]


def test_the_grid_has_the_numbers_of_every_head(page: Page) -> None:
    grid = json.loads(page.blocks["head-grid"])
    assert (grid["layers"], grid["n_heads"], grid["asked"]) == ([0, 3], 3, "instruction verbs")
    assert [dict(zip(grid["columns"], row, strict=True)) for row in grid["rows"]] == sample_heads()["heads"]


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
    assert lines[3] == "| 0 | permuted | 51.00 | 50.00 | +1.00 | – | 0.8100 | – | – | – | – | – | – |"
    assert len(lines) == 2 + 3 * 3 and "65.96 ± 26.96 (21)" in page.text
    assert r"65.96$\pm$26.96 (21)" in (written.parent / "tables" / "table3.tex").read_text("utf-8")


def test_the_csv_of_table_3_has_shares_in_full(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written.parent / "tables" / "table3.csv").read_text("utf-8"))))
    first, control, pooled = rows[0], rows[2], rows[6]
    assert (first["instruction_mean"], first["instruction_n"]) == ("0.6596", "21")
    assert first["difference_interval_low"] == "-0.0123"
    assert (control["lists"], control["p_value"], control["instruction_std"]) == ("frequency-matched", "0.0212", "")
    assert (first["pooled"], pooled["pooled"], pooled["layers"]) == ("False", "True", "all")


def test_figure_2_has_its_numbers_as_a_table(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written.parent / "tables" / "figure2.csv").read_text("utf-8"))))
    assert [row["lists"] for row in rows] == ["as read", "permuted", "frequency-matched"] * 4
    assert [row["distance_mean"] for row in rows[:3]] == ["0.5", "0.375", "0.4375"]
    assert (rows[0]["interval_high"], rows[0]["excess"], rows[1]["excess"]) == ("0.55", "", "0.125")
    assert (rows[0]["distance_n"], rows[3]["layers"], rows[6]["level"]) == ("8", "3", "neuron pair")


def test_every_head_has_a_row_in_its_csv(page: Page, written: Path) -> None:
    text = (written.parent / "tables" / "heads.csv").read_text("utf-8")
    assert text.splitlines()[2] == "0,1,0.625,0.8125,1,3,2,0,2,0" and text.splitlines()[5] == "3,2,,,0,0,0,0,0,0"
    assert json.loads(page.blocks["texts"])["heads"] == {"csv": text}


def test_files_are_all_there(written: Path) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert {"figure2.svg", "figure2.png", "heads.svg", "heads.png"} <= figures
    tables = {path.name for path in (written.parent / "tables").iterdir()}
    assert {f"{name}.{suffix}" for name in ("table3", "figure2") for suffix in ("csv", "tex", "md")} <= tables


def test_the_chart_of_layers_has_means_intervals_and_controls() -> None:
    spec = layers_chart([figure2_row("head", "0-7", 0.5)])
    assert spec["datasets"]["figure2"] == [
        {"level": "head", "layers": "0-7", "lists": "as read", "distance": 0.5, "low": 0.46, "high": 0.55},
        {"level": "head", "layers": "0-7", "lists": "permuted", "distance": 0.375, "low": None, "high": None},
        {"level": "head", "layers": "0-7", "lists": "frequency-matched", "distance": 0.4375, "low": None, "high": None},
    ]


def test_the_chart_of_heads_is_scaled_to_the_largest_and_leaves_the_undefined_out() -> None:
    rows = [row for row in sample_heads()["heads"] if row["distance"] != 1.0]
    spec = heads_chart(rows, (0, 3), 3)
    assert [tuple(row.values()) for row in spec["datasets"]["heads"]] == [(0, 0, 0.0), (0, 1, 0.625), (0, 2, 0.25)]
    assert spec["encoding"]["color"]["scale"]["domain"] == [0, 0.625]


def test_methods_say_what_a_pair_means_and_where_words_come_from(page: Page) -> None:
    for words in ("18311 of 20000 words (from a <corpus>)", "(from GloVe)", "demonstrate, <b>", "heads · n draws"):
        assert words in page.text
    assert "Rotary position is left out" in page.text and "Attention heads were not read" not in page.text


def test_a_page_of_heads_alone_has_no_section_on_prompts(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, heads_only()).read_text("utf-8"))
    assert page.open == [] and not ids_of(page) & {*SECTIONS, "index", "list"} and "heads" in ids_of(page)
    assert "Not run. How responses depend on their prompts was not measured" in page.text
    assert "Honesty check" not in page.text and "Importance" not in page.text
    assert set(json.loads(page.blocks["texts"])) == {"table3", "figure2", "heads"}
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links == ["#main", "#findings", "#heads", "#methods"]


def test_a_page_without_heads_says_so(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, sample_contents(), n_maps_drawn=0).read_text("utf-8"))
    assert "heads" not in ids_of(page) and ("a", "href", "#heads") not in page.attributes
    assert "Attention heads were not read" in page.text


def test_heads_without_any_pair_are_said_to_have_none(tmp_path: Path) -> None:
    heads = sample_heads()
    empty = {name: heads[name].clear() for name in ("pairs", "neurons")} | {"figure2": [], "table3": [], "depth": None}
    page = Page(write_report(tmp_path, heads_only(heads=heads | empty)).read_text("utf-8"))
    assert "There is no figure 2" in page.text and "There is no table 3" in page.text
    assert unpack(json.loads(page.blocks["head-words"])) == []


def test_words_of_ones_own_name_the_column() -> None:
    texts = table_texts(heads_only(heads=sample_heads(asked="medical {asked}.txt")))
    assert "| Medical {asked}.txt, % (n) |" in texts["table3"]["md"]


@pytest.mark.parametrize("name", ["figure2", "table3", "heads", "pairs", "neurons", "asked", "depth", "n_words"])
def test_a_missing_part_is_named(name: str) -> None:
    heads = sample_heads()
    del heads[name]
    with pytest.raises(RunError, match=f"heads has no {name}; it has "):
        sample_contents(heads=heads)


def test_missing_columns_and_keys_are_named() -> None:
    heads = sample_heads()
    with pytest.raises(RunError, match="frame of pairs has no rank_tuned"):
        sample_contents(heads=heads | {"pairs": heads["pairs"].drop("rank_tuned")})
    with pytest.raises(RunError, match="frame of neurons has no cosine"):
        sample_contents(heads=heads | {"neurons": heads["neurons"].drop("cosine")})
    with pytest.raises(RunError, match="table3, instruction, has no std"):
        sample_contents(heads=heads | {"table3": [table3_row("0", instruction={"n": 1, "mean": 0.5})]})
    with pytest.raises(RunError, match="trend over depth has no controls"):
        sample_contents(heads=heads | {"depth": {"n_heads": 4, "correlation": 0.1, "p_value": 0.2}})


def test_a_report_needs_prompts_or_heads() -> None:
    with pytest.raises(RunError, match="nothing to report"):
        heads_only(heads=None)
    with pytest.raises(RunError, match="12 maps came without their comparison"):
        sample_contents(heads=sample_heads(), comparison=None)


def test_shares_are_written_in_per_cent() -> None:
    value = {"n": 21, "mean": 0.6596, "std": 0.2696}
    assert PLAIN["percent_spread"](value) == "65.96±26.96 (21)"
    assert PLAIN["percent_spread"]({"n": None, "mean": 0.5, "std": None}) == "50.00"
    assert PLAIN["percent_spread"]({"n": 0, "mean": None, "std": None}) == PLAIN["percent"](None) == "–"
    assert HTML["percent_change"](-0.1635) == "−16.35" and LATEX["percent_change"](-0.1635) == "$-16.35$"
    assert LATEX["percent_change"](None) == "--" and LATEX["change"](None) == "--"
    assert HTML["percent_interval"]((-0.0123, 0.2941)) == "[−1.23, 29.41]"
    assert PLAIN["percent_interval"](None) == PLAIN["percent_interval"]((None, 0.1)) == "–"


def test_the_trend_over_depth_in_words() -> None:
    depth = {"n_heads": 64, "correlation": 0.451, "p_value": 0.0312, "controls": []}
    assert "Over 64 heads" in depth_sentence(depth) and "+0.45, p 0.0312 (1: deeper" in depth_sentence(depth)
    control = {"control": "permuted", "correlation": None, "p_value": None}
    other = {"control": "frequency-matched", "correlation": -0.1, "p_value": 0.5}
    sentence = depth_sentence(depth | {"controls": [control, other]})
    assert ", against one that is not defined under the control permuted and -0.10, p 0.5000 under" in sentence
    assert "cannot be said" in depth_sentence(depth | {"correlation": None})


def test_a_7b_model_stays_light() -> None:
    view = heads_view(many_heads(), "base", "tuned")
    size = len(json.dumps(view["grid"])) + len(view["words"]) + sum(map(len, view["layers"].values()))
    assert size < 4_000_000
