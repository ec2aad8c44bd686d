"""The report on a phone of 390 pixels, in a real browser: what fits, what says that it scrolls, what is in sight first;
maps with the tokens of both sides, and a tooltip that stands clear of what it explains.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftertune.explainers import AnnotationExplainer, ConceptExplainer
from aftertune.explainers.heads import HeadExplainer
from aftertune.explainers.location import LocationExplainer
from aftertune.explainers.outputs import OutputExplainer
from aftertune.report.page import write_report
from aftertune.statistics.finding import Finding, Part, Verdict
from aftertune.statistics.verdict import judge
from output_samples import change_of, measure, noisy, run_in
from page_audits import CONTRAST
from report_annotation_samples import sample_annotations
from report_browser import chromium, set_width, visit
from report_concept_samples import sample_concepts
from report_head_samples import sample_heads
from report_samples import sample_report
from test_location_report import change as sample_location

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]
WIDTH = 390
PAGES = ["findings", "attribution", "heads", "concepts", "annotation", "location", "outputs", "methods"]
# Of everything that is wider than its place, whether a line above it says so.
UNSAID = """
const said = (box) => { const hint = box.previousElementSibling; return hint?.matches('.sideways:not([hidden])'); };
const boxes = [...document.querySelectorAll('.page.current :is(.scroll, .drawing, .grid-box)')];
const wide = boxes.filter((box) => box.scrollWidth > box.clientWidth + 1);
return wide.filter((box) => !said(box)).map((box) => box.outerHTML.slice(0, 90));
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every explainer's page, and a verdict."""
    run = run_in(tmp_path_factory.mktemp("run"))
    measure(run, noisy(1))
    others = [
        HeadExplainer().section(sample_heads()),
        ConceptExplainer().section(sample_concepts()),
        AnnotationExplainer().section(sample_annotations()),
        LocationExplainer().section(sample_location()),
        OutputExplainer().section(change_of(run)),
    ]
    known = {"p_value": 0.001, "brings": 0.53, "brings_interval": [0.459, 0.623], "n_left_out": 3}
    told = Finding("location.where", "It sits", "There.", Verdict.SHOWN, known, part=Part.NAME)
    made = sample_report(None, others, findings=[told], verdict=judge([told]))
    return write_report(tmp_path_factory.mktemp("report"), made)


@pytest.fixture
def phone(driver: Any, report: Path) -> Iterator[Any]:
    set_width(driver, WIDTH)
    visit(driver, report)
    yield driver
    set_width(driver, 1280)


def go(page: Any, address: str, selector: str) -> None:
    page.execute_script("location.hash = arguments[0]", address)
    WebDriverWait(page, 10).until(lambda d: d.find_elements(By.CSS_SELECTOR, selector))
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def box(page: Any, selector: str) -> dict[str, float]:
    script = "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()"
    return dict(page.execute_script(script, selector))


def test_every_page_fits_and_says_what_scrolls(phone: Any) -> None:
    for name in PAGES:
        go(phone, name, f"#{name}.current")
        assert phone.execute_script("return document.scrollingElement.scrollWidth") <= WIDTH + 1, name
        assert phone.execute_script(UNSAID) == [], name
        assert phone.execute_script(CONTRAST) == [], name
    tabs = phone.find_elements(By.CSS_SELECTOR, ".bar a")
    assert len(tabs) == len(PAGES) and all(0 <= one.rect["x"] <= WIDTH - one.rect["width"] for one in tabs)


def test_the_verdict_is_in_sight_first(phone: Any) -> None:
    assert box(phone, "#verdict .told")["bottom"] < 844


def test_numbers_have_names_and_units(phone: Any) -> None:
    phone.find_element(By.CSS_SELECTOR, ".numbers-of summary").click()
    found = [one.text for one in phone.find_elements(By.CSS_SELECTOR, ".evidence > div")]
    assert found == ["p\n0.0010", "brought when swapped into the base\n53% [45.9, 62.3]", "prompts left out\n3"]


def test_a_tooltip_leaves_what_it_explains_in_sight(phone: Any) -> None:
    go(phone, "prompt-0", "#detail-0[data-drawn]")
    point = """
const token = [...document.querySelectorAll('#detail-0 .tuned .t')][arguments[0]];
token.scrollIntoView({ block: arguments[1] });
const { left, top, bottom } = token.getClientRects()[0], place = { clientX: left + 1, clientY: (top + bottom) / 2 };
token.dispatchEvent(new PointerEvent('pointerover', { bubbles: true, ...place }));
const tip = document.getElementById('tip').getBoundingClientRect();
const inside = tip.left >= 0 && tip.right <= innerWidth && tip.bottom <= innerHeight;
return [tip.height, tip.bottom <= top || tip.top >= bottom, inside];
"""
    for place, where in ((0, "center"), (1, "end")):
        height, clear, inside = phone.execute_script(point, place, where)
        assert height > 0 and clear and inside


def test_maps_of_one_prompt_stand_on_the_same_tokens(driver: Any, report: Path) -> None:
    visit(driver, report, "prompt-0")
    go(driver, "prompt-0", "#detail-0[data-drawn]")
    script = """
const box = (map, name) => map.querySelector(`.${name}`).getBoundingClientRect();
const [base, tuned] = [...document.querySelectorAll('#detail-0 .map')].map((map) =>
  Object.fromEntries(['tops', 'names', 'cells'].map((name) => [name, box(map, name)])));
const inked = (name) => {
  const canvas = document.querySelector(`#detail-0 .${name}`);
  return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
};
return [base.cells.top === tuned.cells.top, base.cells.height === tuned.cells.height,
  base.names.height === base.cells.height, base.names.top === base.cells.top,
  base.tops.width === base.cells.width, base.tops.left === base.cells.left,
  base.tops.bottom <= base.cells.top + 1, inked('tops'), inked('names')];
"""
    assert all(driver.execute_script(script)), driver.execute_script(script)
    driver.execute_script("document.querySelector('#detail-0 .map-head > button').click()")
    assert all(driver.execute_script(script)), "enlarged together"
