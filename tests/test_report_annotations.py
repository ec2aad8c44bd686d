"""The report's part on what an annotator made of components: its tables, charts and data, and what the page says."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from aftertune.errors import AnnotationError, RunError
from aftertune.explainers.annotation import AnnotationExplainer
from aftertune.explainers.annotation.category_shares import AgreementRow, Figure3Row, Figure7Row, UnparsedRow
from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.charts import interpreted_chart, levels_chart
from aftertune.explainers.annotation.page import component_notes, doubts, repeats_phrase, within_chance, word_groups
from aftertune.explainers.annotation.result import write_annotations
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.explainers.annotation.show import section, stages
from aftertune.explainers.explainer import Inputs
from aftertune.report.page import Report, write_report
from aftertune.report.section import Section
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.statistics.spread import Spread
from annotated_samples import make_annotations
from report_annotation_samples import ABOUT, BASE, MODELS, ODD, TUNED, category_row, sample_annotations
from report_browser import chromium, fits, set_width, visit
from report_concept_samples import report_of, sample_concepts
from test_report import Page
from test_report_concepts import ids_of, unpack

pytestmark = pytest.mark.usefixtures("drawn")

PARTS = ("annotation", "categories", "figure3", "figure7", "words", "clearest", "agreement", "unparsed")
TABLES = ("categories", "words", "clearest", "agreement", "unparsed")


def write(folder: Path, *sections: Section) -> Page:
    return Page(write_report(folder, Report("What tuning changed", MODELS, [], [], sections)).read_text("utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder, report_of(sample_concepts(), section(sample_annotations())))


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def read_csv(written: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((written.parent / "tables" / f"{name}.csv").read_text("utf-8"))))


def test_the_page_is_well_formed_and_has_every_part(page: Page) -> None:
    ids = ids_of(page)
    assert page.open == [] and len(ids) == len(set(ids)) and set(PARTS) <= set(ids)


def test_files_are_all_there(written: Path, page: Page) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert {f"{name}.{suffix}" for name in ("figure3", "figure7") for suffix in ("svg", "png")} <= figures
    texts = json.loads(page.blocks["texts"])
    assert all(set(texts[name]) == {"csv", "tex", "md"} for name in TABLES)
    assert all(set(texts[name]) == {"csv"} for name in ("figure3", "figure7"))
    assert "& Kappa" in texts["agreement"]["tex"] and "| Model | Step | Answers | Unusable |" in texts["unparsed"]["md"]


def test_tables_are_those_of_the_report(written: Path) -> None:
    tables = sample_annotations().tables()
    assert list(tables) == [*TABLES, "figure3", "figure7"]
    assert tables["categories"].equals(sample_annotations().to_polars())
    assert tables["clearest"].schema["words"] == pl.String
    for name, frame in tables.items():
        rows = read_csv(written, name)
        assert len(rows) == frame.height and list(rows[0]) == frame.columns


def test_tables_5_and_6_have_shares_in_per_cent_and_every_p_value(tmp_path: Path) -> None:
    rows = {"scenarios": (category_row(),), "levels": (category_row("syntax", "level", p_value=None),)}
    page = write(tmp_path, section(sample_annotations(**rows)))
    lines = (tmp_path / "tables" / "categories.md").read_text("utf-8").splitlines()
    assert lines[0] == (
        "| Kind | Category | Base, % | Tuned, % | Difference, points | 95% interval | p (components) | Holm | "
        "p (repeats, Welch) | Holm | p (repeats, permutation) | Holm | g |"
    )
    assert lines[2] == (
        "| scenario | writing | 10.00±1.00 | 12.50±2.25 | +2.50 | [-1.00, 6.00] | 0.2500 | 0.5000 | 2.5e-4 | 0.0010 | "
        "0.0100 | 0.0400 | 1.436 |"
    )
    assert [line.split(" | ")[1] for line in lines[2:]] == ["writing", "syntax", "interpreted"]
    assert lines[3].split(" | ")[8] == "–" and "10.00 ± 1.00" in page.text
    assert r"12.50$\pm$2.25" in (tmp_path / "tables" / "categories.tex").read_text("utf-8")


def test_the_csv_files_have_every_number_in_full(written: Path) -> None:
    found = sample_annotations()
    categories, figure3, figure7 = (read_csv(written, name) for name in ("categories", "figure3", "figure7"))
    assert [row["category"] for row in categories][-2:] == ["semantics", "interpreted"] and len(categories) == 9
    assert categories[1]["tuned_mean"] == str(found.scenarios[1].tuned.mean)
    assert len(figure3) == len(found.figure3) and figure3[0]["share_std"] == str(found.figure3[0].share.std)
    assert {row["ranks"] for row in figure7} == {"1", "2", "all"}
    assert [row["n_answers"] for row in read_csv(written, "unparsed")] == [str(row.n_answers) for row in found.unparsed]


def test_the_chart_of_levels_has_means_and_one_deviation_to_either_side() -> None:
    rows = [
        Figure3Row("b", "0", "syntax", Spread(2, 0.02, 0.05)),
        Figure3Row("t", "3", "semantics", Spread(2, 0.75, 0.125)),
        Figure3Row("t", "3", "syntax", Spread(0, None, None)),
    ]
    spec = levels_chart(rows, ("b", "t"))
    assert spec and [tuple(value.values()) for value in spec["datasets"]["figure3"]] == [
        ("b", "0", "syntax", 0.02, 0.0, pytest.approx(0.07)),
        ("t", "3", "semantics", 0.75, 0.625, 0.875),
    ]
    assert spec["resolve"] == {"scale": {"y": "independent"}}
    assert levels_chart(rows[2:], ("b", "t")) is None


def test_the_chart_of_ranks_has_bands_alone_and_a_panel_for_each_group() -> None:
    shares = {("0-7", "1-30"): 0.5, ("0-7", "all"): 0.4, ("3", "31-60"): 0.25, ("all", "1-30"): 0.6}
    rows = [Figure7Row("b", layers, ranks, Spread(1, mean, None)) for (layers, ranks), mean in shares.items()]
    spec = interpreted_chart(rows, ("b", "t"))
    assert spec
    assert [(value["layers"], value["ranks"], value["share"]) for value in spec["datasets"]["figure7"]] == [
        ("layers 0-7", "1-30", 0.5),
        ("layer 3", "31-60", 0.25),
        ("all layers", "1-30", 0.6),
    ]
    assert interpreted_chart(rows[1:2], ("b", "t")) is None


def test_words_stand_by_group_with_their_ranks(page: Page) -> None:
    groups = {group["layers"]: group for group in word_groups(sample_annotations())}
    assert [row["word"] for row in groups["3"]["risen"]] == ["loop"] and list(groups) == ["0", "3", "all"]
    row = groups["3"]["risen"][0]
    assert (row["rank_base"], row["rank_tuned"]) == (3, 1)
    assert "loop 3 → 1" in " ".join(page.text.split())


def test_the_clearest_components_have_their_description_and_words(page: Page) -> None:
    rows = sample_annotations().tables()["clearest"].to_dicts()
    assert [(row["model"], row["layer"], row["rank"]) for row in rows][:2] == [
        ("base-model", 0, 1),
        ("base-model", 3, 1),
    ]
    assert rows[0]["words"] == "nom, ⟨U+202E⟩nombre" and rows[1]["scenarios"] == "coding"
    bare = (
        sample_annotations()
        .clear.head(1)
        .with_columns(scenarios=pl.lit([], pl.List(pl.String)), words=pl.lit(None, pl.List(pl.String)))
    )
    row = sample_annotations(clear=bare).tables()["clearest"].row(0, named=True)
    assert (row["scenarios"], row["words"]) == ("none", None) and "programming loops" in page.text


def test_odd_descriptions_never_become_markup(written: Path) -> None:
    html = written.read_text("utf-8")
    assert "<script>alert" not in html and "\u202e" not in html and "a <small> model" not in html


def test_who_annotated_and_how_often_is_said(page: Page) -> None:
    change = sample_annotations()
    assert repeats_phrase(change) == "2 times for each component"
    assert repeats_phrase(sample_annotations(n_repeats_base=1, n_repeats_tuned=1)) == "once for each component"
    assert repeats_phrase(sample_annotations(n_repeats_base=5)).startswith("5 times for each component of the base")
    assert "a <small> model described" in page.text, "the model, not its folder"
    assert "1 further place was not annotated" in page.text  # that of rank 7, of the tuned model alone


def test_notes_have_the_descriptions_of_every_component(page: Page) -> None:
    notes = unpack(json.loads(page.blocks["component-notes"]))
    shown = ODD.replace("\u202e", "⟨U+202E⟩")
    assert notes["base"] == {
        "0": {"0": {"1": shown, "2": "words of poetry"}},
        "3": {"0": {"1": "programming code", "2": ""}},  # asked, but it could not be described
    }
    assert notes["tuned"]["0"]["0"] == {"1": "foreign names", "2": "suffixes", "7": "words of poetry"}
    assert component_notes(sample_annotations(described=sample_annotations().described.clear())) == {
        "base": {},
        "tuned": {},
    }


def test_a_weak_annotator_is_said_to_be_weak(page: Page, tmp_path: Path) -> None:
    assert "A weak annotator." in write(tmp_path, section(sample_annotations(is_weak=True))).text
    assert "A weak annotator." not in page.text


def test_an_annotator_that_contradicts_itself_is_warned_of_first(tmp_path: Path) -> None:
    asked = [("level", 0.7), ("coding", 0.5), ("math", -0.051), ("writing", None)]
    rows = tuple(AgreementRow("b", name, 4, 2, kappa) for name, kappa in asked)
    refused, kept = (UnparsedRow("b", "tasks", 80, 9),), (UnparsedRow("b", "tasks", 80, 8),)
    doubtful = sample_annotations(agreement=rows, unparsed=refused)
    said = doubts(doubtful)
    assert len(said) == 2 and "coding, math (Fleiss' kappa down to −0.05" in said[0] and "level" not in said[0]
    assert said[1].startswith("Of 80 answers 9 (11%)")
    assert doubts(sample_annotations(agreement=rows[:1], unparsed=kept)) == []
    assert len(doubts(sample_annotations(agreement=rows[-1:], unparsed=kept))) == 1, "no kappa is known"
    assert doubts(sample_annotations(agreement=rows[-1:], unparsed=kept, n_repeats_base=1)) == []
    text = write(tmp_path, section(doubtful)).text
    assert text.index(said[0]) < text.index("Tables 5 and 6")


def test_words_that_are_no_nearer_than_chance_are_warned_of(tmp_path: Path) -> None:
    counts = {"n_within_chance_base": 3, "n_within_chance_tuned": 1}
    said = within_chance(sample_annotations(**counts))
    assert said and said.startswith("Of the 4 annotated components, 3 of the base and 1 of the tuned model")
    assert said in write(tmp_path, section(sample_annotations(**counts))).text
    assert within_chance(sample_annotations()) is None
    assert within_chance(sample_annotations(**dict.fromkeys(counts, 0))) is None


def test_annotations_without_anything_say_so(tmp_path: Path) -> None:
    full, names = sample_annotations(), ("scenarios", "levels", "figure3", "figure7", "agreement", "unparsed")
    nothing: Any = dict.fromkeys(names, ()) | {"words": full.words.clear(), "clear": full.clear.clear()}
    unknown = category_row("interpreted", "interpreted", base=Spread(0, None, None), tuned=Spread(0, None, None))
    page = write(tmp_path, section(sample_annotations(**nothing, interpreted=unknown)))
    for words in ("There is no figure 3", "There is no figure 7", "no tables 7 to 10", "no tables 4, 11 and 12"):
        assert words in page.text
    assert page.open == []


def test_stages_have_every_model_once_and_the_tables_of_all_pairs(tmp_path: Path) -> None:
    names = ("base-model", "tuned-model", "third")
    changes = [sample_annotations(pair) for pair in (names[:2], names[1:], (names[0], names[2]))]
    found = stages(changes, names)
    tables = {table.name: table.frame for table in found.tables}
    assert set(tables) == {*TABLES, "figure3", "figure7"}
    one = changes[0].tables()
    assert tables["categories"]["pair"].n_unique() == 3 and tables["categories"].height == 3 * one["categories"].height
    for name in ("figure3", "figure7"):
        assert tables[name].height == 3 * one[name].height // 2
        assert tables[name]["model"].unique(maintain_order=True).to_list() == list(names)
    assert tables["figure3"].filter(model="third")["share_mean"].to_list() == [
        row.share.mean for row in changes[0].figure3 if row.model == "tuned-model"
    ]
    report = Report("Stages", names, [], [], [found])
    assert Page(write_report(tmp_path, report).read_text("utf-8")).open == []


def test_a_notebook_shows_findings_and_tables_5_and_6() -> None:
    shown = sample_annotations()._repr_html_()
    assert "<table" in shown and "<svg" in shown and "translation" in shown and "<script" not in shown


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    identity = {"base": {}, "tuned": {}, "tuned-2": {}}
    found = RunFolder.start(tmp_path / "run", identity, {})
    found.remember("names.json", {"base": "base-model", "tuned": "tuned-model", "tuned-2": "third"})
    return found


def change_of(run: RunFolder, pair: Pair, concepts: Any) -> AnnotationChange | None:
    return AnnotationExplainer().change(Held(run), pair, AnnotationSettings(), {"concepts": concepts})


def read_concepts() -> Any:
    own = sample_annotations().clear.filter(model="base-model").drop("model", "description", "descriptions", "level")
    marked = own.with_columns(beyond_chance=pl.Series([True, False]))
    return SimpleNamespace(layers=(0, 3), components_base=marked, components_tuned=marked)


def test_a_run_shows_its_newest_annotations_of_any_two_models(run: RunFolder) -> None:
    explainer, concepts = AnnotationExplainer(), read_concepts()
    assert not explainer.is_in(run) and change_of(run, Pair("base", "tuned"), concepts) is None
    frame = make_annotations(BASE, TUNED)
    write_annotations(run, "old", frame, {"annotator": {"name": "old"}})
    later = frame.with_columns(pl.col("role").replace({"tuned": "tuned-2"}))
    write_annotations(run, "org%2Fm", later, ABOUT)
    found = change_of(run, Pair("base", "tuned-2"), concepts)
    assert explainer.is_in(run) and found is not None
    assert (found.base, found.tuned, found.annotator) == ("base-model", "third", "org%2Fm")
    assert found.settings["repeats"] == 2 and set(found.described["role"]) == {"base", "tuned"}
    assert (found.n_within_chance_base, found.n_within_chance_tuned) == (1, 1)
    assert found.scenarios == sample_annotations().scenarios
    assert change_of(run, Pair("base", "tuned"), concepts) is None, "the newest are of other models"


def test_annotations_that_cannot_be_compared_are_refused(run: RunFolder) -> None:
    write_annotations(run, "m", make_annotations(BASE, TUNED).with_columns(level=pl.lit("grammar")), ABOUT)
    with pytest.raises(RunError, match="grammar"):
        change_of(run, Pair("base", "tuned"), read_concepts())


def test_annotation_is_no_part_of_a_comparison() -> None:
    with pytest.raises(AnnotationError, match="aftertune annotate"):
        AnnotationExplainer().prepare(AnnotationSettings(), Inputs())
    assert AnnotationExplainer().needs == ("concepts",) and AnnotationExplainer().command == "aftertune annotate"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


def wait(driver: Any, holds: Callable[[Any], Any]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 5).until(holds)


@pytest.mark.slow
def test_the_search_finds_words_of_descriptions_and_marks_them(driver: Any, written: Path) -> None:
    visit(driver, written, "concepts")
    field = driver.find_element("id", "concept-word")
    field.send_keys("poet")
    wait(
        driver, lambda d: d.find_element("id", "concept-found").text.startswith("Only in descriptions: in 1 component")
    )
    hits = driver.find_element("id", "concept-hits")
    assert [cell.text for cell in hits.find_elements("css selector", "td")] == ["described", "described"]
    hits.find_element("css selector", "button").click()
    wait(driver, lambda d: d.find_elements("css selector", "#concept-detail[data-drawn='0-0'] .description .found"))
    marked = driver.find_elements("css selector", "#concept-detail .found")
    assert [word.text for word in marked] == ["poetry", "poetry"]
    field.clear()
    field.send_keys("nowhere")
    wait(driver, lambda d: d.find_element("id", "concept-found").text.startswith("No list and no description has"))


@pytest.mark.slow
def test_descriptions_stand_above_the_words_as_they_were_written(driver: Any, written: Path) -> None:
    visit(driver, written, "concepts")
    driver.execute_script("document.getElementById('concept-0-3').click()")
    wait(driver, lambda d: d.find_elements("css selector", "#concept-detail[data-drawn='0-3']"))
    shown = [line.text for line in driver.find_elements("css selector", "#concept-detail .description")]
    assert shown == ["programming code", "programming loops", "could not be described"]
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    for width in (1280, 390):
        set_width(driver, width)
        assert fits(driver)
