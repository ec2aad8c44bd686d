"""Two commands on one folder at the same moment: with other settings one is refused, and nothing of it is mixed in.

1. Two that differ: one ends well, as if alone; the other with 2 and one line. Two of the same: both end well.
2. Two processes of one rater: every label that was said to be saved is there, one of the processes killed or not.
"""

import random
import re
import time
from pathlib import Path

from aftertune.labelling.store import read_actions
from aftertune.runs.run import RunFolder
from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, must_refuse, tiny_run
from command_line import snapshot

OTHERS = (["--max-new-tokens", "2"], ["--removal", "zeroed"], ["--template", "raw"], ["--limit", "2"])
LABELLING = """
import os
from aftertune.labelling.store import append
from aftertune.runs.run import RunFolder
run = RunFolder.open({run!r})
for number in range({n}):
    id = f"{name}-{{number}}"
    append(run, "ann", [{{"prompt": id, "role": "base", "helpfulness": 1}}])
    print(f"saved {{id}}", flush=True)
os._exit(0)
"""


def count(folder: Path, short: bool) -> list[Counts]:
    commands, raters = Counts("two commands on one folder"), Counts("two processes of one rater (labels)")
    draw = random.Random(0)
    with tiny_run(folder) as tiny:
        wholes = {}
        for number in range(1 if short else 16):
            other = [*OTHERS, []][number % 5]
            if str(other) not in wholes:
                tiny.start(folder / f"other-{number}", *other).wait()
                wholes[str(other)] = snapshot(folder / f"other-{number}")
            _race(tiny, folder / f"run-{number}", other, wholes[str(other)], draw.uniform(0, 0.3), commands)
        for number in range(1 if short else 10):
            _label(tiny, f"{number}", 20 if short else 200, draw.uniform(0, 1) if number else None, raters)
    return [commands, raters]


def _race(tiny: Tiny, run: Path, other: list[str], whole: dict[str, str], after: float, found: Counts) -> None:
    first = tiny.start(run)
    time.sleep(after)
    second = tiny.start(run, *other)
    ended = [first.wait(), second.wait()]
    found.tried += 1
    for one in ended:
        must_refuse(one, found, "other settings")
    won = [one.code == 0 for one in ended]
    if won.count(True) != (1 if other else 2):
        found.fail("false", f"{other}: {won.count(True)} of two commands ended well: {[e.last_line for e in ended]}")
    elif (now := snapshot(run)) != (expected := tiny.whole if won[0] else whole):
        names = sorted(name for name in expected.keys() | now.keys() if expected.get(name) != now.get(name))
        found.fail("false", f"{other}: {', '.join(names)} not as if alone")


def _label(tiny: Tiny, name: str, n: int, killed_after: float | None, found: Counts) -> None:
    run = tiny.folder / "whole"
    labelling = [LABELLING.format(run=str(run), n=n, name=f"{name}-{one}") for one in ("a", "b")]
    children = [tiny.children.start([], one) for one in labelling]
    if killed_after is not None:
        time.sleep(killed_after)
        children[0].kill()
    saved = re.findall(r"^saved (\S+)$", "\n".join(child.wait().said for child in children), re.MULTILINE)
    held = [one["prompt"] for one in read_actions(RunFolder.open(run), "ann")]
    found.tried += len(saved)
    for id in set(saved) - set(held):
        found.fail("lost", id)
    for id in {id for id in held if held.count(id) > 1}:
        found.fail("doubled", id)
