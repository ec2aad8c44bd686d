"""GLOBAL: which concepts do the feed-forward layers write?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.explainers.explainer import Explainer, Inputs, Work

if TYPE_CHECKING:
    from aftertune.explainers.concepts.change import ConceptChange
    from aftertune.explainers.concepts.result import ConceptReading
    from aftertune.explainers.named import Named
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class ConceptExplainer(Explainer[ConceptSettings, "ConceptChange"]):
    """The feed-forward layers of two checkpoints as principal components with words, compared."""

    name = "concepts"
    title = "Concepts"
    settings = ConceptSettings
    uses = ("location",)
    always_told = ("concepts.written", "concepts.rotation")
    absent = "Feed-forward layers were not read: there are no figure 8 and no components to look at."
    reads_weights = True
    names_parts = True

    def prepare(self, settings: ConceptSettings, inputs: Inputs) -> Work:  # noqa: ARG002
        """The words, loaded; raises `WordError` for words that can't be used."""
        from aftertune.explainers.concepts.measure import ConceptWork
        from aftertune.words import load_words

        return ConceptWork(settings, load_words(settings.words))

    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds the concepts of any model."""
        from aftertune.explainers.concepts.result import CONCEPTS

        return bool(CONCEPTS.roles(run))

    def change(
        self,
        held: Held,
        pair: Pair,
        settings: ConceptSettings,  # noqa: ARG002
        needs: Mapping[str, Any],
    ) -> ConceptChange | None:
        """The readings of two models and the change of their weights; None where the run has no concepts.

        Beside a module stands what it brings by itself, where ``needs`` has "location".

        Raises `RunError` if those of either are not there, not complete, or damaged.
        """
        from aftertune.explainers.concepts.change import compare_concepts
        from aftertune.explainers.concepts.pair_parts import saved_change, saved_noise

        if not self.is_in(held.run):
            return None
        base, tuned = (_reading(held, role) for role in pair)
        located = getattr(needs.get("location"), "singles", ())
        brings = {(row.layer, row.module): row.brings for row in located if row.layer is not None}
        weights = saved_change(held.run, pair, base.layers)
        return compare_concepts(base, tuned, noise=saved_noise(held.run, pair, base), weights=weights, brings=brings)

    def names(self, held: Held, pair: Pair) -> Sequence[Named]:
        """The directions of the change that have words, those beyond noise of the same size first."""
        from aftertune.explainers.concepts.pair_parts import saved_change, saved_noise
        from aftertune.explainers.concepts.written import named_directions, written_rows

        base = _reading(held, pair.base)
        weights = saved_change(held.run, pair, base.layers)
        if weights is None:
            return ()
        has_noise = bool(saved_noise(held.run, pair, base))
        rows, _ = written_rows(weights["written"], weights["chance"], base.layers, {}, has_noise)
        return named_directions(rows)

    def questions(self, change: ConceptChange) -> Sequence[Question]:
        """What a report asks of feed-forward layers."""
        from aftertune.explainers.concepts.findings import questions

        return questions(change)

    def section(self, change: ConceptChange) -> Section:
        """The page on feed-forward layers."""
        from aftertune.explainers.concepts.show import section

        return section(change)

    def evidence(self, change: ConceptChange) -> Sequence[str]:
        """The words that the change of weights writes."""
        from aftertune.explainers.concepts.written_findings import evidence

        return evidence(change.written)

    def measures(self, change: ConceptChange) -> Sequence[Measure]:
        """How far spaces and well separated components rotated, and the words kept, over all layers."""
        from aftertune.explainers.concepts.findings import measures

        return measures(change)

    def stages(self, changes: Sequence[ConceptChange], models: Sequence[str]) -> Section:
        """Figure 8 with a line for each model, rotation with a line for each pair, and the tables of all."""
        from aftertune.explainers.concepts.show import section_of_stages

        return section_of_stages(changes, models)


def _reading(held: Held, role: str) -> ConceptReading:
    from aftertune.explainers.concepts.result import reading_in

    return held.once(("concepts", role), lambda: reading_in(held.run, role, held.names[role]))
