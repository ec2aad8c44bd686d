"""How heavy is the report of a long run? 632 prompts (50 x 300 tokens) under two models, 32 layers of 32 heads.

1. Make the report of `bench.synthetic` and write it: seconds, the most memory that the process held, bytes.
2. Open it in headless Chromium, if there is one, ``--repeats`` times: first paint, page whole, memory of JavaScript.
3. Go to each page, open a prompt, a head and a network, and search: how long until each is drawn.
4. With ``--stages`` above two, the page on all models likewise; of it the opening alone.

``--n-layers 80 --n-heads 64 --stages 20`` is a 70B model with twenty checkpoints. ``--report`` opens a report that is
there already. Nothing else should run on the machine.
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
from bench.peak import peak_mib
from bench.synthetic import changes_of_stages, changes_of_two, report, stages_report

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,900")
# Each is a script that starts something, and one that says when it stands on the page; then a frame is awaited.
STEPS = {
    "page of prompts": ("location.hash = '#attribution'", "document.getElementById('list').offsetHeight"),
    "filter all prompts": (
        "const control = document.getElementById('dataset'); control.selectedIndex = 1; "
        "control.dispatchEvent(new Event('input', { bubbles: true }))",
        "true",
    ),
    "open a prompt": ("location.hash = '#prompt-PROMPT'", "document.querySelector('#detail-PROMPT[data-drawn]')"),
    "page of heads": ("location.hash = '#heads'", "document.getElementById('head-table').offsetHeight"),
    "open a head": ("location.hash = '#head-LAYER-HEAD'", "document.querySelector('#head-detail[data-drawn]')"),
    "page of concepts": ("location.hash = '#concepts'", "document.getElementById('concept-table').offsetHeight"),
    "open a layer": ("location.hash = '#concept-0-LAYER'", "document.querySelector('#concept-detail[data-drawn]')"),
}
# The page's own policy forbids it to evaluate text, so each step becomes a script of its own.
WAIT = """
const [done] = arguments, begin = performance.now();
%s;
const look = () => (%s ? setTimeout(() => done(performance.now() - begin)) : requestAnimationFrame(look));
requestAnimationFrame(look);
"""
# A page without scripts of an explainer answers as soon as it is read.
LOADED = """
const [done] = arguments, [entry] = performance.getEntriesByType("navigation");
const look = () => {
  const paint = performance.getEntriesByType("paint").find(({ name }) => name === "first-contentful-paint");
  if (!paint) return setTimeout(look, 20);
  const whole = entry.domContentLoadedEventEnd, [answers] = performance.getEntriesByName("answers");
  return done({
    "first paint": paint.startTime,
    "answers to clicks": answers ? answers.startTime : whole,
    "whole file read": whole,
  });
};
look();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-prompts", type=int, default=632)
    parser.add_argument("--n-layers", type=int, default=32)
    parser.add_argument("--n-heads", type=int, default=32)
    parser.add_argument("--stages", type=int, default=2, help="models in the order of training")
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
    found: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "pages": {}}
    sizes = (settings.n_layers, settings.n_heads)
    if settings.report is not None:
        found["pages"]["report"] = opened(settings.report, settings.repeats, steps_of(settings))
        return found
    of_two = (settings.n_prompts, 50, 300, *sizes, 300)
    made: dict[str, tuple[Any, Any]] = {"two models": (lambda: changes_of_two(*of_two), report)}
    if settings.stages > 2:  # first, since memory is the most that the process held so far
        of_stages = (settings.stages, settings.n_prompts, *sizes)
        made = {f"{settings.stages} stages": (lambda: changes_of_stages(*of_stages), stages_report)} | made
    for name, (change, make) in made.items():
        changes = change()
        started = time.perf_counter()
        own = make(changes)
        between = time.perf_counter()
        page = write_report(folder / name, own)
        told = {"seconds to make": between - started, "seconds to write": time.perf_counter() - between}
        told["MiB held while written"] = peak_mib()
        found["pages"][name] = told | opened(page, settings.repeats, steps_of(settings) if name == "two models" else {})
    return found


def steps_of(settings: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """What is opened of a page of two models: the three hundredth prompt, head 5 of layer 20, or the last there are."""
    places = {"PROMPT": (300, settings.n_prompts), "LAYER": (20, settings.n_layers), "HEAD": (5, settings.n_heads)}
    found = {}
    for name, scripts in STEPS.items():
        for word, (wanted, n) in places.items():
            scripts = tuple(one.replace(word, str(min(wanted, n - 1))) for one in scripts)
        found[name] = scripts
    return found


def opened(page: Path, repeats: int, asked: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """The size of a page, and what it takes to open it."""
    found: dict[str, Any] = {"MiB": page.stat().st_size / 2**20}
    if shutil.which("chromium") and shutil.which("chromedriver"):
        found["rounds"] = [look_at(page.resolve(), asked) for _ in range(repeats)]
    return found


def look_at(page: Path, asked: dict[str, tuple[str, str]]) -> dict[str, float]:
    """Milliseconds of each step in a browser of its own, and the memory of JavaScript in MiB."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            return steps(driver, page, asked)
        finally:
            driver.quit()


def steps(driver: Any, page: Path, asked: dict[str, tuple[str, str]]) -> dict[str, float]:
    driver.set_script_timeout(120)
    driver.get(page.as_uri())
    found = {**driver.execute_async_script(LOADED), "memory once open, MiB": memory(driver)}
    for name, (start, is_drawn) in asked.items():
        found[name] = driver.execute_async_script(WAIT % (start, is_drawn))
    return {**found, "memory at the end, MiB": memory(driver)}


def memory(driver: Any) -> float:
    """What JavaScript holds after its garbage is gone."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    used: float = driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
    return used / 2**20


def show(results: dict[str, Any]) -> None:
    console = Console(width=100)
    for name, page in results["pages"].items():
        about = ", ".join(f"{what} {value:.1f}" for what, value in page.items() if what != "rounds")
        console.print(f"{name}: {about}")
        if "rounds" not in page:
            console.print("Chromium and its driver are not installed: the page was not opened.")
            continue
        table = Table("", "median", "range", title="milliseconds, where nothing else is said")
        for step in page["rounds"][0]:
            values = sorted(one[step] for one in page["rounds"])
            table.add_row(step, f"{statistics.median(values):.1f}", f"{values[0]:.1f} to {values[-1]:.1f}")
        console.print(table)


if __name__ == "__main__":
    main()
