"""How heavy is the report of a long run? 632 prompts (50 x 300 tokens) under two models, 32 layers of 32 heads.

1. Write the report of `bench.synthetic`, and count its bytes.
2. Open it in headless Chromium, if there is one, ``--repeats`` times: first paint, page whole, memory of JavaScript.
3. Go to each page, open a prompt, a head and a network, and search: how long until each is drawn.

``--report`` opens a report that is there already. Nothing else should run on the machine.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aftertune.report.page import write_report
from bench.synthetic import report

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900")
# Each is a script that starts something, and one that says when it stands on the page; then a frame is awaited.
STEPS = {
    "page of prompts": ("location.hash = '#attribution'", "document.getElementById('list').offsetHeight"),
    "filter 632 prompts": (
        "const control = document.getElementById('dataset'); control.selectedIndex = 1; "
        "control.dispatchEvent(new Event('input', { bubbles: true }))",
        "true",
    ),
    "open a prompt": ("location.hash = '#prompt-300'", "document.querySelector('#detail-300[data-drawn]')"),
    "page of heads": ("location.hash = '#heads'", "document.getElementById('head-table').offsetHeight"),
    "open a head": ("location.hash = '#head-20-5'", "document.querySelector('#head-detail[data-drawn]')"),
    "page of concepts": ("location.hash = '#concepts'", "document.getElementById('concept-table').offsetHeight"),
    "open a layer": ("location.hash = '#concept-0-20'", "document.querySelector('#concept-detail[data-drawn]')"),
}
# The page's own policy forbids it to evaluate text, so each step becomes a script of its own.
WAIT = """
const [done] = arguments, begin = performance.now();
%s;
const look = () => (%s ? setTimeout(() => done(performance.now() - begin)) : requestAnimationFrame(look));
requestAnimationFrame(look);
"""
LOADED = """
const [entry] = performance.getEntriesByType("navigation"), paints = performance.getEntriesByType("paint");
return {
  "first paint": paints.find(({ name }) => name === "first-contentful-paint").startTime,
  "answers to clicks": performance.getEntriesByName("answers")[0].startTime,
  "whole file read": entry.domContentLoadedEventEnd,
};
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-prompts", type=int, default=632)
    parser.add_argument("--n-layers", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--report", type=Path, help="open this report.html instead of writing one")
    parser.add_argument("--out", type=Path, help="also keep the numbers as JSON")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(settings, Path(folder))
    show(results)
    if settings.out:
        settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(settings: argparse.Namespace, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="seconds")}
    page = settings.report
    if page is None:
        large = report(settings.n_prompts, 50, 300, settings.n_layers, 32, 300)
        started = time.perf_counter()
        page = write_report(folder, large)
        found["seconds_to_write"] = time.perf_counter() - started
    found["mib"] = page.stat().st_size / 2**20
    if shutil.which("chromium") and shutil.which("chromedriver"):
        found["rounds"] = [look_at(page.resolve()) for _ in range(settings.repeats)]
    return found


def look_at(page: Path) -> dict[str, float]:
    """Milliseconds of each step in a browser of its own, and the memory of JavaScript in MiB."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            return steps(driver, page)
        finally:
            driver.quit()


def steps(driver: Any, page: Path) -> dict[str, float]:
    driver.set_script_timeout(120)
    driver.get(page.as_uri())
    found = {**driver.execute_script(LOADED), "memory once open, MiB": memory(driver)}
    for name, (start, is_drawn) in STEPS.items():
        found[name] = driver.execute_async_script(WAIT % (start, is_drawn))
    return {**found, "memory at the end, MiB": memory(driver)}


def memory(driver: Any) -> float:
    """What JavaScript holds after its garbage is gone."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    used: float = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
    return used / 2**20


def show(results: dict[str, Any]) -> None:
    console = Console(width=100)
    written = f", written in {results['seconds_to_write']:.1f} s" if "seconds_to_write" in results else ""
    console.print(f"report.html: {results['mib']:.1f} MiB{written}")
    if "rounds" not in results:
        console.print("Chromium and its driver are not installed: the page was not opened.")
        return
    table = Table("", "median", "range", title="milliseconds, where nothing else is said")
    for name in results["rounds"][0]:
        values = sorted(one[name] for one in results["rounds"])
        table.add_row(name, f"{statistics.median(values):.1f}", f"{values[0]:.1f} to {values[-1]:.1f}")
    console.print(table)


if __name__ == "__main__":
    main()
