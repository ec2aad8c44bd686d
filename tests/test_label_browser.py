"""The label page in a real browser: mark with the mouse and the keyboard, rate, reload, undo, a server that is gone."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from aftertune.labelling.label import _listen
from aftertune.labelling.server import make_app
from aftertune.labelling.store import read_rater
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.run import RunFolder
from label_samples import ANSWERS, PROMPTS, save_run, session
from report_browser import chromium, fits, set_width

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow
LONG = Prompt("long", (Message("user", "Count. " + "Word " * 20_000),), "demo")
RECT = """
const box = document.querySelector('#prompt .text'), walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
let [from, to] = arguments, at = 0, ends = [], node;
while ((node = walker.nextNode())) {
  for (const place of [from, to]) if (place >= at && place <= at + node.length) ends.push([node, place - at]);
  at += node.length;
}
const range = document.createRange();
range.setStart(...ends[0]); range.setEnd(...ends.at(-1));
const { left, right, top, height } = range.getBoundingClientRect();
return [left + 1, right - 1, top + height / 2];
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from chromium(tmp_path_factory.mktemp("browser"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    answers = {role: [*texts, "one two three four five"] for role, texts in ANSWERS.items()}
    return save_run(tmp_path / "run", [*PROMPTS, LONG], answers)


@pytest.fixture
def page(driver: Any, run: Path) -> Iterator[Any]:
    """The page of ann, on its first prompt."""
    with _listen(0) as listening:
        listening.listen()
        app = make_app(session(run), "the-token")
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        driver.get(f"http://127.0.0.1:{listening.getsockname()[1]}/?token=the-token")
        opened(driver, 1)
        yield driver
        driver.get("about:blank")
        server.should_exit = True
        thread.join()


@pytest.fixture
def quiet(page: Any) -> Iterator[Any]:
    """The page, which must end without a word in the console."""
    yield page
    assert page.get_log("browser") == []


def wait(page: Any, condition: Callable[[Any], Any]) -> Any:
    return WebDriverWait(page, 10).until(condition)


def text(page: Any, id: str) -> str:
    return str(page.find_element(By.ID, id).text)


def opened(page: Any, number: int) -> None:
    wait(page, lambda d: text(d, "title").startswith(f"Prompt {number} of 4") and text(d, "saved") == "All saved")


def press(page: Any, *keys: str) -> None:
    ActionChains(page).send_keys(*keys).perform()


def texts(page: Any, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(found => found.textContent)"
    return list(page.execute_script(script, selector))


def marks(page: Any) -> list[str]:
    return texts(page, "#prompt mark")


def ratings(page: Any) -> list[str]:
    return texts(page, ".answer .rated")


def drag(page: Any, start: int, end: int) -> None:
    """Select characters of the prompt with the mouse."""
    left, right, middle = (round(number) for number in page.execute_script(RECT, start, end))
    mouse = ActionChains(page, duration=50).w3c_actions
    mouse.pointer_action.move_to_location(left, middle)
    mouse.pointer_action.pointer_down()
    mouse.pointer_action.move_to_location(right, middle)
    mouse.pointer_action.pointer_up()
    mouse.perform()


def saved(page: Any, run: Path, done: Callable[[Any], bool]) -> Any:
    wait(page, lambda d: text(d, "saved") == "All saved" and done(read_rater(RunFolder.open(run), "ann")))
    return read_rater(RunFolder.open(run), "ann")


def test_mark_with_the_mouse_rate_and_reload(quiet: Any, run: Path) -> None:
    drag(quiet, 0, 17)
    quiet.find_element(By.ID, "mark").click()
    assert marks(quiet) == ["Name three birds."]
    quiet.find_element(By.CSS_SELECTOR, ".answer:nth-child(2) .level:nth-of-type(3)").click()
    press(quiet, "a", "1")
    assert ratings(quiet) == [
        "rated 1",
        "rated 3",
    ] and "2 of 8 rated, 1 of 4 marked (1 by the prompt file)" in text(quiet, "done")
    found = saved(quiet, run, lambda labels: len(labels.ratings) == 2)
    assert found.spans == {"birds": ((0, 17, 0),)} and sorted(found.ratings.values()) == [1, 3]
    quiet.refresh()
    opened(quiet, 1)
    assert marks(quiet) == ["Name three birds."] and ratings(quiet) == ["rated 1", "rated 3"]


def test_everything_by_keyboard(quiet: Any, run: Path) -> None:
    press(quiet, "p", Keys.ARROW_DOWN, Keys.ARROW_DOWN, "m")
    assert marks(quiet) == ["Be brief."]
    press(quiet, Keys.ARROW_UP, Keys.ARROW_RIGHT)
    ActionChains(quiet).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).send_keys("m").perform()
    assert saved(quiet, run, lambda labels: "birds" in labels.spans).spans
    press(quiet, "x", "p", Keys.ARROW_DOWN, "m", "4", "2", "n")
    opened(quiet, 2)
    saved(quiet, run, lambda labels: labels.spans == {"birds": ((0, 17, 0),)} and len(labels.ratings) == 2)
    press(quiet, "t")
    assert marks(quiet) == ["Say 😀 twice."]
    press(quiet, "u", "u")
    opened(quiet, 1)
    wait(quiet, lambda d: "not rated" in ratings(d))
    saved(quiet, run, lambda labels: len(labels.ratings) == 1 and "emoji" not in labels.spans)
    press(quiet, "?")
    assert quiet.find_element(By.ID, "dialog").is_displayed()
    press(quiet, "3", Keys.ESCAPE, "k")
    assert ratings(quiet).count("not rated") == 1 and not quiet.find_element(By.ID, "dialog").is_displayed()


def test_characters_are_counted_as_the_disk_counts_them(quiet: Any, run: Path) -> None:
    press(quiet, "j")
    opened(quiet, 2)
    drag(quiet, 4, 12)  # code units: the sign before takes two
    press(quiet, "m")
    assert marks(quiet) == ["😀 twice"]
    assert saved(quiet, run, lambda labels: bool(labels.spans)).spans == {"emoji": ((4, 11, 0),)}
    quiet.find_element(By.CSS_SELECTOR, "#prompt mark").click()
    assert text(quiet, "mark").startswith("Unmark")
    press(quiet, "m")
    saved(quiet, run, lambda labels: not labels.spans)


def test_whatever_was_written_is_text_and_fits(quiet: Any) -> None:
    press(quiet, "j", "j")
    opened(quiet, 3)
    assert texts(quiet, "#prompt .text") == ["<script>alert(1)</script> a␦b"]
    assert sorted(texts(quiet, ".answer .text")) == ["<b>bold</b> one two three four", "five words are in here"]
    press(quiet, "j")
    opened(quiet, 4)
    press(quiet, "p", Keys.ARROW_DOWN, "m")
    assert marks(quiet) == ["Count."]
    try:
        for width in (600, 1280):
            set_width(quiet, width)
            assert fits(quiet)
    finally:
        set_width(quiet, 1280)


def test_an_action_waits_for_a_server_that_is_gone(page: Any, run: Path) -> None:
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.execute_cdp_cmd("Network.enable", {})
    page.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    press(page, "3")
    wait(page, lambda d: "the server does not answer" in text(d, "problem"))
    assert text(page, "saved") == "Not saved" and not read_rater(RunFolder.open(run), "ann").ratings
    press(page, "2")
    page.execute_cdp_cmd("Network.emulateNetworkConditions", offline | {"offline": False})
    found = saved(page, run, lambda labels: len(labels.ratings) == 2)
    assert sorted(found.ratings.values()) == [2, 3] and not page.find_element(By.ID, "problem").is_displayed()
    lines = [json.loads(line)["helpfulness"] for line in (run / "labels" / "ann.jsonl").read_text().splitlines()]
    assert lines == [3, 2]
    page.get_log("browser")  # the browser itself notes what it could not send


def test_on_a_phone_the_buttons_are_in_reach_and_a_label_is_told_as_kept(quiet: Any, run: Path) -> None:
    sign = "return getComputedStyle(document.querySelectorAll('.answer .rated')[0], '::before').content"
    in_sight = """
document.querySelector('.answer').scrollIntoView();
const { top, bottom } = document.querySelector('.answer fieldset').getBoundingClientRect();
return innerHeight - bottom < 4 && top > innerHeight / 2;
"""
    set_width(quiet, 390)
    try:
        quiet.execute_script("document.querySelector('.answer .text').textContent = 'word '.repeat(2000)")
        assert fits(quiet) and quiet.execute_script(in_sight)
        quiet.find_element(By.CSS_SELECTOR, ".answer .level:nth-of-type(2)").click()
        saved(quiet, run, lambda labels: len(labels.ratings) == 1)
        assert ratings(quiet)[0] == "rated 2" and "saved" in quiet.execute_script(sign)
    finally:
        set_width(quiet, 1280)


def test_a_second_rater_starts_at_nothing(page: Any, run: Path) -> None:
    press(page, "a", "1", "x")
    saved(page, run, lambda labels: len(labels.ratings) == 1)
    shown = session(run, "ben").overview()
    assert shown["n_actions"] == 0 and all(set(one["ratings"]) == {None} for one in shown["prompts"])
    done = "return [document.getElementById('bar').value, document.getElementById('done').textContent]"
    assert page.execute_script(done) == [1, "1 of 8 rated, 0 of 4 marked (1 by the prompt file)"]
