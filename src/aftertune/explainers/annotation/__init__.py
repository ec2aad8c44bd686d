"""What do the words of each component have in common?  An annotator (a chat model, people, word vectors) says it.

It is measured by a command of its own, on a run whose components were read; a report shows what came last.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.explainers.explainer import Explainer, Inputs, Work

if TYPE_CHECKING:
    from aftertune.explainers.annotation.change import AnnotationChange
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class AnnotationExplainer(Explainer[AnnotationSettings, "AnnotationChange"]):
    """Descriptions of components, the tasks that they serve, their linguistic level (appendix D.1)."""

    name, title, settings = "annotation", "Annotation", AnnotationSettings
    needs = ("concepts",)
    command = "aftertune annotate"
    absent = (
        "Nobody described the components: there are no tables 4 to 12 and no figures 3 and 7. An annotator describes "
        "them with aftertune annotate RUN."
    )

    def prepare(self, settings: AnnotationSettings, inputs: Inputs) -> Work:  # noqa: ARG002
        """Raises `AnnotationError`: an annotator is asked about a finished run, not while models are measured."""
        raise AnnotationError(
            "Components are annotated after they were read, not within a comparison. Compare first, then annotate its "
            "run (aftertune annotate RUN)."
        )

    def is_in(self, run: "RunFolder") -> bool:
        """Whether anybody annotated the run."""
        from aftertune.explainers.annotation.result import NEWEST

        return run.exists(NEWEST)

    def change(
        self,
        held: "Held",
        pair: "Pair",
        settings: AnnotationSettings,  # noqa: ARG002
        needs: Mapping[str, Any],
    ) -> "AnnotationChange | None":
        """What the run's newest annotator says of two models, compared; None where nobody annotated both of them."""
        from aftertune.explainers.annotation.change import compare_held

        return compare_held(held, pair, needs.get("concepts"))

    def questions(self, change: "AnnotationChange") -> "Sequence[Question]":
        """In which tasks and levels do the models differ, and how far is the annotator to be trusted?"""
        from aftertune.explainers.annotation.findings import questions

        return questions(change)

    def section(self, change: "AnnotationChange") -> "Section":
        """Tables 4 to 12, figures 3 and 7, and the notes on single components."""
        from aftertune.explainers.annotation.show import section

        return section(change)

    def measures(self, change: "AnnotationChange") -> "Sequence[Measure]":
        """By how much the share of components that could be described changed."""
        from aftertune.explainers.annotation.findings import measures

        return measures(change)

    def stages(self, changes: "Sequence[AnnotationChange]", models: Sequence[str]) -> "Section":
        """Figures 3 and 7 with a line for each model, the tables of all pairs below one another."""
        from aftertune.explainers.annotation.show import stages

        return stages(changes, models)
