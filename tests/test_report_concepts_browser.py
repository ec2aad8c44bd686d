"""The report's part on concepts in a real browser: the strip, the components of a layer, sorting, the search."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.heads import HeadExplainer
from aftertune.report.page import write_report
from aftertune.report.section import Section
from report_browser import CATCH, chromium, fits, saved, searched, set_value, set_width, visit
from report_concept_samples import expert_concepts, many_concepts, report_of, sample_concepts
from report_head_samples import ODD_WORDS, sample_heads

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]
N_MANY = 120


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


def write_concepts(folder: Path, change: ConceptChange, *before: Section) -> Path:
    return write_report(folder, report_of(change, *before))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_concepts(tmp_path_factory.mktemp("report"), sample_concepts(), HeadExplainer().section(sample_heads()))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_concepts(tmp_path_factory.mktemp("large"), many_concepts(2, N_MANY, 300))


@pytest.fixture
def page(driver: Any, report: Path) -> Iterator[Any]:
    visit(driver, report, "concepts")
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def cells(page: Any) -> dict[str, Any]:
    return {found.get_attribute("data-key"): found for found in page.find_elements(By.CSS_SELECTOR, "button.concept")}


def open_network(page: Any, key: str) -> Any:
    page.execute_script("document.getElementById(arguments[0]).click()", f"concept-{key}")
    WebDriverWait(page, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, f"#concept-detail[data-drawn='{key}']"))
    return page.find_element(By.ID, "concept-detail")


def rows(page: Any) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, ".components:not(.new) tbody tr"))


def ranks(page: Any) -> list[int]:
    return [int(row.get_attribute("data-rank")) for row in rows(page)]


def words_of(row: Any, role: str) -> list[tuple[str, str]]:
    found = row.find_elements(By.CSS_SELECTOR, f".words.{role} > span")
    return [(span.get_attribute("class"), span.text.strip()) for span in found]


def search(page: Any, word: str) -> str:
    return searched(page, "concept", word)


def hits(page: Any) -> list[str]:
    return [key for key, found in cells(page).items() if "hit" in found.get_attribute("class").split()]


def sort_by(page: Any, key: str) -> str:
    button = page.find_element(By.CSS_SELECTOR, f".components [data-order={key}]")
    page.execute_script("arguments[0].click()", button)
    return str(button.find_element(By.XPATH, "..").get_attribute("aria-sort"))


def focused(page: Any, what: str) -> Any:
    return page.execute_script(f"return document.activeElement.{what}")


def test_every_layer_is_a_button_that_says_its_numbers(page: Any) -> None:
    found = cells(page)
    assert list(found) == ["0-0", "0-3"] and [cell.get_attribute("data-level") for cell in found.values()] == [
        "10",
        "5",
    ]
    assert found["0-3"].get_attribute("aria-label") == (
        "Layer 3; angle of the spaces 7.50°; of all components 15.00°; of well separated ones 3.75°; "
        "50.0% of words kept; 75.0% of components keep their rank; 90.0% of variance kept"
    )
    assert "15.44° (the largest)" in page.find_element(By.ID, "concept-scale").text


def test_the_select_colours_by_words(page: Any) -> None:
    options = page.find_elements(By.CSS_SELECTOR, "#concept-measure option")
    assert [option.text for option in options] == [
        *("angle of the spaces", "angle of well separated components", "angle of all components"),
        *("share of words not kept", "share of components with another rank"),
    ]
    options[3].click()
    assert [cell.get_attribute("data-level") for cell in cells(page).values()] == ["8", "10"]
    assert "50.0% (the largest)" in page.find_element(By.ID, "concept-scale").text


def test_heads_and_concepts_live_in_one_file(page: Any) -> None:
    open_network(page, "0-3")
    page.execute_script("location.hash = 'head-0-1'")
    WebDriverWait(page, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "#head-detail[data-drawn]"))
    page.execute_script("location.hash = 'concepts'")
    WebDriverWait(page, 5).until(lambda d: d.find_element(By.ID, "concept-detail").is_displayed())
    assert page.find_element(By.ID, "head-0-1").get_attribute("aria-expanded") == "true"
    assert search(page, "code").startswith("code:") and not page.find_elements(By.CSS_SELECTOR, "button.head.hit")


def test_a_component_stands_beside_its_match_with_changes_in_signs(page: Any) -> None:
    open_network(page, "0-0")
    row = rows(page)[1]
    assert words_of(row, "base") == [("kept", "Write"), ("lost", "−poem"), ("kept", "verse")]
    assert words_of(row, "tuned") == [("kept", "write"), ("gained", "+solve"), ("kept", "Verse")]
    turn = row.find_element(By.CSS_SELECTOR, ".turn").text.splitlines()
    assert turn == ["61.25°", "now rank 7", "2 of 3 words kept", "best match of none"]
    assert row.find_element(By.CSS_SELECTOR, ".variance").text.splitlines() == ["0.50% → 0.14%", "gap 25.0%"]
    assert "same rank" in rows(page)[0].text
    page.find_element(By.CSS_SELECTOR, "#concept-detail .tick input").click()
    assert [text for _, text in words_of(row, "base") if text] == ["−poem"]


def test_a_component_without_words_or_match(page: Any) -> None:
    open_network(page, "0-3")
    assert "no words no words – no match 0 of 0 words kept best match of none" in " ".join(rows(page)[1].text.split())
    assert sort_by(page, "angle") == "descending" and ranks(page) == [1, 2]
    assert sort_by(page, "angle") == "ascending" and ranks(page) == [1, 2]


def test_odd_words_are_text(page: Any) -> None:
    open_network(page, "0-0")
    shown = [text for _, text in words_of(rows(page)[0], "tuned")]
    assert shown[:4] == [ODD_WORDS[0], "<!--", "a⟨U+202E⟩b␀c", "a⟨U+202E⟩b␀c"]
    assert shown[4] == ODD_WORDS[4] and shown[5].replace("\n", "") == "x" * 10_000 and shown[10] == "◦"
    assert len(shown) == len(ODD_WORDS) and fits(page)


def test_the_keyboard_moves_opens_and_closes(page: Any) -> None:
    page.execute_script("document.getElementById('concept-0-0').focus()")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert focused(page, "id") == "concept-0-3" and page.find_element(By.ID, "tip").is_displayed()
    ActionChains(page).send_keys(Keys.HOME, Keys.END, Keys.ARROW_DOWN, Keys.ENTER).perform()
    WebDriverWait(page, 5).until(lambda _: focused(page, "id") == "concept-detail-title")
    assert page.find_element(By.ID, "concept-detail-title").text == "Layer 3"
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert focused(page, "id") == "concept-0-3" and not page.find_element(By.ID, "concept-detail").is_displayed()


def test_components_are_sorted_and_shown_fifty_at_a_time(driver: Any, large: Path) -> None:
    visit(driver, large, "concepts")
    open_network(driver, "0-1")
    assert ranks(driver) == list(range(1, 51))
    more = driver.find_element(By.CSS_SELECTOR, ".more button")
    assert more.text == "Show 50 more"
    driver.execute_script("arguments[0].click()", more)
    assert ranks(driver) == list(range(1, 101)) and focused(driver, "dataset.rank") == "51"
    assert sort_by(driver, "angle") == "descending"
    angles = [float(found.text.rstrip("°")) for found in driver.find_elements(By.CSS_SELECTOR, ".components .angle")]
    assert angles == sorted(angles, reverse=True) and len(angles) == 100
    driver.execute_script("document.querySelector('.more button').click()")
    assert len(rows(driver)) == N_MANY and "120 of 120" in driver.find_element(By.CSS_SELECTOR, ".more").text
    assert driver.find_elements(By.CSS_SELECTOR, ".more button") == []
    assert sort_by(driver, "rank") == "ascending" and rows(driver)[0].get_attribute("data-rank") == "1"


def test_the_search_finds_components_of_both_models(page: Any) -> None:
    assert search(page, "Write") == (
        "Write, write, writer: in 3 components of 2 of 2 networks, 3 in base and 2 in tuned."
    )
    assert hits(page) == ["0-0", "0-3"]
    found = page.find_elements(By.CSS_SELECTOR, "#concept-hits tr:not(:first-child)")
    assert [row.text for row in found] == [
        *("Layer 0, component 1 yes yes", "Layer 0, component 2 yes yes", "Layer 3, component 1 yes –"),
    ]
    assert search(page, "loop") == "loop: in 1 component of 1 of 2 networks, 0 in base and 1 in tuned."
    page.find_element(By.ID, "concept-whole").click()
    assert search(page, "loo") == "No list has a word that is “\u2068loo\u2069”." and hits(page) == []


def test_a_found_component_is_jumped_to_and_its_word_stands_out(page: Any) -> None:
    search(page, "write")
    page.execute_script("document.querySelectorAll('#concept-hits button')[1].click()")
    WebDriverWait(page, 5).until(lambda _: focused(page, "dataset.rank") == "2")
    assert page.find_element(By.ID, "concept-detail-title").text == "Layer 0"
    found = page.find_elements(By.CSS_SELECTOR, "#concept-detail .word.found")
    assert [word.text for word in found] == ["write", "writer"] * 2 + ["Write", "write"]
    page.execute_script("document.querySelector('#concept-hits button').click()")
    WebDriverWait(page, 5).until(lambda _: focused(page, "dataset.rank") == "1")
    set_value(page, "concept-word", "")
    assert page.find_elements(By.CSS_SELECTOR, "#concept-detail .word.found") == [] and hits(page) == []


def test_a_component_far_down_is_shown_when_it_is_jumped_to(driver: Any, large: Path) -> None:
    visit(driver, large, "concepts")
    components = many_concepts(2, N_MANY, 300).components
    word = components.filter(pl.col("layer") == 1, pl.col("rank") == 77)["words_base"][0][0]
    search(driver, word)
    hit = driver.find_element(By.CSS_SELECTOR, "#concept-hits [data-key='0-1'][data-rank='77']")
    driver.execute_script("arguments[0].click()", hit)
    WebDriverWait(driver, 5).until(lambda _: focused(driver, "dataset.rank") == "77")
    assert len(rows(driver)) == 100
    box = driver.execute_script("return document.activeElement.getBoundingClientRect().toJSON()")
    assert 0 < box["top"] < box["bottom"] < 900


def test_a_component_says_whether_its_words_are_beyond_chance(page: Any) -> None:
    detail = open_network(page, "0-0")
    said = [[found.text for found in row.find_elements(By.CSS_SELECTOR, ".chance")] for row in rows(page)]
    assert said == [
        ["beyond chance · p 0.000012", "not beyond chance · p 0.25"],
        ["not beyond chance · p 0.50", "not beyond chance · p 0.25"],
    ]
    tick = detail.find_elements(By.CSS_SELECTOR, ".tick")[1]
    assert tick.text == "only words beyond chance (1 of base-model, 0 of tuned-model)"
    page.execute_script("arguments[0].click()", tick.find_element(By.TAG_NAME, "input"))
    assert [row.get_attribute("data-rank") for row in rows(page)] == ["1"]
    assert "1 of 1 components" in detail.text
    search(page, "write")
    page.execute_script("document.querySelector('#concept-hits [data-rank=\"2\"]').click()")
    WebDriverWait(page, 5).until(lambda _: focused(page, "dataset.rank") == "2")
    assert len(rows(page)) == 2, "a hidden one is shown again"


def test_components_without_a_counterpart_stand_below(page: Any) -> None:
    detail = open_network(page, "0-0")
    (new,) = detail.find_elements(By.CSS_SELECTOR, ".components.new tbody tr")
    assert "Tuned components that are the best match of none: 1" in detail.text
    assert words_of(new, "tuned") == [("gained", "+fresh"), ("gained", "+verse")]
    assert new.find_element(By.CSS_SELECTOR, ".turn").text.splitlines()[:2] == ["75.50°", "nearest rank 1"]
    assert ["best match of none" in row.text for row in rows(page)] == [False, True]
    assert search(page, "fresh") == "fresh: in 1 component of 1 of 2 networks, 0 in base and 1 in tuned."
    button = page.find_element(By.CSS_SELECTOR, "#concept-hits button")
    assert button.text == "Layer 0, tuned component 2"
    page.execute_script("arguments[0].click()", button)
    WebDriverWait(page, 5).until(lambda _: focused(page, "dataset.rank") == "new2")
    open_network(page, "0-3")
    assert page.find_elements(By.CSS_SELECTOR, ".components.new") == []


def test_experts_have_a_row_each_and_a_dense_layer_among_them_one_cell(driver: Any, tmp_path: Path) -> None:
    visit(driver, write_concepts(tmp_path, expert_concepts()), "concepts")
    assert list(cells(driver)) == ["0-0", "0-1", "0-2", "1-0", "1-2", "2-0", "2-2"]
    assert open_network(driver, "1-2").find_element(By.TAG_NAME, "h4").text == "Layer 2, expert 1"
    assert words_of(rows(driver)[0], "tuned") == [("gained", "+other3")]
    assert search(driver, "other2").startswith("other2: in 2 components of 2 of 7 networks")
    cells(driver)["1-0"].send_keys(Keys.ARROW_RIGHT)
    assert focused(driver, "dataset.key") == "1-2"
    assert driver.get_log("browser") == []


def test_downloads_are_the_files(page: Any, report: Path) -> None:
    page.execute_script(CATCH)
    page.execute_script("document.querySelector('#every-component [data-suffix=csv]').click()")
    for name in ("figure8", "angles"):
        for suffix in ("csv", "svg"):
            page.execute_script(f"document.querySelector('#{name} [data-suffix={suffix}]').click()")
    found = saved(page, 5)
    names = [name for name, _ in found]
    assert sorted(names) == ["angles.svg", "figure8.csv", "figure8.svg", "networks.csv", "networks.csv"]
    for name, text in found:
        if name.endswith("csv"):
            assert text == (report.parent / "tables" / name).read_text("utf-8")


@pytest.mark.parametrize("width", [600, 1280])
def test_a_page_of_any_width_scrolls_down_only(driver: Any, large: Path, tmp_path: Path, width: int) -> None:
    try:
        set_width(driver, width)
        for path in (large, write_concepts(tmp_path, many_concepts(48, 2, 50))):
            visit(driver, path, "concepts")
            open_network(driver, "0-1")
            assert fits(driver)
    finally:
        set_width(driver, 1280)
