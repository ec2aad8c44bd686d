"""What an explainer is: one question about two checkpoints, with all that answers it.

An explainer is found in three states:
1. `Explainer`: what can be asked. It names itself, its settings, and whose results it needs.
2. `Work`: what was asked, made ready for a study by `Explainer.prepare`. It refuses what can't be done, says what it
   will cost, and measures one checkpoint (or one pair) into the run folder, unit by unit.
3. A change: what the run holds of two checkpoints, compared (`Explainer.change`). From it come the questions of the
   report, and a `Section` with tables and figures.

Everything but `Work` is without torch. To add one: a folder with these, and a line in `aftertune.explainers`; from
another package, an entry point "aftertune.explainers" (docs/add-an-explainer.md).
"""

from __future__ import annotations  # the types below are imported for type checkers only

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from aftertune.explainers.settings import Settings

if TYPE_CHECKING:
    from aftertune.explainers.named import Named
    from aftertune.models import Checkpoint
    from aftertune.models.cost import Remaining
    from aftertune.models.machine import Machine
    from aftertune.models.served.model import ServedModel
    from aftertune.models.size import ModelSize
    from aftertune.prompts.prompt import Prompt
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.reuse import Reusable
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.runs.stage import StepProgress
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question

S = TypeVar("S", bound=Settings)
C = TypeVar("C")


@dataclass(frozen=True)
class Inputs:
    """What all explainers of a study are given: the prompts, how they are put, and how checkpoints are read.

    ``lengths`` (n_prompts,) are the prompts' numbers of tokens; it is filled when the prompts have been tokenized.
    ``needs_room``: an explainer needs every prompt to leave room for a response in the models' context.
    """

    prompts: Sequence[Prompt] = ()
    template: str = "raw"
    max_new_tokens: int = 300
    device: str = "auto"
    dtype: str = "float32"
    lengths: list[int] = field(default_factory=list)
    needs_room: bool = True

    @property
    def identity(self) -> dict[str, Any]:
        """The prompts to the letter and how they are put: what must be the same for a run to go on."""
        from aftertune.prompts.prompt import to_plain

        plain = json.dumps([to_plain(prompt) for prompt in self.prompts], sort_keys=True, ensure_ascii=False)
        about = {"n": len(self.prompts), "sha256": hashlib.sha256(plain.encode()).hexdigest()}
        return {"template": self.template, "prompts": about}


class Work(ABC):
    """One explainer made ready for one study; nothing of it is done yet.

    ``saved_settings`` is the file of a run that keeps its `identity`, ``reusable`` the parts that may be taken from
    another run; without them nothing is. ``is_shared``: all that costs time is asked for with `RunFolder.missing`, so
    that several workers can measure a model at once; otherwise one of them does.
    """

    saved_settings: ClassVar[str] = ""
    is_shared: ClassVar[bool] = False
    reusable: ClassVar[tuple[Reusable, ...]] = ()

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must be the same for a run to go on, beside the checkpoints: settings, prompts, words."""
        return {}

    def must_fit(self, configs: Sequence[Any], run: RunFolder) -> None:
        """Refuse what can't be done with checkpoints of these configurations, or not in this run folder.

        ``configs`` has None for a checkpoint whose configuration can't be read quickly. Raises `AftertuneError`.
        """

    def chosen(self) -> Sequence[tuple[str, str]]:
        """What was chosen, told before the work begins: (label, text) each."""
        return ()

    def remaining(self, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
        """What is left to do for the model of a role: by default nothing that could be foreseen."""
        from aftertune.models.cost import Remaining

        return Remaining()

    def is_measured(self, run: RunFolder, role: str) -> bool:
        """Whether all of the model of a role lies in the run."""
        return True

    def measure(self, checkpoint: Checkpoint, role: str, run: RunFolder, progress: StepProgress) -> None:
        """Measure a model into the run, the parts that are not there yet; ``progress(step, done, total)``."""

    def remaining_pair(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
        """What is left to do that needs both models of a pair at once, models of about this size."""
        from aftertune.models.cost import Remaining

        return Remaining()

    def is_pair_measured(self, run: RunFolder, pair: Pair) -> bool:
        """Whether all that needs both models of a pair at once lies in the run."""
        return True

    def measure_pair(
        self, base: Checkpoint, tuned: Checkpoint, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """Measure what needs both models of a pair at once."""

    @property
    def takes_names(self) -> bool:
        """Whether it is handed what explainers name of a pair, when all else is measured (`measure_named`)."""
        return False

    def remaining_named(self, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
        """What is left to do of what will be named, models of about this size; what is named is not known yet."""
        from aftertune.models.cost import Remaining

        return Remaining()

    def is_named_measured(self, run: RunFolder, pair: Pair, named: Sequence[Named]) -> bool:
        """Whether all that is to be measured of what is named lies in the run."""
        return True

    def measure_named(
        self,
        base: Checkpoint,
        tuned: Checkpoint,
        pair: Pair,
        run: RunFolder,
        named: Sequence[Named],
        progress: StepProgress,
    ) -> None:
        """Measure what explainers name of a pair, with both models at once."""

    def finish(self, run: RunFolder, role: str) -> None:
        """Called when all is measured: let the run show what was asked for this time."""


class ServedWork(Work):
    """A work that asks models behind servers, which tell probabilities of texts and no weights."""

    @abstractmethod
    def requests(self, run: RunFolder, role: str) -> Mapping[str, int]:
        """How many requests are left for the model of a role, by the steps that `ask` tells."""

    @abstractmethod
    def requests_of_pair(self, run: RunFolder, pair: Pair) -> Mapping[str, int]:
        """How many requests are left that one model is asked on what the other wrote, by the steps of `ask_pair`."""

    @abstractmethod
    def ask(self, model: ServedModel, role: str, run: RunFolder, progress: StepProgress) -> None:
        """As `measure`, of a served model; every answer is in the run before the next is asked for."""

    @abstractmethod
    def ask_pair(
        self, base: ServedModel, tuned: ServedModel, pair: Pair, run: RunFolder, progress: StepProgress
    ) -> None:
        """As `measure_pair`, of served models."""


class Explainer(ABC, Generic[S, C]):
    """One question about two checkpoints.

    ``name`` is its name everywhere: flag, part, key, address; ``title`` the heading of its page. ``needs`` are the
    explainers whose changes it is handed; without them there is no change. ``uses`` are those whose changes it is
    handed where they are there. ``always_told`` are the kinds of findings that the summary tells even where
    nothing is claimed. ``command`` is the command that measures it, where that is not ``aftertune compare``.
    ``absent`` is what a report says where it was not measured. ``reads_prompts`` says that it needs prompts,
    ``reads_weights`` that checkpoints must be alike layer by layer, ``needs_room`` that it can leave no prompt out that
    is too long for the models' context. ``names_parts`` says that it names heads or directions (`names`).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    settings: type[S]
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    always_told: ClassVar[tuple[str, ...]] = ()
    command: ClassVar[str] = ""
    absent: ClassVar[str] = ""
    reads_prompts: ClassVar[bool] = False
    reads_weights: ClassVar[bool] = False
    needs_room: ClassVar[bool] = False
    names_parts: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, settings: S, inputs: Inputs) -> Work:
        """What was asked, made ready; raises `AftertuneError` for what can't be used (words, layers, routes)."""

    def prepare_served(self, settings: S, inputs: Inputs) -> ServedWork | None:
        """As `prepare`, for models behind servers; by default None: it needs weights, and is left out."""
        return None

    @abstractmethod
    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds anything of it."""

    @abstractmethod
    def change(self, held: Held, pair: Pair, settings: S, needs: Mapping[str, Any]) -> C | None:
        """What the run holds of two models, compared; None where it holds nothing.

        ``settings`` count as far as their scope is "change". ``needs`` has the changes that `needs` names, and
        those of `uses` that are there.
        Raises `RunError` for what is not complete or damaged.
        """

    @abstractmethod
    def questions(self, change: C) -> Sequence[Question]:
        """What a report asks of a change, in the order of its findings."""

    @abstractmethod
    def section(self, change: C) -> Section:
        """The part of a report on a change: tables, figures, a page."""

    def names(self, held: Held, pair: Pair) -> Sequence[Named]:
        """The heads or directions of a pair that it names, each once, in the order in which it tells them.

        From the parts of a run alone. Raises `RunError` for what is not complete or damaged.
        """
        return ()

    def write(self, changes: Sequence[C], run: RunFolder) -> None:
        """Write what belongs beside the report, once for all pairs of a run: by default nothing."""

    def measures(self, change: C) -> Sequence[Measure]:
        """The few numbers that say how much changed, for a table of many pairs."""
        return ()

    def evidence(self, change: C) -> Sequence[str]:
        """What somebody who is to name the tuning is shown, a line each: of "the first" model and "the second".

        No names, nothing on what was found to hold, and the same kind of lines whatever was found: it is shown blind.
        """
        return ()

    def stages(self, changes: Sequence[C], models: Sequence[str]) -> Section:
        """The part of a report on several models: by default the tables of each pair, one below the other."""
        from aftertune.report.section import joined_sections

        pairs = [f"{getattr(one, 'base', '')} → {getattr(one, 'tuned', '')}" for one in changes]
        return joined_sections(dict(zip(pairs, map(self.section, changes), strict=True)))
