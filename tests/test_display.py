"""What results show of themselves in a notebook: findings, tables and figures, whatever is in them as text."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import aftertune
from aftertune.explainers.annotation.change import compare_annotations
from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.concepts.change import compare_concepts
from aftertune.explainers.heads.compare import compare_heads
from aftertune.study.comparison import Comparison
from annotated_samples import make_annotations
from comparison_samples import make_map
from concept_samples import make_concepts, orthonormal
from head_samples import make_reading
from report_browser import chromium, fits, set_width
from report_head_samples import SETTINGS

pytestmark = pytest.mark.usefixtures("drawn")

EVIL = "<script>document.title='evil'</script>"
BASE, TUNED = "base & co", EVIL
WORDS = (EVIL, "write", "tree", "\u202eturned", "x" * 300)


def make_heads(model: str, *pairs: tuple[str, str]) -> Any:
    lists = {(0, 0): [(EVIL, "write"), *pairs], (1, 1): [("tree", "x" * 300)]}
    return make_reading(model, lists, words=WORDS, without_vector=(), settings=SETTINGS)


def concepts_of(model: str, seed: int) -> Any:
    return make_concepts(model, {(0, 0): orthonormal(4, 8, seed)}, vocabulary=WORDS)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    maps = [
        replace(make_map(f"{EVIL}{number}", model, k), response_tokens=(EVIL,) * 16)
        for number in range(4)
        for model, k in ((BASE, 4 + number), (TUNED, 9))
    ]
    heads = make_heads(BASE), make_heads(TUNED, ("tree", "write"))
    changes = {
        "attribution": compare_maps(maps, BASE, TUNED),
        "heads": compare_heads(*heads, verbs=["write"], verbs_name=EVIL),
        "concepts": compare_concepts(concepts_of(BASE, 0), concepts_of(TUNED, 1)),
        "annotation": compare_annotations(make_annotations(), BASE, TUNED, (0, 1)),
    }
    return Comparison(BASE, TUNED, changes)


@pytest.fixture(scope="module")
def shown(comparison: Comparison) -> dict[str, str]:
    """The HTML of every kind of result."""
    results = {
        "comparison": comparison,
        **{f"change of {name}": change for name, change in comparison.changes.items()},
        **{"heads": make_heads(EVIL), "concepts": concepts_of(EVIL, 0)},
        "words": aftertune.load_words(list(WORDS)),
        "map": replace(make_map(EVIL, EVIL, 4), prompt_tokens=(EVIL,) * 2),
    }
    return {name: result._repr_html_() for name, result in results.items()}


def test_what_models_and_prompts_contain_is_shown_as_text(shown: dict[str, str]) -> None:
    for name, html in shown.items():
        assert EVIL not in html and "<script>document" not in html, name
        assert name == "words" or "&lt;script&gt;" in html or "&amp; co" in html, name
        assert "\u202e" not in html, name


def test_changes_show_every_finding_their_table_and_a_figure(comparison: Comparison, shown: dict[str, str]) -> None:
    assert shown["comparison"].count("<details>") == len(comparison.findings)
    for name in ("comparison", *(f"change of {name}" for name in comparison.changes)):
        assert "<svg" in shown[name] and "<table" in shown[name] and "<details>" in shown[name], name
        assert "src=" not in shown[name] and "@import" not in shown[name], name
    assert "Table 2." in shown["change of attribution"] and "Table 3." in shown["change of heads"]


def test_numbers_in_the_table_are_those_of_the_result(comparison: Comparison, shown: dict[str, str]) -> None:
    row = comparison.attribution.table2[0]
    for name in ("comparison", "change of attribution"):
        assert f"{row.base.mean:.4f}" in shown[name] and f"{row.difference:+.3f}" in shown[name]


def test_readings_show_a_row_for_each_layer(shown: dict[str, str]) -> None:
    assert shown["heads"].count("<tr>") == 1 + 2 and shown["concepts"].count("<tr>") == 1 + 1
    assert "&lt;/script&gt;=write" in shown["heads"]
    assert "Words of rank 3" in shown["concepts"]


def test_nothing_to_show_is_no_error() -> None:
    for nothing in (Comparison("a", "b"), AttributionChange("a", "b", (), (), (), (), ())):
        html = nothing._repr_html_()
        assert "a → b" in html and "<table" not in html and "<svg" not in html
    assert "<td" not in make_reading("m", {})._repr_html_()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    yield from chromium(tmp_path / "profile")


@pytest.mark.slow
@pytest.mark.parametrize("ground", ["white", "black"])
def test_it_fits_a_notebook_and_can_be_read_on_any_ground(
    ground: str, browser: Any, shown: dict[str, str], tmp_path: Path
) -> None:
    ink = "black" if ground == "white" else "white"
    style = f"<meta charset='utf-8'><body style='background:{ground};color:{ink};margin:20px'>"
    (tmp_path / "cell.html").write_text(f"<!doctype html>{style}{''.join(shown.values())}", "utf-8")
    browser.get((tmp_path / "cell.html").as_uri())
    for width in (1100, 700):
        set_width(browser, width)
        assert fits(browser)
    assert browser.title != "evil"
    filled = "return getComputedStyle(document.querySelector('.aftertune-shown svg text')).fill"
    assert browser.execute_script(filled) == ("rgb(0, 0, 0)" if ink == "black" else "rgb(255, 255, 255)")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
