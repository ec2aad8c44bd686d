"""How far is a run, seen from outside?  The process that measures says so every few seconds, in ``status.json``.

1. While it works: what it is doing, the share of all that is done, the seconds left, and which process it is.
2. When it is through, the file is taken away; after an error, or when the process was killed, it stays.
3. Read by another process: the run is under way if its process lives, or, on another machine, was heard of lately.
Times are seconds since 1970.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import fsspec
import psutil
from pydantic import Field
from typing_extensions import TypedDict

from aftertune.errors import RunError
from aftertune.runs.parts import HOST
from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage

if TYPE_CHECKING:
    from aftertune.study.forecast import Forecast

FILE, FINISHED = "status.json", "comparison.json"
SECONDS_BETWEEN, SILENT = 5.0, 120.0
LOADING = "loading"
State = Literal["under way", "stopped", "finished", "not finished"]


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    ``state`` is "under way", "stopped" (an error, or the process ended), "finished" (its report is there) or "not
    finished". Of the first two: ``stage``, what is being done, of which a share ``here`` is done; ``share`` of all and
    ``seconds_left``, None where nothing was expected; ``begun`` and ``told``, when it began and was last heard of; and
    the ``process`` on a ``host``.
    """

    run: str
    state: State
    stage: str = ""
    here: float | None = None
    share: float | None = None
    seconds_left: float | None = None
    begun: float | None = None
    told: float | None = None
    process: int | None = None
    host: str | None = None


class Told(TypedDict):
    """What the process says of itself."""

    stage: str
    here: float
    share: float | None
    seconds_left: float | None
    begun: float
    told: float
    process: Annotated[int, Field(gt=0, lt=2**31)]
    host: str


class Reporter:
    """Progress that is passed on, and told to who asks from outside."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._begun, self._last = progress, time.time(), 0.0
        self._run: RunFolder | None = None
        self._forecast: Forecast | None = None

    def begin(self, run: RunFolder, forecast: "Forecast | None") -> None:
        """From now on tell of this run; ``forecast`` is told of each step by who made it."""
        self._run, self._forecast = run, forecast

    def __call__(self, stage: Stage, done: float, total: float) -> None:
        """Pass it on; a run that is not written yet is not told of."""
        self._progress(stage, done, total)
        now = time.monotonic()
        if self._run is None or stage.step == LOADING or now - self._last < SECONDS_BETWEEN:
            return  # what is refused, is refused before anything but loading
        self._last = now
        with suppress(RunError):  # a full disk is told by what matters
            if self._run.exists("run.json"):
                self._run.remember(FILE, self._record(stage, done / total if total else 1.0))

    def end(self) -> None:
        """Say that the run is through."""
        if self._run is not None and self._run.exists(FILE):
            system, path = fsspec.core.url_to_fs(self._run.path(FILE))
            with suppress(OSError):
                system.rm(path)

    def _record(self, stage: Stage, here: float) -> Told:
        whole = self._forecast
        return {
            "stage": str(stage),
            "here": here,
            "share": whole.share_done if whole else None,
            "seconds_left": whole.seconds_left if whole else None,
            "begun": self._begun,
            "told": time.time(),
            "process": os.getpid(),
            "host": HOST,
        }


def read_status(run: str | Path) -> Status:
    """Where a run stands; raises `RunError` if there is none, or what it says of itself can't be read."""
    folder = RunFolder.open(run)
    if not folder.exists(FILE):
        return Status(folder.address, "finished" if folder.exists(FINISHED) else "not finished")
    told = record_of(folder, FILE, Told)
    return Status(folder.address, "under way" if _lives(told) else "stopped", **told)


def _lives(told: Told) -> bool:
    if told["host"] != HOST:
        return bool(time.time() - told["told"] < SILENT)
    try:
        return bool(psutil.Process(told["process"]).create_time() <= told["begun"])
    except psutil.NoSuchProcess:
        return False
