"""Which step of the work is being done?  What progress is told with, never parsed out of a text."""

from collections.abc import Callable
from typing import NamedTuple


class Stage(NamedTuple):
    """A ``step`` of an ``explainer`` on the checkpoint of a ``role``; what belongs to none of them is empty."""

    role: str = ""
    explainer: str = ""
    step: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.role, self.step or self.explainer) if part)


Progress = Callable[[Stage, float, float], None]
"""Called after each unit of work with the stage, how much of it is done, and how much there is."""

StepProgress = Callable[[str, float, float], None]
"""The same inside one explainer: the step's name instead of the stage."""


def told_of_all(tell: Callable[[float, float], None], round: int, n_rounds: int) -> Callable[[float, float], None]:
    """Progress of one of several rounds of the same work, told as that of all of them."""
    return lambda done, total: tell(round * total + done, n_rounds * total)


def counted_after(tell: Callable[[float, float], None], before: float, total: float) -> Callable[[float, float], None]:
    """Progress of units that come after others, told as that of ``total`` units."""
    return lambda done, _: tell(before + done, total)


def silent(_stage: object, _done: float, _total: float) -> None:
    """Progress that nobody asked for."""


def within(progress: Progress, role: str, explainer: str) -> StepProgress:
    """Progress of the steps of one explainer on one role."""
    return lambda step, done, total: progress(Stage(role, explainer, step), done, total)
