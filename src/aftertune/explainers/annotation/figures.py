"""The figures about what an annotator made of concepts: one chart definition each, for the page, the SVG and the PNG.

1. `levels_chart`: figure 3, the share of each linguistic level over groups of layers.
2. `interpreted_chart`: figure 7, the share of concepts that could be described over bands of ranks, by group of layers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.report.colours import DASHES, MODELS, SHAPES
from aftertune.report.figures import Spec, model_scale, styled

Row = Mapping[str, Any]

POOLED = "all"


def levels_chart(rows: Sequence[Row], models: Sequence[str]) -> Spec:
    """Figure 3: a panel for each level, on a scale of its own, since nearly all concepts are of one of them."""
    values = [_point(row, ("model", "layers", "level")) for row in rows if row["share"]["mean"] is not None]
    layers = _lines("figure3", "layers", "layers", _in_order(values, "layers"), models)
    facet = alt.Facet("level:N", sort=_in_order(values, "level"), title=None)
    panels = layers.properties(width=190, height=110).facet(facet=facet, columns=2).resolve_scale(y="independent")
    return styled(panels, {"figure3": values})


def interpreted_chart(rows: Sequence[Row], models: Sequence[str]) -> Spec:
    """Figure 7: a panel for each group of layers and one for all; ranks in bands, largest variance first."""
    shown = [row for row in rows if row["ranks"] != POOLED and row["share"]["mean"] is not None]
    values = [_point(row, ("model", "ranks")) | {"layers": _named(row["layers"])} for row in shown]
    layers = _lines("figure7", "ranks", "ranks", _in_order(values, "ranks"), models)
    facet = alt.Facet("layers:N", sort=_in_order(values, "layers"), title=None)
    return styled(layers.properties(width=130, height=90).facet(facet=facet, columns=3), {"figure7": values})


def _lines(data: str, across: str, title: str, order: Sequence[str], names: Sequence[str]) -> Any:
    """A line for each model through its means, with one standard deviation to either side."""
    plain = alt.Chart(alt.NamedData(name=data)).encode(
        x=alt.X(f"{across}:N", sort=list(order), title=title, axis=alt.Axis(labelAngle=-45)),
        color=alt.Color("model:N", scale=model_scale(names, MODELS), title=None),
    )
    share = alt.Y("share:Q", title="share of concepts", axis=alt.Axis(format=".0%", tickCount=4))
    dash = alt.StrokeDash("model:N", scale=model_scale(names, DASHES), title=None)
    shape = alt.Shape("model:N", scale=model_scale(names, SHAPES), title=None)
    line = plain.mark_line(strokeWidth=2).encode(y=share, strokeDash=dash)
    points = plain.mark_point(size=34, filled=True, opacity=1).encode(y=share, shape=shape)
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", scale=alt.Scale(domainMin=0)), y2="high:Q")
    return alt.layer(ranges, line, points)


def _named(layers: str) -> str:
    return "all layers" if layers == POOLED else f"layer{'s' if '-' in layers else ''} {layers}"


def _in_order(values: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(value[key] for value in values))


def _point(row: Row, keys: Sequence[str]) -> dict[str, Any]:
    mean, std = row["share"]["mean"], row["share"]["std"] or 0.0
    return {key: row[key] for key in keys} | {"share": mean, "low": max(0.0, mean - std), "high": min(1.0, mean + std)}
