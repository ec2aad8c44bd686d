"""The report's part on heads in a real browser: the grid, the keyboard, an opened head, the search."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftertune.report.page import write_report
from report_browser import CATCH, chromium, fits, saved, searched, set_value, set_width, visit
from report_head_samples import ODD_WORDS, head_report, many_heads, sample_heads

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]
NARROWEST_CELL = 13


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), head_report(sample_heads()))


@pytest.fixture
def page(driver: Any, report: Path) -> Iterator[Any]:
    visit(driver, report, "heads")
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def buttons(page: Any) -> dict[str, Any]:
    return {found.get_attribute("data-key"): found for found in page.find_elements(By.CSS_SELECTOR, "button.head")}


def levels(page: Any) -> list[str]:
    return [found.get_attribute("data-level") for found in buttons(page).values()]


def opened(page: Any, key: str) -> Any:
    WebDriverWait(page, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, f"#head-detail[data-drawn='{key}']"))
    return page.find_element(By.ID, "head-detail")


def open_head(page: Any, key: str) -> Any:
    page.execute_script("document.getElementById(arguments[0]).click()", f"head-{key}")
    return opened(page, key)


def list_rows(detail: Any, role: str) -> list[tuple[str, ...]]:
    rows = detail.find_elements(By.CSS_SELECTOR, f".head-list.{role} tr:not(:first-child)")
    return [tuple(cell.text for cell in row.find_elements(By.TAG_NAME, "td")) for row in rows]


def search(page: Any, word: str) -> str:
    return searched(page, "head", word)


def hits(page: Any) -> list[str]:
    return [key for key, found in buttons(page).items() if "hit" in found.get_attribute("class").split()]


def test_every_head_is_a_button_that_says_its_numbers(page: Any) -> None:
    found = buttons(page)
    assert list(found) == ["0-0", "0-1", "0-2", "3-0", "3-2"]
    assert found["0-1"].get_attribute("aria-label") == (
        "Layer 0, head 1; distance 0.63, 2 pairs gained, 0 lost; distance of its neuron pairs 0.81; "
        "with instruction verbs: 2 gained, 0 lost"
    )
    assert found["3-2"].get_attribute("aria-label") == "Layer 3, head 2; no pair in either model"


def test_colours_are_tenths_of_the_largest(page: Any) -> None:
    assert levels(page) == ["0", "7", "3", "10", "0"]
    assert "empty" in buttons(page)["3-2"].get_attribute("class")
    scale = page.find_element(By.ID, "head-scale").text.split()
    assert "0.00" in scale and "1.00" in scale


def test_the_select_colours_by_another_measure(page: Any) -> None:
    select = page.find_element(By.ID, "head-measure")
    names = [option.text for option in select.find_elements(By.TAG_NAME, "option")]
    assert names[2:] == ["gained pairs with instruction verbs", "lost pairs with instruction verbs"]
    select.find_elements(By.TAG_NAME, "option")[1].click()
    assert levels(page) == ["5", "9", "7", "10", "0"]
    select.find_elements(By.TAG_NAME, "option")[2].click()
    assert levels(page) == ["0", "10", "0", "0", "0"]
    assert "2 (the largest)" in page.find_element(By.ID, "head-scale").text


def test_the_pointer_shows_a_heads_numbers(page: Any) -> None:
    target = buttons(page)["3-0"]
    ActionChains(page).scroll_to_element(target).move_to_element(target).perform()
    tip = page.find_element(By.ID, "tip")
    assert tip.is_displayed() and "Layer 3, head 0" in tip.text and "0 pairs gained, 1 lost" in tip.text


def test_the_keyboard_moves_opens_and_closes(page: Any) -> None:
    page.execute_script("document.getElementById('head-0-0').focus()")
    focused = "return document.activeElement.id"
    for keys, expected in [
        ((Keys.ARROW_RIGHT,), "head-0-1"),
        ((Keys.ARROW_DOWN,), "head-0-1"),
        ((Keys.END, Keys.ARROW_DOWN), "head-3-2"),
        ((Keys.HOME,), "head-3-0"),
        ((Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_RIGHT), "head-0-1"),
    ]:
        ActionChains(page).send_keys(*keys).perform()
        assert page.execute_script(focused) == expected
    assert page.find_element(By.ID, "tip").is_displayed()
    ActionChains(page).send_keys(Keys.ENTER).perform()
    opened(page, "0-1")
    assert page.execute_script(focused) == "head-detail-title"
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert page.execute_script(focused) == "head-0-1" and not page.find_element(By.ID, "head-detail").is_displayed()
    assert len(page.find_elements(By.CSS_SELECTOR, "button.head[tabindex='0']")) == 1


def test_an_opened_head_shows_both_lists_with_changes_in_words(page: Any) -> None:
    detail = open_head(page, "0-1")
    assert list_rows(detail, "base") == [("1", "poem · write", "2", "now 2")]
    assert list_rows(detail, "tuned") == [
        ("1", "solve · write", "2", "+ gained"),
        ("2", "poem · write", "3", "was 1"),
        ("3", "solve · writer", "4", "+ gained"),
    ]
    neuron = detail.find_element(By.CSS_SELECTOR, ".neuron").text
    assert "Neuron pair 17 · distance 0.75" in neuron and "+ gained: solve → other0 0.90," in neuron
    assert "and 3 more" in neuron and "− lost: write → Poem 0.50" in neuron
    detail.find_element(By.CSS_SELECTOR, ".tick input").click()
    assert [row[0] for row in list_rows(detail, "tuned") if row[0]] == ["1", "3"]


def test_a_list_that_is_lost_and_a_head_without_pairs(page: Any) -> None:
    detail = open_head(page, "3-0")
    assert list_rows(detail, "base") == [("1", "poem · write", "2", "− lost")]
    assert "This model has no pair here." in detail.find_element(By.CSS_SELECTOR, ".head-list.tuned").text
    assert "no pair in either model" in open_head(page, "3-2").text
    assert buttons(page)["3-0"].get_attribute("aria-expanded") == "false"
    open_again = "document.getElementById('head-3-2').click()"
    page.execute_script(open_again)
    assert not page.find_element(By.ID, "head-detail").is_displayed()


def test_odd_words_are_text(page: Any) -> None:
    shown = [row[1].removesuffix(" · poem") for row in list_rows(open_head(page, "0-0"), "tuned")]
    assert len(shown) == len(ODD_WORDS)
    assert shown[:4] == [ODD_WORDS[0], "<!--", "a⟨U+202E⟩b␀c", "a⟨U+202E⟩b␀c"]
    assert shown[4] == ODD_WORDS[4] and shown[5].replace("\n", "") == "x" * 10_000 and shown[10] == "◦"
    assert fits(page)


def test_the_search_marks_heads_and_counts_pairs(page: Any) -> None:
    assert search(page, "Write") == "write, writer: in 3 of 5 heads, 4 pairs in base and 5 in tuned."
    assert hits(page) == ["0-0", "0-1", "3-0"]
    rows = page.find_elements(By.CSS_SELECTOR, "#head-hits tr:not(:first-child)")
    assert [row.text for row in rows] == ["Layer 0, head 0 2 2 0", "Layer 0, head 1 1 3 +2", "Layer 3, head 0 1 0 −1"]
    page.find_element(By.ID, "head-whole").click()
    assert search(page, "write") == "write: in 3 of 5 heads, 3 pairs in base and 3 in tuned."
    assert search(page, "writ") == "No list has a word that is “\u2068writ\u2069”." and hits(page) == []


def test_a_found_head_opens_and_its_word_stands_out(page: Any) -> None:
    search(page, "solve")
    page.find_elements(By.CSS_SELECTOR, "#head-hits button")[1].click()
    detail = opened(page, "0-1")
    found = [word.text for word in detail.find_elements(By.CSS_SELECTOR, ".head-lists .word.found")]
    assert found == ["solve", "solve"]
    search(page, "poem")
    found = [word.text for word in detail.find_elements(By.CSS_SELECTOR, ".word.found")]
    assert found == ["poem", "poem", "Poem"]
    set_value(page, "head-word", "")
    assert detail.find_elements(By.CSS_SELECTOR, ".word.found") == [] and hits(page) == []


def test_downloads_of_the_grid(page: Any, report: Path) -> None:
    page.execute_script(CATCH)
    for suffix in ("csv", "svg", "png"):
        page.execute_script(f"document.querySelector('#every-head [data-suffix={suffix}]').click()")
    found = dict(saved(page, 3))
    assert found["heads.csv"] == (report.parent / "tables" / "heads.csv").read_text("utf-8")
    assert found["heads.svg"].count("<rect") == 5 and "PNG" in found["heads.png"][:8]


@pytest.mark.parametrize("n_heads", [32, 96])
def test_many_heads_scroll_in_their_own_box_at_most(driver: Any, tmp_path: Path, n_heads: int) -> None:
    path = write_report(tmp_path, head_report(many_heads(2, n_heads, 10, 100)))
    visit(driver, path, "heads")
    box = "const b = document.querySelector('.head-box'); return b.scrollWidth > b.clientWidth"
    assert fits(driver) and driver.execute_script(box) == (n_heads > 64)
    try:
        set_width(driver, 600)
        open_head(driver, "1-3")
        assert fits(driver)
    finally:
        set_width(driver, 1280)
    narrowest = min(found.size["width"] for found in buttons(driver).values())
    assert narrowest >= NARROWEST_CELL and driver.get_log("browser") == []


def test_a_dark_page_runs_from_dark_to_pale(page: Any) -> None:
    colour = "getComputedStyle(document.getElementById(arguments[0])).backgroundColor"
    light = f"return {colour}.match(/[0-9]+/g).map(Number)"
    deep, pale = (sum(page.execute_script(light, f"head-{key}")) for key in ("3-0", "0-0"))
    try:
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        most, least = (sum(page.execute_script(light, f"head-{key}")) for key in ("3-0", "0-0"))
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert deep < pale and most > least
