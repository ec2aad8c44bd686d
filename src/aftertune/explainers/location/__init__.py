"""WHERE: which layers and modules carry the change?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.explainer import Explainer, Inputs, Work
from aftertune.explainers.location.settings import LocationSettings

if TYPE_CHECKING:
    from aftertune.explainers.location.change import LocationChange
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class LocationExplainer(Explainer[LocationSettings, "LocationChange"]):
    """Which layers and modules carry what tuning changed?  By the size of the change, and by swapping modules."""

    name = "location"
    title = "Location"
    settings = LocationSettings
    always_told = ("location.where",)
    absent = "It was not measured which layers and modules carry the change."
    reads_prompts = True
    reads_weights = True

    def prepare(self, settings: LocationSettings, inputs: Inputs) -> Work:
        """Settings and prompts together; nothing of them can be wrong yet."""
        from aftertune.explainers.location.measure import LocationWork

        return LocationWork(settings, inputs)

    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds the location of a change."""
        return run.exists("location.json")

    def change(self, held: Held, pair: Pair, settings: LocationSettings, needs: Mapping[str, Any]) -> LocationChange:  # noqa: ARG002
        """Sizes and swaps of two models, with their intervals."""
        from aftertune.explainers.location.compare import compare_location
        from aftertune.explainers.location.named.result import read_named
        from aftertune.explainers.location.result import SETTINGS, read_measured
        from aftertune.runs.records import identity_of

        names = (held.names[pair.base], held.names[pair.tuned])
        about = identity_of(held.run, SETTINGS, dict[str, Any])
        measured, named = read_measured(held.run, pair), read_named(held.run, pair)
        return compare_location(measured, *names, about, named)

    def questions(self, change: LocationChange) -> Sequence[Question]:
        """Where half of the change sits, whether single shares add up, how large it is and of which rank."""
        from aftertune.explainers.location.findings import questions

        return questions(change)

    def section(self, change: LocationChange) -> Section:
        """A grid of layers and modules, the cumulative shares, and their numbers."""
        from aftertune.explainers.location.show import section

        return section(change)

    def measures(self, change: LocationChange) -> Sequence[Measure]:
        """The size of the change over all weights."""
        from aftertune.statistics.finding import Measure

        return (
            Measure(
                name="relative_change",
                title="Change of weights, %",
                kind="percent",
                value=change.total.relative_change,
                what="the weights",
                phrase="the weights changed by {value:.2%} of their norm",
            ),
        )
