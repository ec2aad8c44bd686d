"""A run folder that is moved away or deleted while a command is at work: one line, exit code 2, and no other folder."""

import random
import shutil
import time
from pathlib import Path

from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, must_refuse, tiny_run


def count(folder: Path, short: bool) -> list[Counts]:
    found, draw = Counts("folder moved away or deleted at a random moment"), random.Random(0)
    with tiny_run(folder) as tiny:
        for number in range(1 if short else 20):
            _move(tiny, folder / f"run-{number}", draw.uniform(0, tiny.seconds), number % 2 == 1, found)
    return [found]


def _move(tiny: Tiny, run: Path, after: float, is_deleted: bool, found: Counts) -> None:
    child, aside = tiny.start(run), run.with_name(f"{run.name}-aside")
    while not (run / "run.json").exists():
        time.sleep(0.01)
    time.sleep(after)
    run.rename(aside)
    ended = child.wait()
    found.tried += 1
    must_refuse(ended, found, "no longer there")
    if ended.code == 0 and not (aside / "report.html").exists():
        found.fail("false", "ended well, with nothing in its place")
    if run.exists():
        found.fail("doubled", f"a folder was made again: {sorted(one.name for one in run.iterdir())}")
        shutil.rmtree(run)
    if is_deleted:
        shutil.rmtree(aside)
    else:
        aside.rename(run)
    tiny.must_end(run, found)
