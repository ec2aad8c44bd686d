"""A command that is killed at any moment and given again ends as one that was never disturbed, byte for byte.

1. Run it once undisturbed, and see how long it takes.
2. Kill it (SIGKILL) after a random part of that time, three times over, then let it end. What was there stays there.
"""

import random
import time
from pathlib import Path

from bench.reliability.children import Children
from bench.reliability.counts import Counts
from bench.reliability.tiny_run import compare, save_models
from command_line import snapshot

DEATHS = 3


def count(folder: Path, short: bool) -> list[Counts]:
    found, draw = Counts("kill at a random moment"), random.Random(0)
    save_models(folder)
    with Children(folder) as children:
        started = time.monotonic()
        assert children.run(compare(folder, folder / "whole")).code == 0
        seconds, whole = time.monotonic() - started, snapshot(folder / "whole")
        for number in range(1 if short else 40):
            run = folder / f"run-{number}"
            for _ in range(DEATHS):
                _kill(children, folder, run, draw.uniform(0, seconds), found)
            _end(children, folder, run, whole, found)
    return [found]


def _kill(children: Children, folder: Path, run: Path, after: float, found: Counts) -> None:
    before = parts(run)
    child = children.start(compare(folder, run))
    time.sleep(after)
    child.kill()
    child.wait()
    found.tried += 1
    now = parts(run)
    if lost := before.keys() - now.keys():
        found.fail("lost", f"{sorted(lost)} after {after:.2f} s")
    if again := [name for name in before.keys() & now.keys() if before[name] != now[name]]:
        found.fail("doubled", f"{again} made twice")


def _end(children: Children, folder: Path, run: Path, whole: dict[str, str], found: Counts) -> None:
    ended = children.run(compare(folder, run))
    if ended.code is None:
        found.fail("hangs", ended.last_line)
    elif ended.code != 0:
        found.fail("crashes", ended.last_line)
    elif snapshot(run) != whole:
        now = snapshot(run)
        found.fail("false", f"{sorted(name for name in whole.keys() | now.keys() if whole.get(name) != now.get(name))}")


def parts(run: Path) -> dict[str, tuple[int, int]]:
    """The parts of a run, each with its inode and time of writing."""
    found = {path: path.stat() for path in run.rglob("*.parquet") if path.parent != run}
    return {str(path.relative_to(run)): (stat.st_ino, stat.st_mtime_ns) for path, stat in found.items()}
