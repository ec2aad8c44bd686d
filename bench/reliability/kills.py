"""A command that is killed at any moment and given again ends as one that was never disturbed, byte for byte.

Kill it (SIGKILL) after a random part of the time that it takes, three times over, then let it end. Parts that were
there stay there, and are not made again.
"""

import random
import time
from pathlib import Path

from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, parts, tiny_run

DEATHS = 3


def count(folder: Path, short: bool) -> list[Counts]:
    found, draw = Counts("killed at a random moment"), random.Random(0)
    tiny = tiny_run()
    for number in range(1 if short else 40):
        run = folder / f"run-{number}"
        for _ in range(1 if short else DEATHS):
            _kill(tiny, run, draw.uniform(0, tiny.seconds), found)
        tiny.must_end(run, found)
    return [found]


def _kill(tiny: Tiny, run: Path, after: float, found: Counts) -> None:
    before = parts(run)
    child = tiny.start(run)
    time.sleep(after)
    child.kill()
    child.wait()
    found.tried += 1
    now = parts(run)
    if lost := before.keys() - now.keys():
        found.fail("lost", f"{sorted(lost)} after {after:.2f} s")
    if again := [name for name in before.keys() & now.keys() if before[name] != now[name]]:
        found.fail("doubled", f"{again} made twice")
