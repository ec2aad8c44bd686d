"""The report's part on concepts: its tables, charts and data, and pages of concepts alone or beside the others."""

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
from aftertune.explainers.concepts.figures import angles_chart, variance_chart
from aftertune.explainers.concepts.page_data import concepts_view
from aftertune.explainers.concepts.rows import ChanceRow, Figure8Row, RotationRow
from aftertune.report.contents import ReportContents
from aftertune.report.evidence import not_run, to_look_at
from aftertune.report.formats import HTML, LATEX, PLAIN
from aftertune.report.page import write_report
from aftertune.runs.readable import visible
from report_concept_samples import (
    chance_row,
    component_row,
    expert_concepts,
    figure8_row,
    frame_of,
    many_concepts,
    network_row,
    none_unmatched,
    rotation_row,
    sample_concepts,
    spread,
)
from report_head_samples import ODD_WORDS, sample_heads
from report_samples import sample_contents
from test_report import Page

LARGEST_VIEW = 3_000_000
CHANCE = ["p_chance_base", "p_chance_tuned", "beyond_chance_base", "beyond_chance_tuned"]
NUMBERS = ["rank", "match_rank", "angle", "gap", "variance_share_base", "variance_share_tuned"]


def unpack(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def concepts_only(**changes: Any) -> ReportContents:
    values = {"concepts": sample_concepts(), "comparison": None, "maps": [], "check": None}
    return sample_contents(**(values | changes))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    contents = sample_contents(concepts=sample_concepts(), heads=sample_heads())
    return write_report(tmp_path_factory.mktemp("report"), contents, n_maps_drawn=0)


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
    assert {"concepts", "figure8", "angles", "rotation", "concept-table", "heads", "prompts"} <= set(ids)
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links[links.index("#heads") + 1] == "#concepts"


def test_the_packed_components_are_the_frame_again(page: Page) -> None:
    frame = sample_concepts()["components"]
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
    assert (last["new"], first["lost"], last["lost"]) == (None, [2], [])
    assert (first["new"]["rank"], first["new"]["match_rank"], first["new"]["angle"]) == ([2], [1], [75.5])
    assert [words[id] for id in first["new"]["words_tuned"][0]] == ["fresh", "verse"]


def test_components_without_a_counterpart_have_a_table(page: Page, written: Path) -> None:
    rows = read_csv(written, "unmatched")
    assert [(row["model"], row["rank"], row["match_rank"], row["words"]) for row in rows] == [
        ("tuned-model", "2", "1", "fresh, verse"),
        ("base-model", "2", "7", "Write, poem, verse"),
    ]
    assert (rows[0]["variance_share"], rows[1]["variance_share"]) == ("0.01", "0.005")
    assert "Components without a counterpart" in page.text and "Write, poem, verse" in page.text


def test_the_page_has_the_first_of_many_components_without_a_counterpart(tmp_path: Path) -> None:
    new = frame_of([component_row((0, 0, rank), rank, 80.0, ["a"], [f"fresh{rank}"]) for rank in range(1, 13)])
    written = write_report(tmp_path, concepts_only(concepts=sample_concepts(new_components=new)))
    assert len(read_csv(written, "unmatched")) == 12 + 1
    lines = (tmp_path / "tables" / "unmatched.md").read_text("utf-8").splitlines()
    assert len(lines) == 2 + 10 + 1 and "fresh10" in lines[11] and "base-model" in lines[12]
    none = {"new_components": frame_of([]), "lost_components": frame_of([])}
    page = Page(write_report(tmp_path, concepts_only(concepts=sample_concepts(**none))).read_text("utf-8"))
    assert "Every component is the best match of one of the other model." in page.text


def test_the_control_by_random_directions_has_a_table(page: Page, written: Path, tmp_path: Path) -> None:
    lines = (written.parent / "tables" / "chance.md").read_text("utf-8").splitlines()
    assert lines[2] == "| base-model | 1 | 2 | 0.163 | 0.150 | 12.50 | 1 | 50.00 |" and len(lines) == 2 + 4
    assert read_csv(written, "chance")[1]["beyond"] == "0.25" and "nearer than chance would give" in page.text
    old = Page(write_report(tmp_path, concepts_only(concepts=sample_concepts(chance=[]))).read_text("utf-8"))
    assert "the run is of an earlier version of Aftertune" in old.text


def test_the_strip_has_the_numbers_of_every_network(page: Page) -> None:
    strip = json.loads(page.blocks["concept-strip"])
    assert (strip["layers"], strip["experts"]) == ([0, 3], [0])
    assert strip["models"] == {"base": "base-model", "tuned": "tuned-model"}
    networks = sample_concepts()["networks"]
    assert strip["rows"] == [[row[name] for name in strip["columns"]] for row in networks]
    assert "mean_separated_angle" in strip["columns"]


def test_experts_have_places_of_their_own() -> None:
    view = concepts_view(expert_concepts(), "base", "tuned")
    assert (view["strip"]["layers"], view["strip"]["experts"]) == ([0, 1, 2], [0, 1, 2])
    assert [list(unpack(view["layers"][layer])) for layer in range(3)] == [["0", "1", "2"], ["0"], ["0", "1", "2"]]
    words = unpack(view["words"])
    assert words[unpack(view["layers"][2])["1"]["words_tuned"][0][0]] == "other3"


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
    assert (rotation[0]["pooled"], rotation[2]["pooled"], rotation[2]["layers"]) == ("False", "True", "all")
    assert networks == [{name: str(value) for name, value in row.items()} for row in sample_concepts()["networks"]]
    assert list(figure8[1].values()) == ["base-model", "64", "2", "0.5", "0.03125"] and len(figure8) == 6
    texts = json.loads(page.blocks["texts"])
    assert set(texts["networks"]) == set(texts["figure8"]) == {"csv"}
    assert set(texts["rotation"]) == {"csv", "tex", "md"}


def test_files_are_all_there(written: Path) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert {f"{name}.{suffix}" for name in ("figure8", "angles") for suffix in ("svg", "png")} <= figures


def test_the_chart_of_variance_has_means_and_bands() -> None:
    rows = [figure8_row("b", 64, 0.5), figure8_row("t", 64, 0.25) | {"accumulated": spread(0.25, None)}]
    spec = variance_chart([*rows, {"model": "t", "rank": 65, "accumulated": spread(None, None)}], ("b", "t"), 63)
    assert spec["datasets"]["figure8"] == [
        {"model": "b", "rank": 64, "mean": 0.5, "low": 0.46875, "high": 0.53125},
        {"model": "t", "rank": 64, "mean": 0.25, "low": 0.25, "high": 0.25},
    ]
    assert spec["datasets"]["read"] == [{"rank": 63}]
    assert variance_chart(rows, ("b", "t"), 64)["datasets"]["read"] == []


def test_the_chart_of_angles_has_every_network_and_leaves_the_undefined_out() -> None:
    rows = [network_row(0, 0, 12.0), network_row(4, 1, None), network_row(4, 0, 8.0, mean_separated_angle=None)]
    spec = angles_chart(rows)
    assert [tuple(value.values()) for value in spec["datasets"]["angles"]] == [
        (0, 0, "spaces", 6.0),
        (0, 0, "all components", 12.0),
        (0, 0, "well separated ones", 3.0),
        (4, 0, "spaces", 4.0),
        (4, 0, "all components", 8.0),
    ]
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    assert line["encoding"]["y"]["aggregate"] == "mean" and line["encoding"]["x"]["axis"]["values"] == [0, 4]


def test_methods_say_how_components_are_read_and_what_is_missing(page: Page) -> None:
    for words in (
        "down projection",
        "columns are centred",
        "eigenvectors of the covariance",
        "largest |cosine|",
        "The first 64 of each network",
        "The 20000 words come from a <corpus>",
        "Components of about equal variance",
        "there are no descriptions",
        "concepts · n words each",
        "heads · n draws",
    ):
        assert words in page.text
    assert "Not run" not in page.text


def test_a_page_of_concepts_alone(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, concepts_only()).read_text("utf-8"))
    assert page.open == [] and not {"tables", "figures", "prompts", "heads", "index"} & set(ids_of(page))
    assert "Feed-forward layers write" in page.text and "Attention heads connect" not in page.text
    assert "was not measured" in page.text and "Attention heads were not read" in page.text
    assert set(json.loads(page.blocks["texts"])) == {"rotation", "figure8", "chance", "networks", "unmatched"}
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links == ["#main", "#findings", "#concepts", "#methods"]


def test_a_page_without_concepts_says_so(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, sample_contents(heads=sample_heads()), n_maps_drawn=0).read_text("utf-8"))
    assert "concepts" not in ids_of(page) and ("a", "href", "#concepts") not in page.attributes
    assert "Feed-forward layers were not read" in page.text


def test_concepts_without_any_component_are_said_to_have_none(tmp_path: Path) -> None:
    empty = {"components": sample_concepts()["components"].clear(), "rotation": [], "figure8": [], "networks": []}
    empty |= none_unmatched()
    page = Page(write_report(tmp_path, concepts_only(concepts=sample_concepts(**empty))).read_text("utf-8"))
    for words in ("There is no figure 8", "There is no figure of angles", "There is no table of rotation"):
        assert words in page.text
    assert unpack(json.loads(page.blocks["concept-words"])) == []


def test_what_can_be_looked_at_and_what_was_not_run() -> None:
    everything = sample_contents(heads=sample_heads(), concepts=sample_concepts())
    assert to_look_at(everything) == "every prompt, every attention head and every feed-forward layer"
    assert to_look_at(concepts_only()) == "every feed-forward layer" and not_run(everything) == []
    assert to_look_at(concepts_only(heads=sample_heads())) == "every attention head and every feed-forward layer"
    assert [sentence.split()[0] for sentence in not_run(concepts_only())] == ["How", "Attention"]
    bare = sample_contents(check=None)
    assert [sentence.split()[0] for sentence in not_run(bare)] == ["The", "Attention", "Feed-forward"]


@pytest.mark.parametrize("name", ["rotation", "figure8", "chance", "components", "new_components", "n_words", "layers"])
def test_a_missing_part_is_named(name: str) -> None:
    concepts = sample_concepts()
    del concepts[name]
    with pytest.raises(RunError, match=f"concepts has no {name}; it has "):
        sample_contents(concepts=concepts)


def test_missing_columns_and_keys_are_named() -> None:
    frame = sample_concepts()["components"].drop("gap")
    with pytest.raises(RunError, match="frame of components has no gap"):
        sample_contents(concepts=sample_concepts(components=frame))
    with pytest.raises(RunError, match="rotation, words_kept, has no n"):
        sample_contents(concepts=sample_concepts(rotation=[rotation_row("0", words_kept={"mean": 0.5, "std": 0.1})]))
    with pytest.raises(RunError, match="figure8, accumulated, has no mean"):
        sample_contents(concepts=sample_concepts(figure8=[figure8_row("b", 1, 0.5) | {"accumulated": {"n": 1}}]))
    with pytest.raises(RunError, match="networks, row 1, has no variance_kept"):
        row = network_row(0, 0, 1.0)
        del row["variance_kept"]
        sample_contents(concepts=sample_concepts(networks=[row]))


def test_the_samples_are_rows_of_the_comparison() -> None:
    assert set(rotation_row("0")) == set(RotationRow.__dataclass_fields__)
    assert set(figure8_row("b", 1, 0.5)) == set(Figure8Row.__dataclass_fields__)
    assert set(chance_row("b", "1", 2, 1)) == set(ChanceRow.__dataclass_fields__)


def test_angles_and_shares_are_written_with_their_spread() -> None:
    assert PLAIN["degrees_spread"](spread(12.375, 3.2)) == "12.38±3.20" and PLAIN["degrees_spread"](None) == "–"
    assert PLAIN["degrees_spread"](spread(0.5, None)) == "0.50" and PLAIN["degrees_spread"](spread(None)) == "–"
    assert PLAIN["share_spread"](spread(0.75, 0.125)) == "75.00±12.50" and PLAIN["share_spread"](None) == "–"
    assert PLAIN["degrees_interval"]((1.0, 2.5)) == "[1.00, 2.50]" and PLAIN["degrees_interval"](None) == "–"
    assert HTML["degrees_spread"](spread(1.0, 2.0)) == "1.00 ± 2.00"
    assert LATEX["share_spread"](spread(0.75, 0.125)) == r"75.00$\pm$12.50"


def test_a_7b_model_stays_light() -> None:
    view = concepts_view(many_concepts(), "base", "tuned")
    assert len(json.dumps(view["strip"])) + len(view["words"]) + sum(map(len, view["layers"].values())) < LARGEST_VIEW
