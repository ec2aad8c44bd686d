"""What explainers name of a pair of models, heads and directions, is handed to those that can say what it carries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from aftertune.explainers import AnyExplainer, explainers
from aftertune.explainers.explainer import Work
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, within

if TYPE_CHECKING:
    from aftertune.models import Checkpoint


def measure_named(
    both: "Callable[[Pair], tuple[Checkpoint, Checkpoint]]",
    pairs: Sequence[Pair],
    works: Mapping[str, Work],
    run: RunFolder,
    progress: Progress,
) -> None:
    """Let each explainer of a study that takes names measure what is named, where all else is measured.

    ``both`` loads the checkpoints of a pair.
    """
    takers = {name: work for name, work in works.items() if work.takes_names}
    held = Held(run)
    for pair in pairs if takers and any(_namers(run)) else ():
        named = [one for namer in _namers(run) for one in namer.names(held, pair)]
        for name, work in takers.items():
            if not work.is_named_measured(run, pair, named):
                work.measure_named(*both(pair), pair, run, named, within(progress, "-".join(pair), name))


def can_be_named(run: RunFolder, works: Mapping[str, Work]) -> bool:
    """Whether a study, or what its run holds already, names anything that is then measured."""
    names = {name for name, one in explainers().items() if one.names_parts}
    return any(work.takes_names for work in works.values()) and (bool(names & set(works)) or any(_namers(run)))


def _namers(run: RunFolder) -> Iterator[AnyExplainer]:
    return (one for one in explainers().values() if one.names_parts and one.is_in(run))
