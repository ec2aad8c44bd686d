"""LOCAL: which prompt tokens does each response token depend on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.explainer import Explainer, Inputs, ServedWork, Work

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import AttributionChange
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class AttributionExplainer(Explainer[AttributionSettings, "AttributionChange"]):
    """Do responses use their instructions more densely after tuning?  (Sections 4.1 to 4.3.)"""

    name = "attribution"
    title = "Attribution"
    settings = AttributionSettings
    always_told = ("attribution.faithfulness", "attribution.read_first")
    absent = "How responses depend on their prompts was not measured."
    reads_prompts = True
    needs_room = True

    def prepare(self, settings: AttributionSettings, inputs: Inputs) -> Work:
        """Attribution of the responses to all prompts; raises `AttributionError` for an unknown template."""
        from aftertune.explainers.attribution.measure import AttributionWork

        return AttributionWork(settings, inputs)

    def prepare_served(self, settings: AttributionSettings, inputs: Inputs) -> ServedWork:
        """The same by removal alone; raises `AttributionError` for what a server can't be asked."""
        from aftertune.explainers.attribution.work.served import ServedAttributionWork

        return ServedAttributionWork(settings, inputs)

    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds any attribution."""
        from aftertune.explainers.attribution.reading import SETTINGS

        return run.exists(SETTINGS)

    def change(
        self,
        held: Held,
        pair: Pair,
        settings: AttributionSettings,  # noqa: ARG002
        needs: Mapping[str, Any],  # noqa: ARG002
    ) -> AttributionChange | None:
        """How two models of a run differ in their use of prompts, with what people said of their responses."""
        from aftertune.explainers.attribution.reading import (
            beyond_base,
            compare_readings,
            read_attribution,
            read_shared,
        )

        if not self.is_in(held.run):
            return None
        base, tuned = (read_attribution(held, role) for role in pair)
        shared = read_shared(held.run, pair, [prompt.id for prompt in tuned.prompts])
        return compare_readings(base, tuned, shared, len(beyond_base(held.run, pair)))

    def questions(self, change: AttributionChange) -> Sequence[Question]:
        """Is the instruction used more densely, and by responses that follow it? Then what is seen without a test."""
        from aftertune.explainers.attribution.findings import questions

        return questions(change)

    def section(self, change: AttributionChange) -> Section:
        """Tables 1 and 2, figure 6, the scores, and every prompt with its maps."""
        from aftertune.explainers.attribution.page import section

        return section(change)

    def write(self, changes: Sequence[AttributionChange], run: RunFolder) -> None:
        """Write the maps of all models as one Parquet file, ``maps.parquet``."""
        from aftertune.explainers.attribution.map_file import write_maps

        maps = {(one.model, one.dataset, one.id): one for change in changes for one in change.maps}
        write_maps(list(maps.values()), run.path("maps.parquet"))

    def measures(self, change: AttributionChange) -> Sequence[Measure]:
        """The change of the instruction's density."""
        from aftertune.explainers.attribution.findings import measures

        return measures(change)

    def stages(self, changes: Sequence[AttributionChange], models: Sequence[str]) -> Section:
        """The same tables with a column for each model and each pair."""
        from aftertune.explainers.attribution.stages import stages

        return stages(changes, models)
