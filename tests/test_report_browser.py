"""The page in a real browser: it opens without an error, filters, sorts, and lights up the right tokens."""

import json
from pathlib import Path

import pytest

from aftertune.explainers.attribution.instance import render_instance, write_instance
from aftertune.explainers.attribution.prompt_pairs import pair_maps
from aftertune.report.page import write_report
from report_browser import CATCH, chromium, fits, saved, set_value, visit
from report_samples import sample_change, sample_report

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    yield from chromium(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), sample_report())


@pytest.fixture
def page(driver, report):
    visit(driver, report, "prompts")
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def shown(page) -> list[str]:
    rows = page.find_elements(By.CSS_SELECTOR, "tr.item")
    return [row.get_attribute("data-number") for row in rows if row.is_displayed()]


def open_prompt(page, number: int, side: str):
    page.execute_script(f"document.querySelector('#prompt-{number} .open').click()")
    WebDriverWait(page, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, f"#detail-{number}[data-drawn]"))
    return page.find_element(By.CSS_SELECTOR, f"#detail-{number} .side.{side}")


def levels_of(side, kind: str) -> list[int]:
    spans = side.find_elements(By.CSS_SELECTOR, f".{kind} .t")
    return [int(span.get_attribute("data-level") or 0) for span in spans]


def test_no_sideways_scroll_at_1280(page):
    assert page.execute_script("return window.innerWidth") == 1280
    assert fits(page)
    open_prompt(page, 0, "base")
    assert fits(page)


def test_a_prompt_to_read_opens_where_it_stands(driver, report):
    visit(driver, report)
    driver.find_element(By.CSS_SELECTOR, ".look-at a").click()
    WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "#detail-3[data-drawn]"))
    assert fits(driver)


def test_filters_and_search(page):
    assert shown(page) == ["0", "1", "2", "3", "4", "5"]
    page.find_element(By.ID, "search").send_keys("control LINE")
    assert shown(page) == ["1"]
    assert page.find_element(By.ID, "shown").text == "1 of 6"
    page.find_element(By.ID, "search").clear()
    page.find_element(By.ID, "search").send_keys("x" * 3)
    assert shown(page) == [] and page.find_element(By.ID, "nothing").is_displayed()


def test_filter_by_sign_and_repetition(page):
    rows = sample_change().instances
    set_value(page, "bigger", "tuned")
    assert shown(page) == [str(n) for n, row in enumerate(rows) if row.difference > 0]
    set_value(page, "bigger", "")
    for value, expected in (("either", ["1"]), ("tuned", ["1"]), ("base", []), ("neither", list("02345"))):
        set_value(page, "repetitive", value)
        assert shown(page) == expected


def test_sorting_goes_down_then_up(page):
    rows = sample_change().instances
    by_difference = sorted(range(6), key=lambda n: -rows[n].difference)
    header = page.find_element(By.CSS_SELECTOR, "[data-sort=difference]")
    header.click()
    assert shown(page) == [str(n) for n in by_difference]
    header.click()
    assert shown(page) == [str(n) for n in reversed(by_difference)]


@pytest.mark.parametrize(("number", "role"), [(0, "base"), (2, "tuned")])
def test_a_response_token_lights_its_prompt_tokens(page, number, role):
    salient = getattr(pair_maps(sample_change())[number], role)
    side = open_prompt(page, number, role)
    target = side.find_elements(By.CSS_SELECTOR, ".response .t")[4]
    ActionChains(page).scroll_to_element(target).move_to_element(target).perform()
    assert levels_of(side, "prompt") == salient.levels[:, 4].tolist()
    assert "on" in target.get_attribute("class")
    assert page.find_element(By.ID, "tip").is_displayed()
    assert not side.find_element(By.CSS_SELECTOR, ".plane .column").get_attribute("hidden")


def test_a_prompt_token_lights_the_response(page):
    salient = pair_maps(sample_change())[0].tuned
    side = open_prompt(page, 0, "tuned")
    target = side.find_elements(By.CSS_SELECTOR, ".prompt .t")[1]
    ActionChains(page).scroll_to_element(target).move_to_element(target).perform()
    assert levels_of(side, "response") == salient.levels[1].tolist()
    assert f"matters for {(salient.levels[1] > 0).sum()} of" in page.find_element(By.ID, "tip").text


def test_a_cell_of_the_map_lights_both(page):
    salient = pair_maps(sample_change())[0].tuned
    side = open_prompt(page, 0, "tuned")
    cells = side.find_element(By.CSS_SELECTOR, "canvas.cells")
    width, height = cells.size["width"] / salient.n_response, cells.size["height"] / salient.n_prompt
    across, down = (3.5 - salient.n_response / 2) * width, (2.5 - salient.n_prompt / 2) * height
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", cells)
    ActionChains(page).move_to_element_with_offset(cells, int(across), int(down)).perform()
    lit = side.find_elements(By.CSS_SELECTOR, ".t.on")
    assert [span.get_attribute("data-index") for span in lit] == ["2", "3"]
    assert f"level {salient.levels[2, 3]} of 10" in page.find_element(By.ID, "tip").text


def test_the_canvas_is_as_deep_as_the_levels(page):
    salient = pair_maps(sample_change())[0].tuned
    open_prompt(page, 0, "tuned")
    drawn = page.execute_script(
        """
        const c = document.querySelector('#detail-0 .side.tuned canvas.cells'), p = c.getContext('2d');
        const rows = arguments[0], columns = arguments[1], w = c.width / columns, h = c.height / rows, out = [];
        const all = p.getImageData(0, 0, c.width, c.height).data;
        for (let n = 0; n < rows; n++) for (let m = 0; m < columns; m++) {
          const x = Math.floor((m + .4) * w), y = Math.floor((n + .4) * h), k = 4 * (y * c.width + x);
          const at = all.slice(k, k + 4);
          out.push(at[3] ? '#' + [...at].slice(0, 3).map(v => v.toString(16).padStart(2, '0')).join('') : '');
        }
        const style = getComputedStyle(document.documentElement);
        return [out, Array.from({ length: 11 }, (_, level) => style.getPropertyValue(`--level-${level}`).trim())]""",
        salient.n_prompt,
        salient.n_response,
    )
    cells, colours = drawn
    assert cells == [colours[level] for level in salient.levels.reshape(-1).tolist()]


def test_arrow_keys_move_over_the_response(page):
    salient = pair_maps(sample_change())[0].base
    side = open_prompt(page, 0, "base")
    first = side.find_element(By.CSS_SELECTOR, ".response .t")
    ActionChains(page).scroll_to_element(first).click(first).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    assert levels_of(side, "prompt") == salient.levels[:, 2].tolist()
    box = side.find_element(By.CSS_SELECTOR, ".response")
    assert box.get_attribute("aria-activedescendant").endswith("r-2")
    ActionChains(page).send_keys(Keys.END, Keys.ARROW_LEFT).perform()
    assert levels_of(side, "prompt") == salient.levels[:, -2].tolist()


def test_text_is_text_and_an_empty_response_is_said(page):
    side = open_prompt(page, 0, "base")
    assert "</script><script>alert('no')</script>" in side.find_element(By.CSS_SELECTOR, ".prompt").text
    empty = open_prompt(page, 5, "tuned")
    assert "response is empty" in empty.text


def test_opening_again_closes(page):
    open_prompt(page, 1, "base")
    page.execute_script("document.querySelector('#prompt-1 .open').click()")
    assert not page.find_elements(By.ID, "detail-1")


def test_dark_pages_have_dark_paper(page):
    try:
        dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
        paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert all(int(part) < 40 for part in paper[4:-1].split(","))
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_script_that_got_in_would_not_run(driver, report, tmp_path):
    html = report.read_text("utf-8")
    planted = (
        "<script>window.evil = 1</script><img src='data:,' onerror='window.evil = 2'><a id=a href='javascript:evil=3'>"
    )
    page = tmp_path / "report.html"
    page.write_text(html.replace("<main", f"{planted}<main", 1), "utf-8")
    visit(driver, page, "prompts")
    driver.execute_script("document.getElementById('a').click()")
    assert driver.execute_script("return typeof window.evil") == "undefined" and shown(driver)
    refused = [entry["message"] for entry in driver.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert len(refused) == 3


def test_downloads_hold_the_files(page, report):
    page.execute_script(CATCH)
    page.execute_script("document.querySelector('#table2 [data-suffix=tex]').click()")
    page.execute_script("document.querySelector('#figure6 [data-suffix=svg]').click()")
    found = dict(saved(page, 2))
    assert found["table2.tex"] == (report.parent / "tables" / "table2.tex").read_text("utf-8")
    assert found["figure6.svg"].startswith("<svg")


def test_one_instance_opens(driver, tmp_path):
    salient = pair_maps(sample_change())[2].base
    driver.get(write_instance(tmp_path / "one.html", salient).as_uri())
    WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, "#stage[data-drawn]"))
    assert len(driver.find_elements(By.CSS_SELECTOR, ".response .t")) == salient.n_response
    assert fits(driver) and driver.get_log("browser") == []


def test_the_notebook_view_lights_up(driver, tmp_path):
    salient = pair_maps(sample_change())[0].base
    tokens = (salient.prompt_tokens, salient.response_tokens)
    view = render_instance(*tokens, salient.levels, salient.density(), salient.is_instruction)
    path = tmp_path / "view.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'>{view}", encoding="utf-8")
    driver.get(path.as_uri())
    ActionChains(driver).move_to_element(driver.find_elements(By.CSS_SELECTOR, ".r span")[2]).perform()
    shades = driver.execute_script(
        "return [...document.querySelectorAll('.p span')].map(e => e.style.getPropertyValue('--a'))"
    )
    assert [float(shade) for shade in shades] == pytest.approx((0.07 * salient.levels[:, 2]).tolist())
    assert driver.get_log("browser") == [], json.dumps(driver.get_log("browser"))
