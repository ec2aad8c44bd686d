"""What one process does of a study: all of it, or as one of several workers what is its turn.

1. It tells what the weights of checkpoints are.
2. It measures models, each with all explainers; then pairs of models; then what was named of pairs.
Each of these steps is a list of tasks (`do_all`), in which an explainer asks the run which units are its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, within
from aftertune.runs.turns import Task, do_all
from aftertune.study import checks
from aftertune.study.named import NamedOf
from aftertune.study.rounding import Found, measure_roundings
from aftertune.study.templates import Template

if TYPE_CHECKING:
    from aftertune.models import Checkpoint
    from aftertune.study.study import Study

HandIn = Callable[[str, dict[str, Any]], None]
What = Literal["roundings", "models", "pairs", "named"]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a process needs to measure a study that was checked."""

    study: "Study"
    subjects: Mapping[str, Subject]
    works: Mapping[str, Work]
    inputs: Inputs
    template: Template


class Process:
    """Measures into ``run``, whose turns say what is its own; ``number`` counts the workers, from 0."""

    def __init__(self, plan: Plan, run: RunFolder, progress: Progress, number: int = 0) -> None:
        from aftertune.study.loader import Loader

        self.plan, self.run, self._progress, self._number = plan, run, progress, number
        self._loaded = Loader(self._load)

    def tell_of(self, roles: Sequence[str], hand_in: HandIn) -> None:
        """Hand in what a run says of the checkpoint of each role; nothing is written."""

        def tell(role: str) -> None:
            if self.run.turns.is_mine(f"weights of {role}"):
                hand_in(role, checks.told_of(self._loaded(role)))

        do_all([Task(partial(tell, role), lambda: False) for role in self._in_turn(roles)], self.run.turns)

    def measure(self, what: What, of: Sequence[Any]) -> None:
        """Measure what is missing of ``roundings``, ``models`` (roles), ``pairs``, or what was ``named`` of pairs."""
        tasks: Mapping[What, Callable[[Sequence[Any]], list[Task]]] = {
            "roundings": self._roundings,
            "models": self._models,
            "pairs": self._pairs,
            "named": self._named,
        }
        do_all(tasks[what](of), self.run.turns)

    def _roundings(self, found: Sequence[Found]) -> list[Task]:
        """How much rounding alone does."""

        def do() -> None:
            if self.run.turns.is_mine("rounding"):
                measure_roundings(found, self._loaded, self.run)

        return [Task(do, lambda: False)] if found else []

    def _models(self, roles: Sequence[str]) -> list[Task]:
        """Let all explainers read the models of these roles."""
        return [
            Task(partial(self._measure, role, name, work), partial(is_measured, self.run, work, role))
            for role in self._in_turn(roles)
            for name, work in self.plan.works.items()
        ]

    def _pairs(self, pairs: Sequence[Pair]) -> list[Task]:
        """What needs both checkpoints at once: both are in memory then."""
        return [
            Task(partial(self._measure_pair, pair, name, work), partial(is_pair_measured, self.run, work, pair))
            for pair in pairs
            for name, work in self.plan.works.items()
        ]

    def _named(self, pairs: Sequence[Pair]) -> list[Task]:
        """What explainers name of pairs, where all else is measured."""
        named = [NamedOf(pair, self.plan.works, self.run) for pair in pairs]
        return [
            Task(partial(one.measure, self._loaded.both, self._progress), partial(getattr, one, "is_measured"))
            for one in named
        ]

    def _in_turn(self, roles: Sequence[str]) -> list[str]:
        """Each worker begins with another checkpoint, always with the same one."""
        first = self._number % max(1, len(roles))
        return [*roles[first:], *roles[:first]]

    def _measure(self, role: str, name: str, work: Work) -> None:
        if work.is_shared or self.run.turns.is_mine(f"{name} of {role}"):
            work.measure(self._loaded(role), role, self.run, within(self._progress, role, name))

    def _measure_pair(self, pair: Pair, name: str, work: Work) -> None:
        both = "-".join(pair)
        if work.is_shared or self.run.turns.is_mine(f"{name} of {both}"):
            work.measure_pair(*self._loaded.both(pair), pair, self.run, within(self._progress, both, name))

    def _load(self, role: str) -> "Checkpoint":
        """Load a checkpoint, and check it once more: that it can be compared, and is the one that the run is of."""
        from aftertune.study.loader import load_subject

        plan, loading = self.plan, Stage(role, "", "loading")
        self._progress(loading, 0, 1)
        checkpoint = plan.template.put_on(load_subject(plan.study, plan.subjects[role]))
        self._progress(loading, 1, 1)
        checks.must_fit_loaded(checkpoint, plan.works.values(), plan.inputs, self.run)
        if self.run.exists(f"{role}.json"):
            checks.claim_weights(self.run, role, checks.told_of(checkpoint))
        return checkpoint


def is_measured(run: RunFolder, work: Work, role: str) -> bool:
    """Whether all that an explainer reads of a model lies in the run."""
    return _has(run, work) and work.is_measured(run, role)


def is_pair_measured(run: RunFolder, work: Work, pair: Pair) -> bool:
    """Whether all that an explainer reads of a pair lies in the run."""
    return _has(run, work) and work.is_pair_measured(run, pair)


def _has(run: RunFolder, work: Work) -> bool:
    """Whether a run says how an explainer measured: parts that were taken from another run do not by themselves."""
    return not work.saved_settings or run.exists(work.saved_settings)
