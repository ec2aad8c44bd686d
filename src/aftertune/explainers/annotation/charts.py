"""The figures about an annotator's descriptions, of two models or of more.

1. Figure 3: the share of each linguistic level over groups of layers.
2. Figure 7: the share of components that could be described over bands of ranks, by group of layers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.explainers.annotation.category_shares import Figure3Row, Figure7Row
from aftertune.report.chart_style import Spec, model_scale, styled
from aftertune.report.colours import DASHES, MODELS, SHAPES
from aftertune.report.figure import Figure
from aftertune.statistics.spread import POOLED, Spread

Point = Mapping[str, Any]

TITLE3 = "Figure 3. Linguistic levels by depth"
TITLE7 = "Figure 7. How many components could be described, by depth and rank"
CAPTION3 = (
    "For neighbouring layers, counted from 0: the share of their described components that are of each linguistic "
    "level. A mark is the mean over the annotator's repeats, the line through it one standard deviation to either "
    "side. Each level has its own scale. The CSV has the numbers."
)
CAPTION7 = (
    "The share of components that could be described, by rank: 1 is the component with the most variance. A panel is a "
    "group of neighbouring layers, or all of them; marks are means over the annotator's repeats, the line through each "
    "one standard deviation to either side. Where the curve falls, later components say less in words."
)


def level_figure(rows: Sequence[Figure3Row], models: Sequence[str]) -> Figure:
    """Figure 3."""
    empty = "There is no figure 3: no component has a linguistic level."
    return Figure("figure3", TITLE3, CAPTION3, levels_chart(rows, models), "figure3", empty)


def interpreted_figure(rows: Sequence[Figure7Row], models: Sequence[str]) -> Figure:
    """Figure 7."""
    empty = "There is no figure 7: no component has a usable answer."
    return Figure("figure7", TITLE7, CAPTION7, interpreted_chart(rows, models), "figure7", empty)


def levels_chart(rows: Sequence[Figure3Row], models: Sequence[str]) -> Spec | None:
    """Figure 3: a panel for each level, on its own scale, since nearly all components are of one of them."""
    known = [row for row in rows if row.share.mean is not None]
    values = [{"model": row.model, "layers": row.layers, "level": row.level} | _around(row.share) for row in known]
    layers = _lines("figure3", "layers", _in_order(values, "layers"), models)
    facet = alt.Facet("level:N", sort=_in_order(values, "level"), title=None)
    panels = layers.properties(width=190, height=110).facet(facet=facet, columns=2).resolve_scale(y="independent")
    return styled(panels, {"figure3": values}) if values else None


def interpreted_chart(rows: Sequence[Figure7Row], models: Sequence[str]) -> Spec | None:
    """Figure 7: a panel for each group of layers and one for all; ranks in bands, largest variance first."""
    known = [row for row in rows if row.ranks != POOLED and row.share.mean is not None]
    values = [
        {"model": row.model, "ranks": row.ranks} | _around(row.share) | {"layers": _named(row.layers)} for row in known
    ]
    layers = _lines("figure7", "ranks", _in_order(values, "ranks"), models)
    facet = alt.Facet("layers:N", sort=_in_order(values, "layers"), title=None)
    panels = layers.properties(width=130, height=90).facet(facet=facet, columns=3)
    return styled(panels, {"figure7": values}) if values else None


def _lines(data: str, across: str, order: Sequence[str], names: Sequence[str]) -> Any:
    """A line for each model through its means, with one standard deviation to either side."""
    plain = alt.Chart(alt.NamedData(name=data)).encode(
        x=alt.X(f"{across}:N", sort=list(order), title=across, axis=alt.Axis(labelAngle=-45)),
        color=alt.Color("model:N", scale=model_scale(names, MODELS), title=None),
    )
    share = alt.Y("share:Q", title="share of components", axis=alt.Axis(format=".0%", tickCount=4))
    dash = alt.StrokeDash("model:N", scale=model_scale(names, DASHES), title=None)
    shape = alt.Shape("model:N", scale=model_scale(names, SHAPES), title=None)
    line = plain.mark_line(strokeWidth=2).encode(y=share, strokeDash=dash)
    points = plain.mark_point(size=34, filled=True, opacity=1).encode(y=share, shape=shape)
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", scale=alt.Scale(domainMin=0)), y2="high:Q")
    return alt.layer(ranges, line, points)


def _named(layers: str) -> str:
    return "all layers" if layers == POOLED else f"layer{'s' if '-' in layers else ''} {layers}"


def _in_order(values: Sequence[Point], key: str) -> list[str]:
    return list(dict.fromkeys(value[key] for value in values))


def _around(share: Spread) -> dict[str, float]:
    mean, std = share.mean or 0.0, share.std or 0.0
    return {"share": mean, "low": max(0.0, mean - std), "high": min(1.0, mean + std)}
