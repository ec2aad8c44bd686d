"""What would an annotator call the tuning?  It sees what both models say, blind, and may abstain.

Asked by `aftertune annotate` of a finished run; a report shows what came last. It is told only where repeats agree.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.explainers.explainer import Explainer, Inputs, Work

if TYPE_CHECKING:
    from aftertune.explainers.annotation.naming.result import NamingChange
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.questions import Question


class NamingExplainer(Explainer[AnnotationSettings, "NamingChange"]):
    """The name of the tuning, as an annotator gives it."""

    name, title, settings = "naming", "Name of the tuning", AnnotationSettings
    command = "aftertune annotate"

    def prepare(self, settings: AnnotationSettings, inputs: Inputs) -> Work:  # noqa: ARG002
        """Raises `AnnotationError`: an annotator is asked about a finished run, not while models are measured."""
        raise AnnotationError(
            "A tuning is named after its models were compared, not within a comparison. Compare first, then annotate "
            "its run (aftertune annotate RUN --name-only)."
        )

    def is_in(self, run: "RunFolder") -> bool:
        """Whether an annotator was asked for a name."""
        from aftertune.explainers.annotation.naming.result import TUNING

        return run.exists(TUNING)

    def change(
        self,
        held: "Held",
        pair: "Pair",
        settings: AnnotationSettings,  # noqa: ARG002
        needs: Mapping[str, Any],  # noqa: ARG002
    ) -> "NamingChange | None":
        """What the run's newest annotator called the tuning of a pair; None where it was not asked about it."""
        from aftertune.explainers.annotation.naming.result import NamingChange, read_names

        found = held.once("names of the tuning", lambda: read_names(held.run)).get("-".join(pair))
        if found is None:
            return None
        lists = {name: tuple(found[name]) for name in ("answers", "evidence")}
        return NamingChange(held.names[pair.base], held.names[pair.tuned], **(found | lists))

    def questions(self, change: "NamingChange") -> "Sequence[Question]":
        """What did the annotator call it?"""
        from aftertune.explainers.annotation.naming.findings import questions

        return questions(change)

    def section(self, change: "NamingChange") -> "Section":
        """The names of all repeats, and what the annotator was shown."""
        from aftertune.explainers.annotation.naming.show import section

        return section(change)
