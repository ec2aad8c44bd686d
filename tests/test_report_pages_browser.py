"""The report's pages in a real browser: one at a time, by their addresses; what a reload keeps; what can be saved;
whether everything can be read, named and reached.
"""

import csv
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftertune.explainers import AnnotationExplainer, ConceptExplainer
from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.prompt_pairs import pair_maps
from aftertune.explainers.heads import HeadExplainer
from aftertune.report.page import write_report
from page_audits import CONTRAST, NAMES
from report_annotation_samples import sample_annotations
from report_browser import CATCH, chromium, fits, saved, searched, set_value, set_width, visit
from report_concept_samples import sample_concepts
from report_head_samples import sample_heads
from report_samples import instance_row, make_map, sample_change, sample_report

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]
PAGES = ["findings", "attribution", "heads", "concepts", "annotation", "methods"]
OPENED = ("#detail-0[data-drawn]", "#head-detail[data-drawn]", "#concept-detail[data-drawn]")
LIST = "return document.getElementById('list').innerText"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


def rated_change() -> AttributionChange:
    """Two of the tuned model's responses are rated: the first was not followed, the second was."""
    plain = sample_change()
    ratings = {"odd/0": 1, "odd/1": 3}
    maps = [
        dataclasses.replace(salient, helpfulness=ratings.get(salient.id)) if salient.model == plain.tuned else salient
        for salient in plain.maps
    ]
    return sample_change(maps=tuple(maps))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    others = [
        HeadExplainer().section(sample_heads()),
        ConceptExplainer().section(sample_concepts()),
        AnnotationExplainer().section(sample_annotations()),
    ]
    return write_report(tmp_path_factory.mktemp("report"), sample_report(rated_change(), others))


@pytest.fixture
def page(driver: Any, report: Path) -> Iterator[Any]:
    visit(driver, report)
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def wait(page: Any, selector: str) -> None:
    WebDriverWait(page, 10).until(lambda d: d.find_elements(By.CSS_SELECTOR, selector))


def go(page: Any, address: str, selector: str = "body") -> None:
    page.execute_script("location.hash = arguments[0]", address)
    wait(page, selector)


def open_all(page: Any) -> None:
    for address, selector in zip(("prompt-0", "head-0-1", "concept-0-0"), OPENED, strict=True):
        go(page, address, selector)


def displayed(page: Any) -> list[str]:
    return [found.get_attribute("id") for found in page.find_elements(By.CSS_SELECTOR, ".page") if found.is_displayed()]


def shown(page: Any) -> list[str]:
    items = "[...document.querySelectorAll('tr.item:not([hidden])')]"
    return list(page.execute_script(f"return {items}.map(item => item.dataset.number)"))


def test_one_page_is_shown_and_named(page: Any) -> None:
    assert displayed(page) == ["findings"] and page.title == "Findings · A base & its <tuned> child"
    for link in page.find_elements(By.CSS_SELECTOR, ".bar a")[1:]:
        link.click()
        name = link.get_attribute("hash")[1:]
        WebDriverWait(page, 5).until(lambda d, name=name: displayed(d) == [name])
        assert [one.text for one in page.find_elements(By.CSS_SELECTOR, "[aria-current=page]")] == [link.text]
        assert page.title.startswith(link.text)
        assert page.execute_script("return document.activeElement.id") == f"{name}-title"
        assert fits(page)


@pytest.mark.parametrize(
    ("address", "on", "drawn"),
    [
        ("table2", "attribution", "#table2"),
        ("prompt-2", "attribution", "#detail-2[data-drawn]"),
        ("head-0-1", "heads", "#head-detail[data-drawn='0-1']"),
        ("figure3", "annotation", "#figure3"),
        ("concept-0-3", "concepts", "#concept-detail[data-drawn='0-3']"),
        ("prompt-77", "attribution", "#list"),
        ("%E0%A4%A", "findings", "#findings"),
    ],
)
def test_an_address_opens_its_page(driver: Any, report: Path, address: str, on: str, drawn: str) -> None:
    visit(driver, report, address)
    wait(driver, drawn)
    assert displayed(driver) == [on]
    assert driver.get_log("browser") == []


def test_back_finds_the_place(page: Any) -> None:
    go(page, "attribution", "#attribution.current")
    page.execute_script("window.scrollTo(0, 400)")
    page.execute_async_script("setTimeout(arguments[0], 300)")
    go(page, "heads", "#heads.current")
    assert page.execute_script("return window.scrollY") == 0
    page.back()
    wait(page, "#attribution.current")
    assert page.execute_script("return window.scrollY") == 400
    page.forward()
    wait(page, "#heads.current")


def test_a_reload_loses_nothing(page: Any) -> None:
    open_all(page)
    page.execute_script("document.querySelector('.components [data-order=angle]').click()")
    page.find_element(By.CSS_SELECTOR, "#concept-detail .only-changed").click()
    go(page, "head-0-1", "#heads.current")
    page.execute_script("document.getElementById('head-measure').selectedIndex = 2")
    page.execute_script("document.getElementById('head-measure').dispatchEvent(new Event('change'))")
    page.find_element(By.ID, "head-word").send_keys("solve")
    go(page, "attribution", "#attribution.current")
    page.find_element(By.ID, "repetitive").send_keys("in neither")
    page.find_element(By.CSS_SELECTOR, "[data-sort=difference]").click()
    page.find_element(By.CSS_SELECTOR, "#detail-0 .base .response .t").click()
    before = [shown(page), page.execute_script(LIST)]
    page.execute_async_script("setTimeout(arguments[0], 300)")
    where = page.execute_script("return window.scrollY")
    page.refresh()
    wait(page, "#detail-0[data-drawn] .base [aria-selected]")
    assert displayed(page) == ["attribution"] and [shown(page), page.execute_script(LIST)] == before
    assert page.execute_script("return window.scrollY") == where
    assert page.find_element(By.CSS_SELECTOR, "th.change").get_attribute("aria-sort") == "descending"
    go(page, "heads", "#head-detail[data-drawn='0-1'] .word.found")
    assert page.find_element(By.ID, "head-measure").get_attribute("value") == "verbs_gained"
    go(page, "concepts", "#concept-detail.changed-only[data-drawn='0-0']")
    angle = page.find_element(By.CSS_SELECTOR, ".components th:has([data-order=angle])")
    assert angle.get_attribute("aria-sort") == "descending"


def test_filters_by_rating_and_score(page: Any) -> None:
    go(page, "prompts", "#attribution.current")
    rows = rated_change().instances
    assert "Of the tuned model's responses, 2 of 6 are rated." in page.find_element(By.ID, "prompts").text
    options = [one.get_attribute("value") for one in page.find_elements(By.CSS_SELECTOR, "#rated option")]
    assert options == ["", "tuned: followed", "tuned: not followed", "tuned: unrated"]
    for value, expected in zip(options[1:], (["1"], ["0"], list("2345")), strict=True):
        set_value(page, "rated", value)
        assert shown(page) == expected
    page.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    WebDriverWait(page, 5).until(lambda d: len(shown(d)) == len(rows))
    low, high = sorted(row.score_tuned for row in rows)[1:3]
    set_value(page, "scored", "tuned")
    for name, value in (("lowest", low), ("highest", high)):
        page.find_element(By.ID, name).send_keys(repr(value))
    assert shown(page) == [str(n) for n, row in enumerate(rows) if low <= row.score_tuned <= high]
    assert page.find_element(By.ID, "shown").text == f"{len(shown(page))} of 6"


def test_every_figure_and_table_can_be_saved(page: Any) -> None:
    open_all(page)
    go(page, "heads", "#heads.current")
    searched(page, "head", "solve")
    page.execute_script(CATCH)
    buttons = "[...document.querySelectorAll('[data-suffix], [data-save]')]"
    offered = page.execute_script(f"return {buttons}.map(b => b.dataset.suffix || b.dataset.save)")
    page.execute_script(f"{buttons}.forEach(b => b.click())")
    found = saved(page, len(offered), 60)
    assert sorted(name.rsplit(".", 1)[1] for name, _ in found) == sorted(offered)
    starts = {"svg": "<svg", "png": "\ufffdPNG", "md": "| ", "tex": "\\begin{table}"}
    for name, text in found:
        assert text.startswith(starts.get(name.rsplit(".", 1)[1], "")) and text, name
    for figure in ("figure6", "scores", "figure2", "heads", "figure8", "angles", "networks", "figure3", "figure7"):
        assert {f"{figure}.svg", f"{figure}.png"} <= {name for name, _ in found}
    for card in page.find_elements(By.CSS_SELECTOR, "figure.card, section.card:has(table), .side .map-head"):
        names = [one.get_attribute("textContent") for one in card.find_elements(By.CSS_SELECTOR, ".downloads button")]
        assert {"SVG", "PNG", "CSV"} <= set(names) or {"CSV", "LaTeX", "Markdown"} <= set(names), card.text[:40]


def test_a_saved_map_is_the_map(page: Any) -> None:
    go(page, "prompt-0", OPENED[0])
    page.execute_script(CATCH)
    page.execute_script("document.querySelector('#detail-0 .tuned [data-save=csv]').click()")
    page.execute_script("document.querySelector('#detail-0 .tuned [data-save=svg]').click()")
    found = dict(saved(page, 2))
    salient = pair_maps(rated_change())[0].tuned
    assert salient is not None
    rows = list(csv.DictReader(io.StringIO(found["salient-map-odd_0-tuned.csv"])))
    assert [int(row["level"]) for row in rows] == salient.levels.reshape(-1).tolist()
    assert rows[0]["prompt_token"] == salient.prompt_tokens[0] and rows[0]["is_instruction"] == "true"
    assert found["salient-map-odd_0-tuned.svg"].count("<rect") == (salient.levels > 0).sum()


def test_saved_words_are_written_out_for_their_format(page: Any) -> None:
    go(page, "head-0-0", "#head-detail[data-drawn]")
    page.execute_script(CATCH)
    for suffix in ("csv", "tex", "md"):
        page.execute_script(f"document.querySelector('#head-detail [data-save={suffix}]').click()")
    found = dict(saved(page, 3))
    assert "</script><script>alert('no')</script>,poem,kept,1,1,2,2\n" in found["head-0-0-pairs.csv"]
    assert "\\textless{}/script\\textgreater{}" in found["head-0-0-pairs.tex"]
    assert "\\</script\\>" in found["head-0-0-pairs.md"]


def test_without_scripts_and_on_paper_all_pages_stand_one_below_the_other(driver: Any, report: Path) -> None:
    try:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        visit(driver, report)
        assert displayed(driver) == PAGES
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    try:
        visit(driver, report)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        assert displayed(driver) == PAGES
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_everything_has_a_name_and_its_place(page: Any) -> None:
    open_all(page)
    for name in PAGES:
        go(page, name, f"#{name}.current")
        assert page.execute_script(NAMES) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(page: Any, scheme: str) -> None:
    try:
        page.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        open_all(page)
        for name in PAGES:
            go(page, name, f"#{name}.current")
            assert page.execute_script(CONTRAST) == []
        page.execute_script("document.querySelectorAll('#detail-0 .base .response .t')[2].click()")
        page.execute_script("location.hash = 'attribution'")
        wait(page, "#attribution.current")
        assert page.execute_script(CONTRAST) == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [390, 800])
def test_a_narrow_page_scrolls_down_only_and_shows_where_it_is(page: Any, width: int) -> None:
    inside = "const { left, right } = document.querySelector('[aria-current]').getBoundingClientRect();"
    try:
        set_width(page, width)
        open_all(page)
        for name in PAGES:
            go(page, name, f"#{name}.current")
            assert fits(page) and page.execute_script(f"{inside} return left >= 0 && right <= innerWidth"), name
    finally:
        set_width(page, 1280)


def test_the_page_has_no_global_name(page: Any, tmp_path: Path) -> None:
    names, empty = "return Object.getOwnPropertyNames(window)", tmp_path / "empty.html"
    empty.write_text("<!doctype html><title>empty</title><link rel=icon href='data:,'>")
    open_all(page)
    found = set(page.execute_script(names))
    page.get(empty.as_uri())
    wait(page, "title")  # looking for elements leaves names of the driver's own
    assert found - set(page.execute_script(names)) == set()


def test_the_keyboard_reaches_a_prompt(page: Any) -> None:
    def press(*keys: str) -> str:
        page.switch_to.active_element.send_keys(*keys)
        return str(page.execute_script("return document.activeElement.textContent.trim()"))

    page.execute_script("document.querySelector('.skip').focus()")
    assert press(Keys.ENTER) == "Findings"
    page.execute_script("document.querySelector('.skip').focus()")
    assert press(Keys.TAB) == "Findings" and press(Keys.TAB) == "Attribution"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    wait(page, "#attribution.current")
    page.execute_script("document.getElementById('most').focus()")
    press(Keys.TAB)
    for _ in range(5):
        press(Keys.TAB)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    wait(page, OPENED[0])
    assert page.execute_script("return document.activeElement.getAttribute('aria-expanded')") == "true"


def test_very_long_prompts_are_shown_whole(driver: Any, tmp_path: Path) -> None:
    texts = ["word <script>alert(1)</script> \u202e אבג " * 2600]
    pairs = [
        [make_map(f"long/{n}", f"{role}-model", text, 3) for role in ("base", "tuned")] for n, text in enumerate(texts)
    ]
    maps, rows = tuple(salient for pair in pairs for salient in pair), tuple(instance_row(*pair) for pair in pairs)
    visit(driver, write_report(tmp_path, sample_report(sample_change(maps=maps, instances=rows))), "prompts")
    for number in range(len(texts)):
        go(driver, f"prompt-{number}", f"#detail-{number}[data-drawn]")
        length = "return document.querySelector('.side.base .prompt').textContent.length"
        assert driver.execute_script(length) >= 100_000 and fits(driver)
        driver.execute_script("document.querySelector('.list .opened .open').click()")
    set_width(driver, 600)
    assert fits(driver)
    set_width(driver, 1280)
    assert driver.get_log("browser") == []
