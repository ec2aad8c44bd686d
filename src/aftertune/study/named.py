"""What explainers name of a pair of models, heads and directions, is handed to those that can say what it carries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from aftertune.explainers import AnyExplainer, explainers
from aftertune.explainers.explainer import Work
from aftertune.explainers.named import Named
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, within

if TYPE_CHECKING:
    from aftertune.models import Checkpoint


@dataclass(frozen=True, eq=False)
class NamedOf:
    """What is named of a pair, once all else is measured, and the ``works`` that may measure it."""

    pair: Pair
    works: Mapping[str, Work]
    run: RunFolder

    @cached_property
    def named(self) -> Sequence[Named] | None:
        """What is named; None where nobody takes names, or gives any."""
        if not any(work.takes_names for work in self.works.values()) or not any(_namers(self.run)):
            return None
        held = Held(self.run)
        return [one for namer in _namers(self.run) for one in namer.names(held, self.pair)]

    def measure(self, both: "Callable[[Pair], tuple[Checkpoint, Checkpoint]]", progress: Progress) -> None:
        """Let each explainer of a study that takes names measure what is named; ``both`` loads the checkpoints."""
        run, roles = self.run, "-".join(self.pair)
        for name, work in self._left():
            if work.is_shared or run.turns.is_mine(f"named, {name} of {roles}"):
                work.measure_named(*both(self.pair), self.pair, run, self.named or (), within(progress, roles, name))

    @property
    def is_measured(self) -> bool:
        """Whether nothing is left to measure."""
        return not list(self._left())

    def _left(self) -> Iterator[tuple[str, Work]]:
        """The explainers that have not measured what is named."""
        for name, work in self.works.items() if self.named is not None else ():
            if work.takes_names and not work.is_named_measured(self.run, self.pair, self.named or ()):
                yield name, work


def can_be_named(run: RunFolder, works: Mapping[str, Work]) -> bool:
    """Whether a study, or what its run holds already, names anything that is then measured."""
    names = {name for name, one in explainers().items() if one.names_parts}
    return any(work.takes_names for work in works.values()) and (bool(names & set(works)) or any(_namers(run)))


def _namers(run: RunFolder) -> Iterator[AnyExplainer]:
    return (one for one in explainers().values() if one.names_parts and one.is_in(run))
