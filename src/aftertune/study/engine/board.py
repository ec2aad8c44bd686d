"""Which worker has which unit?  One board for all workers of a run; it lives as long as they do and keeps nothing.

1. A worker that begins a step of the work is given a token, and takes units with it.
2. What it held when it was lost, or failed, is free again. A unit that came to nothing `TRIES` times ends the run.
3. What workers tell of their progress, and hand in, is kept here until the driver asks for it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from aftertune.runs.stage import Stage
from aftertune.runs.turns import Answer

TRIES = 3
LOST = "its worker was lost: it was killed, ran out of memory, or its machine is gone"
GOES_ON = "What was measured is kept; when the cause is mended, the same command goes on where it stopped"


class ReplacedError(Exception):
    """A worker that was taken for lost, and is not."""


class News(NamedTuple):
    """Since the driver asked last: ``progress`` by stage, what was ``handed_in``, and sentences on what is done
    ``again``; why the run must end, if so.
    """

    progress: dict[Stage, tuple[float, float]]
    handed_in: dict[str, Any]
    again: list[str]
    failure: str | None


class Board:
    """Units by their keys, workers by their numbers."""

    def __init__(self) -> None:
        self._tokens: dict[int, int] = {}  # of the workers that are at work
        self._places: dict[int, str] = {}  # where they are
        self._held: dict[str, int] = {}  # the token of who holds a unit
        self._done: set[str] = set()
        self._failures = Counter[str]()
        self._doing: dict[int, str] = {}  # what a worker did last that is no unit
        self._news = News({}, {}, [], None)
        self._n_tokens = 0

    def begin(self, worker: int, place: str) -> int:
        """A token for a worker that begins at a place; what it held before is free."""
        self.lose(worker)
        self._n_tokens += 1
        self._tokens[worker], self._places[worker] = self._n_tokens, place
        return self._n_tokens

    def take(self, token: int, keys: Sequence[str], finished: Sequence[str]) -> Answer:
        """Say that units are ``finished``, and take the first of ``keys`` that is free.

        Raises `ReplacedError` where the token holds no longer.
        """
        worker = self._worker(token)
        for key in finished:
            self._held.pop(key, None)
            self._done.add(key)
            self._doing.pop(worker, None)
        done = frozenset(key for key in keys if key in self._done)
        free = (key for key in keys if key not in done and key not in self._held)
        taken = next(free, None)
        if taken is not None:
            self._held[taken] = token
        return Answer(taken, done)

    def are_busy(self, keys: Sequence[str]) -> bool:
        """Whether somebody holds one of these, and none is free."""
        left = [key for key in keys if key not in self._done]
        return bool(left) and all(key in self._held for key in left)

    def end(self, token: int) -> None:
        """A worker is through with a step."""
        worker = self._worker(token)
        del self._tokens[worker]
        self._doing.pop(worker, None)

    def fail(self, token: int, reason: str) -> str | None:
        """A worker failed; returns why the run must end, if so."""
        worker = self._worker(token)
        del self._tokens[worker]
        self._give_back(worker, token, reason)
        return self._news.failure

    def lose(self, worker: int) -> None:
        """A worker is lost, if it was at work."""
        token = self._tokens.pop(worker, None)
        if token is not None:
            self._give_back(worker, token, LOST)

    def lose_places(self, gone: Sequence[str]) -> None:
        """All workers of some places are lost."""
        for worker in [worker for worker, place in self._places.items() if place in gone]:
            self.lose(worker)

    def tell(self, worker: int, stage: Stage, done: float, total: float) -> None:
        """How far a worker is with a stage; of several workers on one stage the furthest counts."""
        self._doing[worker] = f"{stage} (worker {worker})"
        before = self._news.progress.get(stage, (0.0, total))
        self._news.progress[stage] = (max(done, before[0]), total)

    def hand_in(self, name: str, what: Any) -> None:
        """Something for the driver."""
        self._news.handed_in[name] = what

    def news(self) -> News:
        """What is new."""
        found, self._news = self._news, News({}, {}, [], self._news.failure)
        return found

    def _worker(self, token: int) -> int:
        found = next((worker for worker, own in self._tokens.items() if own == token), None)
        if found is None:
            raise ReplacedError(f"no worker has the token {token}")
        return found

    def _give_back(self, worker: int, token: int, reason: str) -> None:
        held = [key for key, own in self._held.items() if own == token]
        for key in held:
            del self._held[key]
        key = held[-1] if held else self._doing.get(worker, f"The beginning of worker {worker}")  # what it took last
        self._failures[key] += 1
        if self._failures[key] >= TRIES:
            failure = f"{key} failed {TRIES} times, the last time because {reason}. {GOES_ON}."
            self._news = self._news._replace(failure=self._news.failure or failure)
        elif held:
            self._news.again.append(f"Worker {worker} did not end {key}, because {reason}. It is made again.")
        else:
            self._news.again.append(
                f"Worker {worker} did not end its step, because {reason}. The step is begun again; what it made stays."
            )
