"""A power cut at any moment: what was not forced to the disk is gone, and nothing else is.

1. In the child every fsync is written down: of a file its inode and size, of a folder the names in it.
2. The child is killed. Files whose bytes were not forced are emptied, as ext4 does; names that were not are dropped.
3. At most what was just being written may be missing. The command is given again, and must end as undisturbed.
4. After a whole run nothing may be missing at all.

It is what the file system promises, not what one disk did: nothing that was not asked for is taken for kept.
"""

import json
import random
import shutil
import time
from pathlib import Path

from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, parts, tiny_run

RECORDING = """
import json, os, stat
log, fsync = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), os.fsync

def recorded(opened):
    fsync(opened)
    about = os.fstat(opened)
    if stat.S_ISDIR(about.st_mode):
        names = {{one.name: one.inode() for one in os.scandir(opened)}}
        told = {{"folder": about.st_ino, "names": names}}
    else:
        told = {{"file": about.st_ino, "size": about.st_size}}
    os.write(log, json.dumps(told).encode() + b"\\n")

os.fsync = recorded
"""


def count(folder: Path, short: bool) -> list[Counts]:
    found, draw = Counts("power cut at a random moment (fsync recorded)"), random.Random(0)
    at_end = Counts("power cut after the end (fsync recorded)", tried=1)
    tiny = tiny_run()
    for number in range(0 if short else 20):
        _cut(tiny, folder / f"run-{number}", draw.uniform(0.3, 1) * tiny.seconds, found)
    log = folder / "end.log"
    tiny.start(folder / "end", fault=RECORDING.format(log=str(log))).wait()
    if dropped := _drop(folder / "end", log):
        at_end.fail("lost", f"{len(dropped)} files: {', '.join(sorted(dropped)[:5])}")
    return [at_end] if short else [found, at_end]


def _cut(tiny: Tiny, run: Path, after: float, found: Counts) -> None:
    log = run.with_suffix(".log")
    child = tiny.start(run, fault=RECORDING.format(log=str(log)))
    time.sleep(after)
    child.kill()
    child.wait()
    found.tried += 1
    before = parts(run)
    dropped = [name for name in _drop(run, log) if name in before]
    if len(dropped) > 1:
        found.fail("lost", f"{len(dropped)} parts after {after:.2f} s: {', '.join(sorted(dropped)[:5])}")
    tiny.must_end(run, found)


def _drop(run: Path, log: Path) -> list[str]:
    """Take away what was not forced to the disk; returns the names of files that are gone or empty."""
    told = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    kept = {one["file"]: one["size"] for one in told if "file" in one}
    named = {(one["folder"], name, inode) for one in told if "folder" in one for name, inode in one["names"].items()}
    dropped = []
    for path in sorted([run, *run.rglob("*")], key=lambda one: len(one.parts)):
        if not path.exists():
            continue  # its folder is gone
        is_named = (path.parent.stat().st_ino, path.name, path.stat().st_ino) in named
        if not is_named:
            dropped += [str(one.relative_to(run)) for one in [path, *path.rglob("*")] if one.is_file()]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif path.is_file() and kept.get(path.stat().st_ino) != path.stat().st_size:
            dropped.append(str(path.relative_to(run)))
            path.write_bytes(b"")
    return [name for name in dropped if not name.endswith(".partial")]
