"""What is told before a study begins: all that was chosen, checked and made ready."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.runs.run import RunFolder
from aftertune.study.rounding import Rounding
from aftertune.study.rows import Rows
from aftertune.study.study import Study
from aftertune.study.templates import Template
from aftertune.study.tokens import AddedTokens

if TYPE_CHECKING:
    from aftertune.models.machine import Machine
    from aftertune.models.size import ModelSize


@dataclass(frozen=True)
class Means:
    """``n_workers``, each on a ``machine`` like this one; ``text`` tells of them."""

    n_workers: int
    machine: "Machine"
    text: str


@dataclass(frozen=True, eq=False)
class Intent:
    """A study that has been checked and not begun.

    ``run`` is as it will be when it has taken what it reuses; ``subjects`` are all checkpoints by their roles,
    ``sizes`` those of the roles that are not wholly measured yet; ``works`` are the explainers made ready, by name;
    ``template`` says how the prompts are put, ``rows`` what became of the rows that they come from, ``tokens`` which
    tokens only some of the checkpoints have, ``roundings`` which were stored in fewer bits than others. ``means`` are
    the workers that measure, None where it is this process; while they are not there yet, ``awaits`` says so.
    """

    study: Study
    run: RunFolder
    subjects: Mapping[str, Subject]
    sizes: Mapping[str, "ModelSize"]
    works: Mapping[str, Work]
    inputs: Inputs
    template: Template = field(default_factory=Template)
    rows: Rows = field(default_factory=Rows)
    tokens: AddedTokens | None = None
    roundings: Sequence[Rounding] = ()
    means: Means | None = None
    awaits: str = ""


Announce = Callable[[Intent], object]
