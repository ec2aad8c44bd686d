"""A disk that is full at any moment: one line and exit code 2, nothing half-written, and all goes on with more room.

The disk is a tmpfs where one may be mounted; elsewhere a write fails in the child once so many bytes are written.
"""

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, must_refuse, tiny_run

FULL_AFTER = """
import errno
from fsspec.implementations.local import LocalFileSystem
left, whole = [{room}], LocalFileSystem.open

def open(self, path, mode="rb", *arguments, **options):
    file = whole(self, path, mode, *arguments, **options)
    if "w" in mode:
        write = file.write
        def bounded(content):
            left[0] -= len(content)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(content)
        file.write = bounded
    return file

LocalFileSystem.open = open
"""


def count(folder: Path, short: bool) -> list[Counts]:
    draw = random.Random(0)
    with tiny_run(folder) as tiny, _mounted(folder / "disk") as disk:
        found = Counts(f"disk full at a random moment ({'tmpfs' if disk else 'failing writes'})")
        size = sum(path.stat().st_size for path in (folder / "whole").rglob("*") if path.is_file())
        for number in range(1 if short else 20):
            _fill(tiny, folder / f"run-{number}", disk, draw.randrange(4096, size), found)
    return [found]


def _fill(tiny: Tiny, run: Path, disk: Path | None, room: int, found: Counts) -> None:
    if disk is not None:
        run = disk / run.name
        _mount("-o", f"remount,size={room}", str(disk))
    ended = tiny.start(run, fault="" if disk else FULL_AFTER.format(room=room)).wait()
    found.tried += 1
    must_refuse(ended, found, "could not be written")
    if strays := list(run.rglob("*.partial")):
        found.fail("doubled", f"half-written files stayed: {strays}")
    if disk is not None:
        _mount("-o", "remount,size=64m", str(disk))
    tiny.must_end(run, found)
    if disk is not None:
        subprocess.run(["rm", "-r", str(run)], check=True)


@contextmanager
def _mounted(disk: Path) -> Iterator[Path | None]:
    disk.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
