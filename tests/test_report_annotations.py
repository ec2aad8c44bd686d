"""The report's part on what an annotator made of concepts: its tables, charts and data, and what the page says."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.errors import RunError
from aftertune.explainers.annotation.figures import interpreted_chart, levels_chart
from aftertune.explainers.annotation.page_data import (
    agreement_sentences,
    chance_sentence,
    doubts,
    repeats_phrase,
    unparsed_sentences,
    word_groups,
)
from aftertune.explainers.annotation.rows import CategoryRow
from aftertune.explainers.annotation.tables import clear_rows
from aftertune.explainers.concepts.page_data import with_descriptions
from aftertune.report.page import write_report
from report_annotation_samples import ODD, category_row, sample_annotations, spread
from report_browser import chromium, fits, set_width, visit
from report_concept_samples import component_row, sample_concepts
from report_samples import sample_contents
from test_report import Page
from test_report_concepts import concepts_only, ids_of, unpack

PARTS = ("annotations", "categories", "figure3", "figure7", "words", "clearest", "trust")
TABLES = ("categories", "words", "clearest", "agreement", "unparsed")


def annotated(**changes: Any) -> Any:
    return concepts_only(annotations=sample_annotations(**changes))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), annotated())


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text("utf-8"))


def read_csv(written: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((written.parent / "tables" / f"{name}.csv").read_text("utf-8"))))


def test_the_page_is_well_formed_and_has_every_part(page: Page) -> None:
    ids = ids_of(page)
    assert page.open == [] and len(ids) == len(set(ids)) and set(PARTS) <= set(ids)
    assert ids.index("rotation") < ids.index("annotations") < ids.index("every-component")


def test_files_are_all_there(written: Path, page: Page) -> None:
    figures = {path.name for path in (written.parent / "figures").iterdir()}
    assert {f"{name}.{suffix}" for name in ("figure3", "figure7") for suffix in ("svg", "png")} <= figures
    texts = json.loads(page.blocks["texts"])
    assert all(set(texts[name]) == {"csv", "tex", "md"} for name in TABLES)
    assert all(set(texts[name]) == {"csv"} for name in ("figure3", "figure7"))
    assert "& Kappa" in texts["agreement"]["tex"] and "| Model | Step | Answers | Unusable |" in texts["unparsed"]["md"]


def test_tables_5_and_6_have_shares_in_per_cent_and_every_p_value(tmp_path: Path) -> None:
    contents = annotated(scenarios=[category_row()], levels=[category_row("syntax", "level", p_value=None)])
    page = Page(write_report(tmp_path, contents).read_text("utf-8"))
    lines = (tmp_path / "tables" / "categories.md").read_text("utf-8").splitlines()
    assert lines[0] == (
        "| Kind | Category | Base, % | Tuned, % | Difference, points | 95% interval | p (concepts) | Holm | "
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
    assert categories[1]["tuned_mean"] == str(found["scenarios"][1]["tuned"]["mean"])
    assert len(figure3) == len(found["figure3"]) and figure3[0]["share_std"] == str(found["figure3"][0]["share"]["std"])
    assert {row["ranks"] for row in figure7} == {"1", "2", "all"}
    assert [row["n_asked"] for row in read_csv(written, "unparsed")] == [
        str(row["n_asked"]) for row in found["unparsed"]
    ]


def test_the_samples_are_rows_of_the_comparison() -> None:
    assert set(category_row()) == set(CategoryRow.__dataclass_fields__)


def test_the_chart_of_levels_has_means_and_one_deviation_to_either_side() -> None:
    rows = [
        {"model": "b", "layers": "0", "level": "syntax", "share": spread(0.02, 0.05)},
        {"model": "t", "layers": "3", "level": "semantics", "share": spread(0.75, 0.125)},
        {"model": "t", "layers": "3", "level": "syntax", "share": spread(None, None)},
    ]
    spec = levels_chart(rows, ("b", "t"))
    assert [tuple(value.values()) for value in spec["datasets"]["figure3"]] == [
        ("b", "0", "syntax", 0.02, 0.0, pytest.approx(0.07)),
        ("t", "3", "semantics", 0.75, 0.625, 0.875),
    ]
    assert spec["resolve"] == {"scale": {"y": "independent"}}


def test_the_chart_of_ranks_has_bands_alone_and_a_panel_for_each_group() -> None:
    shares = {("0-7", "1-30"): 0.5, ("0-7", "all"): 0.4, ("3", "31-60"): 0.25, ("all", "1-30"): 0.6}
    rows = [{"model": "b", "layers": a, "ranks": r, "share": spread(m, None)} for (a, r), m in shares.items()]
    values = interpreted_chart(rows, ("b", "t"))["datasets"]["figure7"]
    assert [(value["layers"], value["ranks"], value["share"]) for value in values] == [
        ("layers 0-7", "1-30", 0.5),
        ("layer 3", "31-60", 0.25),
        ("all layers", "1-30", 0.6),
    ]


def test_words_stand_by_group_with_their_ranks(page: Page) -> None:
    groups = {group["layers"]: group for group in word_groups(sample_annotations())}
    assert [row["word"] for row in groups["3"]["risen"]] == ["loop"] and list(groups) == ["0", "3", "all"]
    row = groups["3"]["risen"][0]
    assert (row["rank_base"], row["rank_tuned"]) == (3, 1)
    assert "loop 3 → 1" in " ".join(page.text.split())


def test_the_clearest_concepts_have_their_description_and_words(page: Page) -> None:
    rows = clear_rows(sample_annotations())
    assert [(row["model"], row["layer"], row["rank"]) for row in rows][:2] == [
        ("base-model", 0, 1),
        ("base-model", 3, 1),
    ]
    assert rows[0]["words"] == "nom, ⟨U+202E⟩nombre" and rows[1]["scenarios"] == "coding"
    bare = {"model": "m", "layer": 0, "expert": 0, "rank": 1, "description": "x", "level": "syntax"}
    assert clear_rows({"clear": [bare | {"scenarios": [], "words": None}]})[0]["scenarios"] == "none"
    assert "programming loops" in page.text


def test_odd_descriptions_never_become_markup(written: Path) -> None:
    html = written.read_text("utf-8")
    assert "<script>alert" not in html and "\u202e" not in html and "a <small> model" not in html


def test_agreement_repeats_and_unusable_answers_are_said(page: Page) -> None:
    rows = [{"model": "b", "asked": "level", "kappa": 0.613}, {"model": "b", "asked": "math", "kappa": None}]
    assert agreement_sentences(rows) == ["b: level 0.61, math not defined."]
    refused = {"model": "b", "step": "tasks", "n_asked": 9600, "n_unparsed": 31}
    assert unparsed_sentences([refused]) == ["b: 31 of 9,600 (tasks)."]
    assert repeats_phrase(1, 1) == "once for each concept" and repeats_phrase(5, 5) == "5 times for each concept"
    assert repeats_phrase(5, 3).startswith("5 times for each concept of the base model and 3 times")
    assert "base-model: 0 of 8 (description), 0 of 5 (tasks), 0 of 5 (level)." in page.text
    assert "1 further place was not annotated" in page.text  # that of rank 7, of the tuned model alone


def test_components_carry_the_descriptions_of_their_own_and_of_their_match(page: Page) -> None:
    found = {layer: unpack(json.loads(page.blocks[f"concept-layer-{layer}"]))["0"] for layer in (0, 3)}
    shown = ODD.replace("\u202e", "⟨U+202E⟩")
    assert found[0]["description_base"] == [shown, "words of poetry"]
    assert found[0]["description_tuned"] == ["foreign names", "words of poetry"]  # the match of rank 2 has rank 7
    assert found[3]["description_base"] == ["programming code", ""]  # asked, but it could not be described
    assert found[3]["description_tuned"] == ["programming loops", None]  # no match
    assert json.loads(page.blocks["concept-strip"])["is_described"] is True


def test_what_was_never_asked_about_has_no_description() -> None:
    components = pl.DataFrame([component_row((0, 1, 2), 3, 1.0, [], [])])
    described = sample_annotations()["described"].clear()
    row = with_descriptions(components, described, ("rank", "match_rank")).to_dicts()[0]
    assert row["description_base"] is None and row["description_tuned"] is None and row["rank"] == 2


def test_what_the_page_says_depends_on_annotations(page: Page, tmp_path: Path) -> None:
    assert "An annotator described these lists" in page.text and "there are no descriptions" not in page.text
    assert "they tell of the annotator's noise" in page.text and "A weak annotator" not in page.text
    bare = Page(write_report(tmp_path, concepts_only()).read_text("utf-8"))
    assert "Nobody described these lists" in bare.text and not set(PARTS) & set(ids_of(bare))
    assert "description_base" not in unpack(json.loads(bare.blocks["concept-layer-0"]))["0"]


def test_a_weak_annotator_is_said_to_be_weak(tmp_path: Path) -> None:
    weak = Page(write_report(tmp_path, annotated(is_weak=True)).read_text("utf-8"))
    assert "A weak annotator." in weak.text


def test_an_annotator_that_contradicts_itself_is_warned_of_first(tmp_path: Path) -> None:
    asked = [("level", 0.7), ("coding", 0.5), ("math", -0.051), ("writing", None)]
    rows = [{"model": "b", "asked": name, "kappa": kappa, "n_concepts": 4, "n_repeats": 2} for name, kappa in asked]
    refused = [{"model": "b", "step": "tasks", "n_asked": 80, "n_unparsed": 9}]
    kept = [refused[0] | {"n_unparsed": 8}]
    said = doubts(sample_annotations(agreement=rows, unparsed=refused))
    assert len(said) == 2 and "on: coding, math (Fleiss' kappa down to −0.05" in said[0]
    assert said[1] == "Of 80 answers 9 (11%) were none of those allowed."
    assert doubts(sample_annotations(agreement=rows[:1], unparsed=kept)) == []
    unknown = sample_annotations(agreement=rows[-1:], unparsed=kept)
    assert doubts(unknown)[0].startswith("Its repeats are copies")
    assert doubts(unknown | {"n_repeats_base": 1}) == []
    html = write_report(tmp_path, annotated(agreement=rows, unparsed=refused)).read_text("utf-8")
    assert html.index("Answers to be careful with.") < html.index("categories-title")


def test_words_that_are_no_nearer_than_chance_are_warned_of(page: Page, tmp_path: Path) -> None:
    counts = {"n_within_chance_base": 3, "n_within_chance_tuned": 1}
    said = chance_sentence(sample_annotations(**counts))
    assert said and said.startswith("Of the 4 annotated components, 3 of the base and 1 of the tuned model have words")
    assert said in Page(write_report(tmp_path, annotated(**counts)).read_text("utf-8")).text
    assert chance_sentence(sample_annotations()) is None
    assert chance_sentence(sample_annotations(**dict.fromkeys(counts, 0))) is None
    assert "annotated components" not in page.text


def test_annotations_without_anything_say_so(tmp_path: Path) -> None:
    names = ("scenarios", "levels", "figure3", "figure7", "words", "clear", "agreement", "unparsed")
    page = Page(write_report(tmp_path, annotated(**{name: [] for name in names})).read_text("utf-8"))
    for words in ("There is no figure 3", "There is no figure 7", "no tables 7 to 10", "no tables 4, 11 and 12"):
        assert words in page.text
    assert page.open == []


def test_annotations_need_their_concepts() -> None:
    with pytest.raises(RunError, match="Annotations came without the concepts"):
        sample_contents(annotations=sample_annotations())


@pytest.mark.parametrize("name", ["annotator", "is_weak", "scenarios", "figure7", "interpreted", "described", "words"])
def test_a_missing_part_is_named(name: str) -> None:
    annotations = sample_annotations()
    del annotations[name]
    with pytest.raises(RunError, match=f"annotations has no {name}; it has "):
        concepts_only(annotations=annotations)


def test_missing_columns_and_keys_are_named() -> None:
    with pytest.raises(RunError, match="frame of descriptions has no role"):
        annotated(described=sample_annotations()["described"].drop("role"))
    with pytest.raises(RunError, match="writing, tuned, has no std"):
        annotated(scenarios=[category_row(tuned={"n": 2, "mean": 0.5})])
    with pytest.raises(RunError, match="figure3, share, has no n"):
        annotated(figure3=[{"model": "b", "layers": "0", "level": "syntax", "share": {"mean": 1.0, "std": 0.0}}])


def test_annotations_stand_beside_prompts(tmp_path: Path) -> None:
    contents = sample_contents(concepts=sample_concepts(), annotations=sample_annotations())
    page = Page(write_report(tmp_path, contents, n_maps_drawn=0).read_text("utf-8"))
    assert page.open == [] and {"prompts", "annotations"} <= set(ids_of(page))


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
