"""Whose turn is it?  Which units of work a process is to do, of those whose parts are not in the run.

1. One process does all of them, in their order.
2. Several workers measure a run at once, all with the same code. Each takes units from a board that they share, one at
   a time. A unit is done when its parts are written; what a worker held that was lost is free again.
3. Where nothing is left to take, but others are still busy with what is needed next, the work is left
   (`OthersBusyError`), and begun again when that is there: it finds its parts, and goes on behind them (`do_all`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

U = TypeVar("U")
Part = tuple[str, str, str]
Parts = Callable[[U], Sequence[Part]]
Size = Callable[[U], float]
Tell = Callable[[float, float], None]
FIRST_REST, LONGEST_REST = 0.02, 0.5  # seconds between two looks at what others do


def nobody(_done: float, _total: float) -> None:
    """Whom to tell, where nobody wants to know."""


def alike(_unit: object) -> float:
    """The size of units that are all as large."""
    return 1.0


class OthersBusyError(Exception):
    """Nothing is left to take, and other workers are busy with the units of these ``keys``."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"others are at work on {len(keys)} units, as {keys[0]}")
        self.keys = tuple(keys)


class Kept(Protocol):
    """Where parts are kept: a run folder."""

    def exists(self, *names: str) -> bool:
        """Whether a part is there."""
        ...

    def trust(self, parts: Iterable[Part]) -> None:
        """Take it from another process that parts are there."""
        ...

    def has_written(self, parts: Iterable[Part]) -> bool:
        """Whether this process has written parts, or seen them."""
        ...


@dataclass(frozen=True)
class Units(Generic[U]):
    """Units of work in their order: the ``parts`` that each makes, its ``size``, and who is told how far it is.

    ``wait``: what comes after them needs all of them, others' too.
    """

    run: "Kept"
    units: Sequence[U]
    parts: Parts[U]
    size: Size[U]
    tell: Tell
    wait: bool = True

    def are_there(self, unit: U) -> bool:
        """Whether all parts of a unit are in the run."""
        return all(self.run.exists(*part) for part in self.parts(unit))

    def by_key(self) -> dict[str, U]:
        """The units by their names among all units of a run: that of their first part."""
        return {"/".join(self.parts(unit)[0]): unit for unit in self.units}


class Task(NamedTuple):
    """Work that goes through units: ``do`` does what is not done yet, ``is_done`` says whether anything is left."""

    do: Callable[[], None]
    is_done: Callable[[], bool]


class Turns(Protocol):
    """Who decides whose turn it is."""

    def missing(self, units: Units[U]) -> Iterator[U]:
        """The units that are not in the run and that this process is to do, each when the one before it is done."""
        ...

    def is_mine(self, key: str) -> bool:
        """Whether this process is to do work of this name, which is no loop over units; it is done with its task."""
        ...

    def do(self, task: Task) -> Sequence[str]:
        """Do a task as far as that can be done now; returns the keys of units that others are busy with."""
        ...

    def are_busy(self, keys: Sequence[str]) -> bool:
        """Whether others are busy with all that is left of these."""
        ...


class AllMine:
    """One process: every turn is its own."""

    def missing(self, units: Units[U]) -> Iterator[U]:
        """All units that are not in the run."""
        done, total = 0.0, sum(map(units.size, units.units))
        for unit in units.units:
            units.tell(done, total)
            if not units.are_there(unit):
                yield unit
            done += units.size(unit)
        units.tell(total, total)

    def is_mine(self, key: str) -> bool:  # noqa: ARG002
        """All work is."""
        return True

    def do(self, task: Task) -> Sequence[str]:
        """Do all that is left of it."""
        if not task.is_done():
            task.do()
        return ()

    def are_busy(self, keys: Sequence[str]) -> bool:  # noqa: ARG002
        """There are no others."""
        return False


class Answer(NamedTuple):
    """What a board says to who asks for one of some units: the key of one that is free, and which are done."""

    taken: str | None
    done: frozenset[str]


class Board(Protocol):
    """What several workers share: which unit is whose, and which are done."""

    def take(self, token: int, keys: Sequence[str], finished: Sequence[str]) -> Answer:
        """Say that units are ``finished``, and take the first that is free."""
        ...

    def are_busy(self, keys: Sequence[str]) -> bool:
        """Whether somebody holds one of these, and none is free."""
        ...


@dataclass(eq=False)
class Shared:
    """The turns of one of several workers, which the ``board`` knows by the ``token`` that it last began with.

    ``_held`` are units that it took and that the board does not know to be done, with whether they are: a
    part may be written while the next one is measured.
    """

    board: Board
    token: int = 0
    _held: dict[str, Callable[[], bool]] = field(default_factory=dict)
    _awaited: list[str] = field(default_factory=list)

    def begin(self, token: int) -> None:
        """Begin anew; what was held before is the board's again."""
        self.token = token
        self._held.clear()

    def missing(self, units: Units[U]) -> Iterator[U]:
        """Units that the board gives to this worker; raises `OthersBusyError` where others' are waited for."""
        all_units = units.by_key()
        left, total = dict(all_units), sum(map(units.size, all_units.values()))
        while (key := self._take(units, left)) is not None:
            units.tell(total - sum(map(units.size, left.values())), total)
            if not units.are_there(left[key]):
                yield left[key]
        others = [key for key in left if key not in self._held]
        if not others:
            units.tell(total, total)
        elif units.wait:
            raise OthersBusyError(others)
        self._awaited += others

    def is_mine(self, key: str) -> bool:
        """Whether the board gives this work to this worker."""
        answer = self.board.take(self.token, (key,), ())
        if answer.taken is not None:
            self._held[key] = lambda: False
        elif key not in answer.done:
            self._awaited.append(key)
        return answer.taken is not None

    def do(self, task: Task) -> Sequence[str]:
        """Do a task as far as it goes; what is returned is to be settled by others before it is tried again."""
        self._awaited = []
        try:
            task.do()
        except OthersBusyError as error:
            self._awaited += error.keys
        self.board.take(self.token, (), tuple(self._held))  # what it writes behind is written, too
        self._held.clear()
        return tuple(self._awaited)

    def are_busy(self, keys: Sequence[str]) -> bool:
        """Whether others are busy with all that is left of these."""
        return bool(keys) and self.board.are_busy(keys)

    def _take(self, units: Units[U], left: dict[str, U]) -> str | None:
        """The key of the next unit; those that are done are taken out of ``left``."""
        finished = [key for key, is_written in self._held.items() if is_written()]
        free = [key for key in left if key not in self._held or key in finished]
        answer = self.board.take(self.token, free, finished)
        for key in finished:
            del self._held[key]
        for key in answer.done & left.keys():
            units.run.trust(units.parts(left.pop(key)))
        if answer.taken is not None:
            parts = units.parts(left[answer.taken])
            self._held[answer.taken] = lambda: units.run.has_written(parts)
        return answer.taken


def do_all(tasks: Sequence[Task], turns: Turns) -> None:
    """Do all tasks to their end: what waits for others is left, and begun again when they are through."""
    waiting: dict[Task, Sequence[str]] = dict.fromkeys(tasks, ())
    rest = FIRST_REST
    while waiting:
        ready = [task for task, keys in waiting.items() if not turns.are_busy(keys)]
        for task in ready:
            waiting[task] = () if waiting[task] and task.is_done() else turns.do(task)
            if not waiting[task]:
                del waiting[task]
        rest = FIRST_REST if ready else min(2 * rest, LONGEST_REST)
        if waiting and not ready:
            time.sleep(rest)
