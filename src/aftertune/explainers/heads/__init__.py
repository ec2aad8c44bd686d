"""GLOBAL: which word pairs does each attention head connect?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.explainer import Explainer, Inputs, Work
from aftertune.explainers.heads.settings import HeadSettings

if TYPE_CHECKING:
    from aftertune.explainers.heads.change import HeadChange
    from aftertune.explainers.heads.result import HeadReading
    from aftertune.explainers.named import Named
    from aftertune.report.section import Section
    from aftertune.runs.held import Held
    from aftertune.runs.roles import Pair
    from aftertune.runs.run import RunFolder
    from aftertune.statistics.finding import Measure
    from aftertune.statistics.questions import Question


class HeadExplainer(Explainer[HeadSettings, "HeadChange"]):
    """Which word pairs does each attention head connect, and what did tuning change in them?  (Paper 5.1.)"""

    name = "heads"
    title = "Heads"
    settings = HeadSettings
    uses = ("location",)
    always_told = ("heads.distance",)
    absent = "Attention heads were not read: there are no figure 2 and no table 3."
    reads_weights = True
    names_parts = True

    def prepare(self, settings: HeadSettings, inputs: Inputs) -> Work:  # noqa: ARG002
        """Words, vectors and verbs made ready; raises `WordError` for those that can't be used."""
        from aftertune.explainers.heads.measure import HeadWork

        return HeadWork.of(settings)

    def is_in(self, run: RunFolder) -> bool:
        """Whether the run holds heads."""
        return run.exists("heads.json")

    def change(self, held: Held, pair: Pair, settings: HeadSettings, needs: Mapping[str, Any]) -> HeadChange | None:
        """The heads of two models compared, with the words asked about that ``settings`` name.

        Beside a layer stands what its attention brings by itself, where ``needs`` has "location".
        """
        if not self.is_in(held.run):
            return None
        from aftertune.explainers.heads.compare import compare_heads
        from aftertune.explainers.heads.result import saved_noise

        base, tuned = (_reading(held, role) for role in pair)
        verbs, name = settings.chosen_verbs
        located = getattr(needs.get("location"), "singles", ())
        brings = {row.layer: row.brings for row in located if row.module == "attention"}
        noise = saved_noise(held.run, pair, base)
        return compare_heads(base, tuned, verbs, verbs_name=name, noise=noise, brings=brings)

    def names(self, held: Held, pair: Pair) -> Sequence[Named]:
        """The heads whose gained word pairs changed most over noise; none without noise."""
        from aftertune.explainers.heads.result import saved_noise
        from aftertune.explainers.heads.strengths import named_heads, strength_rows

        base, tuned = (_reading(held, role) for role in pair)
        _, draws = saved_noise(held.run, pair, base)
        return named_heads(strength_rows(draws, base.pairs, tuned.pairs, {}))

    def questions(self, change: HeadChange) -> Sequence[Question]:
        """How far the lists lie apart, whether deeper ones do, and table 3."""
        from aftertune.explainers.heads.findings import questions

        return questions(change)

    def section(self, change: HeadChange) -> Section:
        """Figure 2, table 3, and a grid in which every head can be opened."""
        from aftertune.explainers.heads.show import section

        return section(change)

    def measures(self, change: HeadChange) -> Sequence[Measure]:
        """The share of word pairs that changed, over all layers; the control is the largest of the controls."""
        from aftertune.statistics.finding import Measure

        row, controls = change.pooled_distance()
        return (
            Measure(
                name="pairs_changed",
                title="Pairs changed, %",
                kind="percent",
                value=row.distance.mean,
                what="the word pairs of attention heads",
                phrase="{value:.1%} of the pairs of a head's lists differ",
                interval=row.interval,
                control=max((one.distance.mean for one in controls if one.distance.mean is not None), default=None),
            ),
        )

    def stages(self, changes: Sequence[HeadChange], models: Sequence[str]) -> Section:  # noqa: ARG002
        """Figure 2 with a line for each pair of models, and the pairs' tables as one each."""
        from aftertune.explainers.heads.show import stages

        return stages(changes)


def _reading(held: Held, role: str) -> HeadReading:
    """The heads of a role, read once, under the name that the report shows."""
    from aftertune.explainers.heads.result import saved_heads

    return held.once(("heads", role), lambda: saved_heads(held.run, role, held.names[role]))
