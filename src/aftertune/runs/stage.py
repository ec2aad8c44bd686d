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


def silent(_stage: object, _done: float, _total: float) -> None:
    """Progress that nobody asked for."""


def within(progress: Progress, role: str, explainer: str) -> StepProgress:
    """Progress of the steps of one explainer on one role."""
    return lambda step, done, total: progress(Stage(role, explainer, step), done, total)
