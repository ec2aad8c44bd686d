"""How much is done, and how long will the rest take?  Expected times, corrected by those that were measured.

1. A stage's expected time is multiplied by how far stages of its kind were off so far, the share of the present one
   included. Of a kind that did not come yet, by how far all were off, as if those to come were to take what was
   expected: a long loading says little of what follows.
2. In the present stage, what the finished share took counts the more the larger that share is.
"""

import time
from collections.abc import Callable, Mapping

from aftertune.runs.stage import Stage

MOST_OFF = 5.0
NONE = Stage()


class Forecast:
    """Is told of each step, and tells the share that is done and the seconds that are left.

    ``seconds`` are the expected seconds of each stage in the order in which they come, ``already`` the shares of stages
    that were done before.
    """

    def __init__(
        self,
        seconds: Mapping[Stage, float],
        already: Mapping[Stage, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected, self._already, self._clock = dict(seconds), dict(already or {}), clock
        self._took: dict[Stage, float] = {}
        self._now, self._share, self._since = NONE, 0.0, clock()
        self._begun = self._at_step = clock()

    def tell(self, what: Stage, done: float, total: float) -> None:
        """Say that ``done`` of ``total`` units of the stage ``what`` are done."""
        if what != self._now:
            self._end()
            self._now, self._since = what, self._clock()
        self._at_step = self._clock()
        before = self._already.get(what, 0.0)
        share = (done / total if total else 1.0) - before
        self._share = min(max(share / (1 - before) if before < 1 else 1.0, 0.0), 1.0)
        if self._share == 1.0:
            self._end()

    @property
    def seconds_left(self) -> float:
        """The seconds that all stages will still take."""
        later = [name for name in self._expected if name not in self._took and name != self._now]
        seen = self._seen()
        return self._left_of_now() + sum(self._expected[name] * self._factor(name, seen) for name in later)

    @property
    def seconds_over(self) -> float:
        """The seconds since the beginning."""
        return self._clock() - self._begun

    @property
    def share_done(self) -> float:
        """The share of the whole time that is over, between 0 and 1."""
        over = self.seconds_over
        return over / (over + self.seconds_left) if over > 0 else 0.0

    def _end(self) -> None:
        if self._now in self._expected:
            self._took[self._now] = self._clock() - self._since
        self._now, self._share = NONE, 0.0

    def _left_of_now(self) -> float:
        if self._now not in self._expected:
            return 0.0
        share = self._share
        expected = self._expected[self._now] * self._factor(self._now, self._took)
        at_step = self._at_step - self._since
        whole = (1 - share) * expected + at_step  # (1 - share) of the expectation, share of what was measured
        return max((1 - share) * whole - (self._clock() - self._at_step), 0.0)

    def _seen(self) -> dict[Stage, float]:
        """The time that every stage took, or would take if it went on as the present one."""
        if self._now not in self._expected or not self._share:
            return self._took
        return self._took | {self._now: (self._at_step - self._since) / self._share}

    def _factor(self, name: Stage, seen: Mapping[Stage, float]) -> float:
        """How many times the expected time stages like ``name`` take, by those that were ``seen``."""
        alike = [one for one in seen if one.step == name.step]
        others = [] if alike else [one for one in self._expected if one not in seen]
        took = sum(seen[one] for one in alike or seen) + sum(self._expected[one] for one in others)
        expected = sum(self._expected[one] for one in [*(alike or seen), *others])
        return min(max(took / expected, 1 / MOST_OFF), MOST_OFF) if expected else 1.0
