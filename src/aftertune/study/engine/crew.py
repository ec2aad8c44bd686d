"""Who measures a study: this process alone, or an engine's workers."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress

if TYPE_CHECKING:
    from aftertune.study.engine.process import Plan, What
    from aftertune.study.intent import Intent, Means


class Crew(Protocol):
    """Does what `Process` does, alone or as several."""

    @property
    def means(self) -> "Means | None":
        """With what it measures, where that is not this process and its machine."""

    def tell_of(self, roles: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a run says of the checkpoint of each role."""

    def measure(self, what: "What", of: Sequence[Any]) -> None:
        """Measure what is missing (`Process.measure`)."""


class Engine(Protocol):
    """Gives a crew to a study that was checked; ``intent`` says what it will take."""

    @property
    def text(self) -> str:
        """What is told of it before it is there."""

    def must_answer(self) -> None:
        """Raise `RunError` where it can't be used, before anything is read or started."""

    def crew(self, plan: "Plan", run: RunFolder, intent: "Intent", progress: Progress) -> AbstractContextManager[Crew]:
        """The crew, at work until the context ends."""


class Alone:
    """This process."""

    means = None

    def __init__(self, plan: "Plan", run: RunFolder, progress: Progress) -> None:
        from aftertune.study.engine.process import Process

        self._process = Process(plan, run, progress)

    def tell_of(self, roles: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a run says of the checkpoint of each role."""
        found = dict[str, dict[str, Any]]()
        self._process.tell_of(roles, found.__setitem__)
        return found

    def measure(self, what: "What", of: Sequence[Any]) -> None:
        """Measure what is missing."""
        self._process.measure(what, of)


def crew_of(
    engine: Engine | None, plan: "Plan", run: RunFolder, intent: "Intent | None", progress: Progress
) -> AbstractContextManager[Crew]:
    """The engine's workers, or this process where there is no engine."""
    if engine is None or intent is None:
        return nullcontext(Alone(plan, run, progress))
    return engine.crew(plan, run, intent, progress)
