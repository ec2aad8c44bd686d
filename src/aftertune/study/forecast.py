"""How much is done, and how long will the rest take?  Work is counted in the seconds that were expected of it.

1. What is done is the share of that work, however long it took: an estimate that is wrong does not make it jump.
2. The pace, seconds taken for each second expected, is that of the last units: what took place `RECENT` seconds ago
   counts half. A machine that becomes busy is seen within a minute.
3. Work of another kind goes at the pace that kind had, times how far the present kind is now from its own mean. Of a
   kind that did not come yet nothing is known but the others: a mean of their logarithms, weighed by how long each was
   watched, with one that went as expected. So a long loading alone says little, and two slow kinds say much.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aftertune.runs.stage import Stage

RECENT, WATCHED = 60.0, 10.0  # seconds: after which a pace counts half, in which a kind of work is half known
NONE = Stage()


@dataclass
class _Pace:
    """Work and seconds of one kind, and the same with what was long ago counted less."""

    work: float = 0.0
    seconds: float = 0.0
    recent_work: float = 0.0
    recent_seconds: float = 0.0

    def add(self, work: float, seconds: float) -> None:
        kept = 0.5 ** (seconds / RECENT)
        self.work, self.seconds = self.work + work, self.seconds + seconds
        self.recent_work, self.recent_seconds = kept * self.recent_work + work, kept * self.recent_seconds + seconds

    @property
    def mean(self) -> float:
        return self.seconds / self.work

    @property
    def now(self) -> float:
        return self.recent_seconds / self.recent_work

    @property
    def weight(self) -> float:
        return self.seconds / (self.seconds + WATCHED)


def say_seconds(seconds: float) -> str:
    """A time as a person would say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Forecast:
    """Is told of each step, and tells the share that is done and the seconds that are left.

    ``seconds`` are the expected seconds of each stage in the order in which they come, ``already`` the shares of stages
    that were done before. ``at_once``: stages may be under way at once, so that one that is told of says nothing on
    another.
    """

    def __init__(
        self,
        seconds: Mapping[Stage, float],
        already: Mapping[Stage, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        at_once: bool = False,
    ) -> None:
        self._at_once = at_once
        self._expected, self._already, self._clock = dict(seconds), dict(already or {}), clock
        self._done: dict[Stage, float] = {}  # shares, of what this run has to do
        self._paces: dict[str, _Pace] = {}
        self._now = NONE
        self._begun = self._at_step = self._since = clock()

    def tell(self, what: Stage, done: float, total: float) -> None:
        """Say that ``done`` of ``total`` units of the stage ``what`` are done."""
        if what != self._now:
            if not self._at_once:
                self._reach(self._now, 1.0)
                self._since = self._clock()
            self._now = what
        before = self._already.get(what, 0.0)
        share = (done / total if total else 1.0) - before
        self._reach(what, min(max(share / (1 - before) if before < 1 else 1.0, 0.0), 1.0))
        self._at_step = self._clock()

    @property
    def seconds_left(self) -> float:
        """The seconds that all stages will still take."""
        left = {stage: (1 - self._done.get(stage, 0.0)) * work for stage, work in self._expected.items()}
        here = left.pop(self._now, 0.0)
        waiting = self._clock() - self._at_step  # for a unit whose end nobody has told yet
        return max(here * self._pace(self._now.step) - waiting, 0.0) + sum(
            work * self._pace(stage.step) for stage, work in left.items() if work
        )

    @property
    def seconds_over(self) -> float:
        """The seconds since the beginning."""
        return self._clock() - self._begun

    @property
    def share_done(self) -> float:
        """The share of the expected work that is done, between 0 and 1."""
        whole = sum(self._expected.values())
        done = sum(self._done.get(stage, 0.0) * work for stage, work in self._expected.items())
        return done / whole if whole else 1.0

    def _reach(self, stage: Stage, share: float) -> None:
        """Count what was done of a stage since it was last told of, and how long that took."""
        work = (share - self._done.get(stage, 0.0)) * self._expected.get(stage, 0.0)
        if work <= 0:
            return
        self._done[stage] = share
        self._paces.setdefault(stage.step, _Pace()).add(work, self._clock() - self._since)
        self._since = self._clock()

    def _pace(self, kind: str) -> float:
        """Seconds taken for each second expected of a kind of work."""
        if kind in self._paces and kind == self._now.step:
            return self._paces[kind].now
        present = self._paces.get(self._now.step)
        drift = present.now / present.mean if present else 1.0
        return drift * (self._paces[kind].mean if kind in self._paces else self._of_others())

    def _of_others(self) -> float:
        """The pace of a kind that did not come yet."""
        seen = [(one.weight, math.log(one.mean)) for one in self._paces.values() if one.seconds]
        return math.exp(sum(weight * pace for weight, pace in seen) / (1 + sum(weight for weight, _ in seen)))
