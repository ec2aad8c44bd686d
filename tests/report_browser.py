"""A real browser for the tests of pages: Chromium without a window and without a network of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,900"),
]

# What a page would save is kept in the window instead: a name and a text each.
CATCH = """
const blobs = new Map(), address = URL.createObjectURL;
window.saved = [];
URL.createObjectURL = (blob) => { const made = address.call(URL, blob); blobs.set(made, blob); return made; };
HTMLAnchorElement.prototype.click = function () {
  blobs.get(this.href).text().then((text) => window.saved.push([this.download, text]));
};
"""


def chromium(profile: Path) -> Iterator[Any]:
    """A browser 1280 by 900, closed when the test is done; skips where it is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, service = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not service:
        pytest.skip("chromium and chromedriver are not installed (on Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    set_width(found, 1280)
    yield found
    found.quit()


def visit(driver: Any, page: Path, address: str = "") -> None:
    """Opens a report as if for the first time, at the part of it that an address names."""
    driver.get("about:blank")
    driver.get(f"{page.as_uri()}#{address}" if address else page.as_uri())


def set_width(driver: Any, width: int) -> None:
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def fits(driver: Any) -> bool:
    """Whether the page is no wider than the window."""
    return bool(driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"))


def set_value(driver: Any, name: str, value: str) -> None:
    """Gives a control another value, as a reader would."""
    driver.execute_script(
        "const control = document.getElementById(arguments[0]); control.value = arguments[1];"
        "control.dispatchEvent(new Event('input', { bubbles: true }))",
        name,
        value,
    )


def searched(driver: Any, kind: str, word: str) -> str:
    """What the search of a grid says of a word, typed in."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    field = driver.find_element(By.ID, f"{kind}-word")
    field.clear()
    field.send_keys(word)
    found = driver.find_element(By.ID, f"{kind}-found")
    WebDriverWait(driver, 10).until(lambda _: found.text not in ("", "Searching…"))
    return str(found.text)


def saved(driver: Any, count: int, seconds: float = 5) -> list[list[str]]:
    """What was saved since `CATCH` ran, once there is so much of it."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, seconds).until(lambda d: d.execute_script("return window.saved.length") == count)
    return list(driver.execute_script("return window.saved"))
