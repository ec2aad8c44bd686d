"""Files of every kind that users give, changed at random: nothing but an error of ours, no hang, no flood of memory.

``python -m bench.reliability.fuzz FOLDER SECONDS [READER ...] [--seed N]`` tries each reader for so long and prints
what failed, a JSON line each: what `count` calls, in a process of its own. Memory is held against 100 MiB and 50 times
the file. Another seed gives other files.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from bench.reliability.counts import Counts

SHORT_SECONDS, SECONDS = 0.3, 60.0
PATIENCE_SECONDS = 10
SPARE_BYTES, MOST_TIMES = 100 * 2**20, 50
ROOM_BYTES = 8 * 2**30  # of addresses: a claim of more is refused, as on a machine that is full
PEAK = Path("/proc/self/clear_refs")


class TookTooLongError(BaseException):
    """The reader has not ended in time."""


def count(folder: Path, short: bool) -> list[Counts]:
    """Each reader for some seconds."""
    command = [sys.executable, "-m", "bench.reliability.fuzz", str(folder), str(SHORT_SECONDS if short else SECONDS)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    found = [Counts(**json.loads(line)) for line in ended.stdout.splitlines() if line.startswith('{"what"')]
    if ended.returncode:
        lost = Counts("fuzzed readers", tried=1)
        lost.fail("crashes", f"the process ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
        found.append(lost)
    return found


def main() -> None:
    """Fuzz in this process."""
    from bench.reliability.readers import readers

    parser = argparse.ArgumentParser(description="Give each reader of files randomly changed ones.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("readers", nargs="*", help="which readers (all)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    known = readers(given.folder)
    resource.setrlimit(resource.RLIMIT_AS, (_claimed() + ROOM_BYTES,) * 2)
    for name in given.readers or known:
        found = fuzzed(name, known[name], given.folder, given.seconds, given.seed)
        print(json.dumps({one: getattr(found, one) for one in Counts.__dataclass_fields__}), flush=True)


def fuzzed(name: str, reader, folder: Path, seconds: float, seed: int = 0) -> Counts:
    """What became of one reader's files, changed for so long."""
    found, random, ends = Counts(f"fuzzed {name}"), Random(f"{name} {seed}"), time.monotonic() + seconds
    seen: set[str] = set()
    (folder / "fuzzed").mkdir(exist_ok=True)
    while time.monotonic() < ends:
        file_name, sample = reader.samples[found.tried % len(reader.samples)]
        file = folder / "fuzzed" / file_name
        is_valid = found.tried < len(reader.samples)
        file.write_bytes(sample if is_valid else reader.change(sample, random))
        found.tried += 1
        for kind, told in _tried(reader.read, file, is_valid):
            if told not in seen:
                found.fail(kind, told)
            seen.add(told)
    return found


def _tried(read, file: Path, is_valid: bool) -> Iterator[tuple[str, str]]:
    from aftertune.errors import AftertuneError

    size, before = file.stat().st_size, _peak(reset=True)
    try:
        with _at_most(PATIENCE_SECONDS):
            read(file)
    except AftertuneError as error:
        if is_valid:
            yield "false", f"{file.name} as it should be was refused: {str(error)[:300]}"
    except TookTooLongError:
        yield "hangs", f"{_kept(file)}: more than {PATIENCE_SECONDS} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        yield "crashes", f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {str(error)[:100]}"
        _kept(file)
    if (grown := _peak() - before) > SPARE_BYTES + MOST_TIMES * size:
        yield "crashes", f"{grown / 2**20:.0f} MiB for {_kept(file)} of {size:,} bytes"


def _kept(file: Path) -> str:
    """A file that failed, out of the way of the next."""
    place = file.parent.parent / f"failed-{time.monotonic_ns()}-{file.name}"
    place.write_bytes(file.read_bytes())
    return place.name


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLongError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _peak(reset: bool = False) -> int:
    """The most memory that this process held since it was last reset, in bytes."""
    if reset:
        PEAK.write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _claimed() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
