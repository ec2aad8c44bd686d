"""What a page's scripts promise to those of an explainer from another package: registered, drawn, opened, kept."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from aftertune.report.packing import packed
from aftertune.report.page import Report, write_report
from aftertune.report.section import Section
from report_browser import CATCH, chromium, saved, visit
from spreadsheet_samples import FORMULAS, PLAIN_TEXTS

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn")]
SCRIPT = """\
import { control, parsed, unpacked, unpackedIfAny } from "aftertune/basics.js";
import { registerFigure } from "aftertune/downloads.js";
import { registerPage } from "aftertune/pages.js";
import { toCsv } from "aftertune/table_text.js";
import { say } from "./words.js";

let opened = null;

registerPage("norms", {
  draw: () => say("drawn", parsed("norm-facts").word),
  shown: () => say("shown"),
  opens: /^norm-\\d+$/,
  async open(address) {
    opened = address.slice(5);
    say("opened", opened, (await unpacked("norm-rows"))[opened], await unpackedIfAny("norm-notes"));
    control("norms").dataset.opened = opened;
  },
  kept: () => ({ opened }),
  again: (kept) => say("again", kept.opened),
});
registerFigure("norm-table", () => toCsv({ columns: ["text"], rows: parsed("norm-texts").map((text) => [text]) }));
registerFigure("norm-picture", () => "<svg xmlns='http://www.w3.org/2000/svg'><title>norms</title></svg>");
"""
WORDS = """\
import { control, element } from "aftertune/basics.js";

export function say(...words) { control("norm-log").append(element("li", "", words.map(String).join(" "))); }
"""
BODY = Markup(
    '<ol id="norm-log"></ol><button type="button" data-figure="norm-picture" data-suffix="svg">SVG</button>'
    '<button type="button" data-figure="norm-table" data-suffix="svg">Table</button>'
    '<form class="filters"><label>Above <input type="number" id="norm-least"></label></form>'
)
LOADED = """
const [page] = performance.getEntriesByType("navigation");
return [performance.getEntriesByName("answers")[0].startTime, page.domInteractive];
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    for name, text in (("norms.js", SCRIPT), ("words.js", WORDS)):
        (folder / name).write_text(text, "utf-8")
    facts = {"norm-facts": {"word": "</script>"}, "norm-texts": [*FORMULAS, *PLAIN_TEXTS]}
    rows = {"norm-rows": packed({str(n): f"row {n}" for n in range(9)})}
    section = Section("norms", "Norms", body=BODY, data=facts, blocks=rows, scripts=(folder / "norms.js",))
    return write_report(folder, Report("Norms of two", ("base", "tuned"), (), (), (section,)))


@pytest.fixture
def page(driver: Any, report: Path) -> Iterator[Any]:
    visit(driver, report)
    yield driver
    assert driver.get_log("browser") == []


def told(page: Any) -> list[str]:
    return [found.get_attribute("textContent") for found in page.find_elements(By.CSS_SELECTOR, "#norm-log li")]


def go(page: Any, address: str, count: int) -> list[str]:
    page.execute_script("location.hash = arguments[0]", address)
    WebDriverWait(page, 5).until(lambda _: len(told(page)) >= count)
    return told(page)


def test_a_page_is_drawn_once_and_shown_each_time(page: Any) -> None:
    assert told(page) == []
    assert go(page, "norms", 2) == ["drawn </script>", "shown"]
    page.execute_script("location.hash = 'findings'")
    WebDriverWait(page, 5).until(lambda d: d.find_element(By.ID, "findings").is_displayed())
    assert go(page, "norms", 3) == ["drawn </script>", "shown", "shown"]


def test_an_address_opens_its_page_and_what_is_on_it(page: Any) -> None:
    assert go(page, "norm-7", 3) == ["drawn </script>", "shown", "opened 7 row 7 null"]


def test_a_reload_finds_what_was_open_and_what_the_filters_said(page: Any) -> None:
    go(page, "norm-3", 3)
    page.find_element(By.ID, "norm-least").send_keys("2")
    page.execute_async_script("setTimeout(arguments[0], 300)")
    page.refresh()
    WebDriverWait(page, 5).until(lambda _: len(told(page)) == 3)
    assert told(page) == ["drawn </script>", "again 3", "shown"]
    assert page.find_element(By.ID, "norm-least").get_attribute("value") == "2"


def test_a_figure_is_drawn_when_it_is_saved(page: Any) -> None:
    go(page, "norms", 2)
    page.execute_script(CATCH)
    page.find_element(By.CSS_SELECTOR, "[data-figure=norm-picture]").click()
    assert [name for name, _ in saved(page, 1)] == ["norm-picture.svg"]


def test_no_text_is_a_formula_in_a_table_of_the_page_either(page: Any) -> None:
    go(page, "norms", 2)
    page.execute_script(CATCH)
    page.find_element(By.CSS_SELECTOR, "[data-figure=norm-table]").click()
    rows = list(csv.reader(io.StringIO(saved(page, 1)[0][1], newline="")))
    assert [row for row in rows[1:] if row] == [[f"'{one}"] for one in FORMULAS] + [[one] for one in PLAIN_TEXTS if one]


def test_clicks_are_answered_before_the_data_was_read(page: Any) -> None:
    answers, whole = page.execute_script(LOADED)
    assert answers <= whole
