"""What does the tuned model say that the base did not?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.explainer import Explainer, Inputs, Work
from aftertune.explainers.outputs.settings import OutputSettings

if TYPE_CHECKING:
    from aftertune.explainers.outputs.change import OutputChange
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class OutputExplainer(Explainer[OutputSettings, "OutputChange"]):
    """What does the tuned model say that the base did not?"""

    name = "outputs"
    title = "Outputs"
    settings = OutputSettings
    absent = "The outputs were not compared: what the tuned model says that the base did not is not known."
    reads_prompts = True

    def prepare(self, settings: OutputSettings, inputs: Inputs) -> Work:
        """The texts and prompts that both models will read."""
        from aftertune.explainers.outputs.measure import OutputWork

        return OutputWork(settings, inputs)

    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds outputs."""
        return run.exists("outputs.json")

    def change(self, held: Held, pair: Pair, settings: OutputSettings, needs: Mapping[str, Any]) -> OutputChange | None:  # noqa: ARG002
        """The outputs of two models compared; raises `RunError` for what is not complete."""
        if not self.is_in(held.run):
            return None
        from aftertune.explainers.outputs.compare import compare_outputs

        return compare_outputs(held.run, pair, (held.names[pair.base], held.names[pair.tuned]))

    def questions(self, change: OutputChange) -> Sequence[Question]:
        """Words, responses and behaviour, corrected together with the rest of the report."""
        from aftertune.explainers.outputs.findings import questions

        return questions(change)

    def section(self, change: OutputChange) -> Section:
        """Tables of words and behaviour, and the answers token by token."""
        from aftertune.explainers.outputs.show import section

        return section(change)

    def evidence(self, change: OutputChange) -> Sequence[str]:
        """Behaviour, openings, words, answers and samples of both models, the largest differences first."""
        from aftertune.explainers.outputs.evidence import evidence

        return evidence(change)

    def measures(self, change: OutputChange) -> Sequence[Measure]:
        """The total variation of the probabilities of the next token."""
        from aftertune.statistics.finding import Measure

        return (
            Measure(
                name="outputs_moved",
                title="Outputs moved, %",
                kind="percent",
                value=change.moved,
                what="the next token",
                phrase="{value:.1%} of the probability of the next token moved",
            ),
        )
