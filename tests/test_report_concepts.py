"""The report's part on concepts: its tables, figures and data, of two models and of several, and in a notebook."""

import base64
import csv
import io
import json
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.explainers.concepts import ConceptExplainer
from aftertune.explainers.concepts.change import ConceptChange, compare_concepts
from aftertune.explainers.concepts.charts import angles_chart, rotation_chart, variance_chart
from aftertune.explainers.concepts.page_data import blocks_of, strip_of
from aftertune.report.formats import HTML, LATEX, PLAIN
from aftertune.report.page import Report, write_report
from aftertune.runs.readable import visible
from aftertune.statistics.spread import Spread
from concept_samples import make_concepts, orthonormal, rotated
from report_concept_samples import (
    MODELS,
    component_row,
    components_frame,
    expert_concepts,
    figure8_row,
    many_concepts,
    network_row,
    report_of,
    rotation_row,
    sample_concepts,
)
from report_head_samples import ODD_WORDS
from test_report import Page

pytestmark = pytest.mark.usefixtures("drawn")

LARGEST_VIEW = 3_000_000
CHANCE = ["p_chance_base", "p_chance_tuned", "beyond_chance_base", "beyond_chance_tuned"]
NUMBERS = ["rank", "match_rank", "angle", "gap", "variance_share_base", "variance_share_tuned"]


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), report_of(sample_concepts()))


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def ids_of(page: Page) -> list[str]:
    return [value for _, name, value in page.attributes if name == "id"]


def read_csv(written: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((written.parent / "tables" / f"{name}.csv").read_text("utf-8"))))


def test_the_page_is_well_formed_and_its_ids_are_unique(page: Page) -> None:
    ids = ids_of(page)
    assert page.open == [] and len(ids) == len(set(ids))
    assert {"concepts", "figure8", "angles", "rotation", "chance", "unmatched", "concept-table"} <= set(ids)
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert "#concepts" in links and {"#concept-0-0", "#concept-0-3"} <= set(links)


def test_the_packed_components_are_the_frame_again(page: Page) -> None:
    frame = sample_concepts().components
    words = unpack(json.loads(page.blocks["concept-words"]))
    named = {*ODD_WORDS, "Write", "verse", "Verse", "code", "loop", "fresh"}
    assert words == [visible(word) for word in sorted(named)]
    found: list[Any] = []
    for layer in (0, 3):
        for expert, columns in unpack(json.loads(page.blocks[f"concept-layer-{layer}"])).items():
            sides = [[[words[id] for id in ids] for ids in columns.pop(f"words_{side}")] for side in ("base", "tuned")]
            del columns["new"], columns["lost"]
            assert list(columns) == [*NUMBERS, *CHANCE]
            found += [(layer, int(expert), *row) for row in zip(*columns.values(), *sides, strict=True)]
    shown = pl.col("words_base", "words_tuned").list.eval(pl.element().map_elements(visible, pl.String))
    rounded = pl.col("variance_share_base", "variance_share_tuned").round(5)
    p_values = pl.col("p_chance_base", "p_chance_tuned").round_sig_figs(2)
    numbered = frame.with_columns(shown, rounded, p_values, angle=pl.col("angle").round(2))
    assert found == numbered.select("layer", "expert", *NUMBERS, *CHANCE, "words_base", "words_tuned").rows()


def test_components_without_a_counterpart_are_packed_too(page: Page) -> None:
    words = unpack(json.loads(page.blocks["concept-words"]))
    first, last = (unpack(json.loads(page.blocks[f"concept-layer-{layer}"]))["0"] for layer in (0, 3))
    assert (last["new"], first["lost"], last["lost"]) == (None, [2], [2])
    assert (first["new"]["rank"], first["new"]["match_rank"], first["new"]["angle"]) == ([2], [1], [75.5])
    assert [words[id] for id in first["new"]["words_tuned"][0]] == ["fresh", "verse"]


def test_components_without_a_counterpart_have_a_table(page: Page, written: Path) -> None:
    rows = read_csv(written, "unmatched")
    assert [(row["model"], row["layer"], row["rank"], row["match_rank"], row["words"]) for row in rows] == [
        ("tuned-model", "0", "2", "1", "fresh, verse"),
        ("base-model", "0", "2", "7", "Write, poem, verse"),
        ("base-model", "3", "2", "", ""),
    ]
    assert (rows[0]["variance_share"], rows[1]["variance_share"]) == ("0.01", "0.005")
    assert "Write, poem, verse" in page.text


def test_the_page_has_the_first_of_many_components_without_a_counterpart(tmp_path: Path) -> None:
    first = component_row((0, 0, 1), 20, 80.0, ["a"], ["b"])
    new = [component_row((0, 0, rank), 1, 80.0, ["a"], [f"fresh{rank}"]) for rank in range(1, 13)]
    frames = {"components": components_frame([first]), "tuned_components": components_frame(new)}
    written = write_report(tmp_path, report_of(sample_concepts(**frames)))
    assert len(read_csv(written, "unmatched")) == 12
    lines = (tmp_path / "tables" / "unmatched.md").read_text("utf-8").splitlines()
    assert len(lines) == 2 + 10 and "fresh10" in lines[11]
    page = Page(write_report(tmp_path, report_of(expert_concepts())).read_text("utf-8"))
    assert "Every component is the best match of one of the other model." in page.text


def test_the_control_by_random_directions_has_a_table(written: Path, tmp_path: Path) -> None:
    lines = (written.parent / "tables" / "chance.md").read_text("utf-8").splitlines()
    assert lines[2] == "| base-model | 1 | 2 | 0.163 | 0.150 | 12.50 | 1 | 50.00 |" and len(lines) == 2 + 4
    assert read_csv(written, "chance")[1]["beyond"] == "0.25"
    old = Page(write_report(tmp_path, report_of(sample_concepts(chance=()))).read_text("utf-8"))
    assert "the run is of an earlier version of Aftertune" in old.text


def test_the_strip_has_the_numbers_of_every_network(page: Page) -> None:
    strip = json.loads(page.blocks["concept-strip"])
    assert (strip["layers"], strip["experts"]) == ([0, 3], [0])
    assert strip["models"] == {"base": "base-model", "tuned": "tuned-model"}
    networks = sample_concepts().networks.to_dicts()
    assert strip["rows"] == [[row[name] for name in strip["columns"]] for row in networks]
    assert "mean_separated_angle" in strip["columns"]


def test_experts_have_places_of_their_own() -> None:
    change = expert_concepts()
    strip, blocks = strip_of(change), blocks_of(change)
    assert (strip["layers"], strip["experts"]) == ([0, 1, 2], [0, 1, 2])
    layers = [unpack(blocks[f"concept-layer-{layer}"]) for layer in range(3)]
    assert [list(layer) for layer in layers] == [["0", "1", "2"], ["0"], ["0", "1", "2"]]
    words = unpack(blocks["concept-words"])
    assert words[layers[2]["1"]["words_tuned"][0][0]] == "other3"


def test_odd_words_never_become_markup(written: Path) -> None:
    html = written.read_text("utf-8")
    assert "<script>alert" not in html and "\u202e" not in html and "\x00" not in html and "x" * 10_000 not in html


def test_the_table_of_rotation_has_angles_in_degrees_and_shares_in_per_cent(page: Page, written: Path) -> None:
    lines = (written.parent / "tables" / "rotation.md").read_text("utf-8").splitlines()
    assert lines[0] == (
        "| Layers | Networks | Angle of spaces, ° | Largest, ° | Angle of components, ° | 95% interval | "
        "Well separated ones, ° | n | Same rank, % | Variance kept, % | Words kept, % | 95% interval |"
    )
    assert lines[2] == (
        "| 0 | 2 | 6.25±1.50 | 40.00±3.00 | 12.50±3.25 | [11.50, 14.00] | 3.12±0.50 | 12 | 75.00±5.00 | 90.00±2.50 | "
        "62.57±10.00 | [55.12, 70.00] |"
    )
    assert len(lines) == 2 + 3 and "12.50 ± 3.25" in page.text
    assert r"12.50$\pm$3.25" in (written.parent / "tables" / "rotation.tex").read_text("utf-8")


def test_the_csv_files_have_every_number_in_full(page: Page, written: Path) -> None:
    rotation, networks, figure8 = (read_csv(written, name) for name in ("rotation", "networks", "figure8"))
    assert (rotation[0]["component_angle_mean"], rotation[0]["words_kept_interval_low"]) == ("12.5", "0.5512")
    assert (rotation[0]["pooled"], rotation[2]["pooled"], rotation[2]["layers"]) == ("false", "true", "all")
    frame = sample_concepts().networks
    assert networks == [{name: str(value) for name, value in row.items()} for row in frame.to_dicts()]
    assert list(figure8[1].values()) == ["base-model", "64", "2", "0.5", "0.03125"] and len(figure8) == 6
    texts = json.loads(page.blocks["texts"])
    assert set(texts["networks"]) == set(texts["figure8"]) == {"csv"}
    assert set(texts) == {"concept_written", "concept_read", "rotation", "figure8", "chance", "networks", "unmatched"}
    assert set(texts["rotation"]) == {"csv", "tex", "md"}


def test_files_are_all_there(written: Path) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert figures == {f"{name}.{suffix}" for name in ("figure8", "angles") for suffix in ("svg", "png")}


def test_the_chart_of_variance_has_means_and_bands() -> None:
    rows = [figure8_row("b", 64, 0.5), figure8_row("t", 64, 0.25, None)]
    spec = variance_chart([*rows, figure8_row("t", 65, None, None)], ("b", "t"), 63)
    assert spec is not None and spec["datasets"]["figure8"] == [
        {"model": "b", "rank": 64, "mean": 0.5, "low": 0.46875, "high": 0.53125},
        {"model": "t", "rank": 64, "mean": 0.25, "low": 0.25, "high": 0.25},
    ]
    assert spec["datasets"]["read"] == [{"rank": 63}]
    whole = variance_chart(rows, ("b", "t"), 64)
    assert whole is not None and whole["datasets"]["read"] == []
    assert variance_chart([figure8_row("t", 65, None, None)], ("b", "t"), 64) is None


def test_the_chart_of_angles_has_every_network_and_leaves_the_undefined_out() -> None:
    rows = [network_row(0, 0, 12.0), network_row(4, 1, None), network_row(4, 0, 8.0, mean_separated_angle=None)]
    spec = angles_chart(rows)
    assert spec is not None and [tuple(value.values()) for value in spec["datasets"]["angles"]] == [
        (0, 0, "spaces", 6.0),
        (0, 0, "all components", 12.0),
        (0, 0, "well separated ones", 3.0),
        (4, 0, "spaces", 4.0),
        (4, 0, "all components", 8.0),
    ]
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    assert line["encoding"]["y"]["aggregate"] == "mean" and line["encoding"]["x"]["axis"]["values"] == [0, 4]
    assert angles_chart([network_row(4, 1, None)]) is None


def test_the_chart_of_pairs_has_well_separated_components_without_the_pooled_row() -> None:
    rows = [rotation_row("0-7"), rotation_row("8-15", 20.0), rotation_row("all", 16.0)]
    spec = rotation_chart({"a → b": rows, "b → c": rows[:1]})
    assert spec is not None and [tuple(value.values()) for value in spec["datasets"]["rotation"]] == [
        *(
            ("a → b", "0-7", 3.125, 2.625, 3.625),
            ("a → b", "8-15", 5.0, 4.5, 5.5),
            ("b → c", "0-7", 3.125, 2.625, 3.625),
        )
    ]
    assert rotation_chart({"a → b": rows[2:]}) is None


def test_methods_say_how_components_are_read(page: Page) -> None:
    for words in (
        "down projection",
        "columns are centred",
        "eigenvectors of the covariance",
        "largest |cosine|",
        "The first 64 of each network",
        "The 20,000 words come from a <corpus>",
        "Components of about equal variance",
    ):
        assert words in page.text


def test_concepts_without_any_component_are_said_to_have_none(tmp_path: Path) -> None:
    frames = {name: getattr(sample_concepts(), name) for name in ("components", "tuned_components", "networks")}
    empty = {name: frame.clear() for name, frame in frames.items()}
    section = ConceptExplainer().section(sample_concepts(**empty, rotation=(), figure8=()))
    page = Page(write_report(tmp_path, Report("", MODELS, [], [], [section])).read_text("utf-8"))
    for words in ("There is no figure 8", "There is no figure of angles", "There is no table of rotation"):
        assert words in page.text
    assert unpack(json.loads(page.blocks["concept-words"])) == []


def three_models() -> list[ConceptChange]:
    """Base, then one of which a component rotated by 20 degrees, then one where it rotated by 40; every pair."""
    basis = {(layer, 0): orthonormal(5, 9, layer) for layer in range(5)}
    rows = {network: axes[:4] for network, axes in basis.items()}
    known: dict[str, Any] = {"chance": [0.4] * 9, "nearest": dict.fromkeys(rows, [0.5] * 4)}
    made = [
        make_concepts(name, rows | {(1, 0): rotated(rows[1, 0], 1, basis[1, 0][4], angle)}, **known)
        for name, angle in (("base", 0.0), ("sft", 20.0), ("dpo", 40.0))
    ]
    return [compare_concepts(made[a], made[b]) for a, b in ((0, 1), (1, 2), (0, 2))]


def test_several_models_stand_side_by_side(tmp_path: Path) -> None:
    models = ("base", "sft", "dpo")
    section = ConceptExplainer().stages(three_models(), models)
    names = ["concept_written", "rotation", "chance", "unmatched", "figure8", "networks"]
    assert [table.name for table in section.tables] == names
    _, rotation, chance, _, figure8, networks = (table.frame for table in section.tables)
    pairs = ["base → sft", "sft → dpo", "base → dpo"]
    assert rotation["pair"].unique(maintain_order=True).to_list() == pairs
    pooled = rotation.filter(pl.col("pooled"))["separated_angle_mean"].to_list()
    assert pooled == pytest.approx([1, 1, 2]) and networks.height == 3 * 5
    for frame in (chance, figure8):
        own = frame.group_by("model", maintain_order=True).len()
        assert own["model"].to_list() == list(models) and own["len"].n_unique() == 1
    drawn = {figure.name: figure.chart for figure in section.figures}
    assert list(drawn) == ["figure8", "angles"]
    assert {point["pair"] for point in drawn["angles"]["datasets"]["rotation"]} == set(pairs)
    assert {point["model"] for point in drawn["figure8"]["datasets"]["figure8"]} == set(models)
    page = Page(write_report(tmp_path, Report("Stages", models, [], [], [section])).read_text("utf-8"))
    ids = ids_of(page)
    assert page.open == [] and len(ids) == len(set(ids)) and "sft → dpo" in page.text


def test_results_show_themselves_in_a_notebook() -> None:
    reading = make_concepts("a <model>", {(0, 0): orthonormal(4, 9), (1, 0): orthonormal(2, 9)})
    html = reading._repr_html_()
    assert "a &lt;model&gt;" in html and "Words of rank 3" in html and "Tree, stone" in html and "Expert" not in html
    change = three_models()[0]._repr_html_()
    assert change.count("<details>") == 5 and "Angle of spaces" in change and "<svg" in change


def test_angles_and_shares_are_written_with_their_spread() -> None:
    assert PLAIN["degrees_spread"](Spread(2, 12.375, 3.2)) == "12.38±3.20" and PLAIN["degrees_spread"](None) == "–"
    assert PLAIN["degrees_spread"](Spread(2, 0.5, None)) == "0.50" and PLAIN["degrees_spread"](Spread.of([])) == "–"
    assert PLAIN["share_spread"](Spread(2, 0.75, 0.125)) == "75.00±12.50" and PLAIN["share_spread"](None) == "–"
    assert PLAIN["degrees_interval"]((1.0, 2.5)) == "[1.00, 2.50]" and PLAIN["degrees_interval"](None) == "–"
    assert HTML["degrees_spread"](Spread(2, 1.0, 2.0)) == "1.00 ± 2.00"
    assert LATEX["share_spread"](Spread(2, 0.75, 0.125)) == r"75.00$\pm$12.50"


def test_a_7b_model_stays_light() -> None:
    change = many_concepts()
    assert len(json.dumps(strip_of(change))) + sum(map(len, blocks_of(change).values())) < LARGEST_VIEW
