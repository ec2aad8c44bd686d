"""The figures about attention heads: one chart definition each, from which the page, the SVG and the PNG are made.

1. `layers_chart`: figure 2, how far the lists of base and tuned lie apart, by layer group, with the controls beside.
2. `heads_chart`: the same distance head by head, layers down and heads across.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.explainers.heads.tables import figure2_rows
from aftertune.report.colours import ramp
from aftertune.report.figures import Spec, styled

Row = Mapping[str, Any]

# Of the lists as read and of each kind of control, which must not stand out on white nor on black.
COLOURS = ["#7463d6", "#8a8f98", "#a58a4b"]
SHAPES = ["circle", "diamond", "square"]
FILLS = ["#7463d6", "transparent", "transparent"]
OPACITIES = [1.0, 0.65, 0.65]
CELL = 13
EVERY_LABEL = 32


def layers_chart(rows: Sequence[Row]) -> Spec:
    """Figure 2: mean distance by layer group at both levels, with 95% intervals; controls are pale and hollow."""
    values = [_point(row) for row in figure2_rows(rows) if row["distance"]["mean"] is not None]
    groups = list(dict.fromkeys(row["layers"] for row in rows))
    lists = list(dict.fromkeys(row["lists"] for row in values))
    plain = alt.Chart(alt.NamedData(name="figure2")).encode(
        x=alt.X("layers:N", sort=groups, title="layers", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("lists:N", sort=lists, scale=alt.Scale(paddingInner=0.4)),
        color=alt.Color("lists:N", scale=_scale(lists, COLOURS), title="lists"),
    )
    marks = plain.mark_point(size=70, strokeWidth=2).encode(
        y=alt.Y("distance:Q", title="distance, 1 − M", scale=alt.Scale(domainMin=0)),
        shape=alt.Shape("lists:N", scale=_scale(lists, SHAPES), title="lists"),
        fill=alt.Fill("lists:N", scale=_scale(lists, FILLS), title="lists"),
        opacity=alt.Opacity("lists:N", scale=_scale(lists, OPACITIES), title="lists"),
    )
    ranges = plain.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q")
    panels = alt.layer(ranges, marks).properties(width=52 * len(groups), height=190)
    facet = alt.Facet("level:N", sort=["head", "neuron pair"], title=None)
    return styled(panels.facet(facet=facet, columns=2), {"figure2": values})


def heads_chart(rows: Sequence[Row], layers: Sequence[int], n_heads: int) -> Spec:
    """The distance of every head's list; a head without a pair in either model is an empty place."""
    values = [{key: row[key] for key in ("layer", "head", "distance")} for row in rows if row["distance"] is not None]
    top = max((value["distance"] for value in values), default=0) or 1.0
    scale = alt.Scale(type="quantize", domain=[0, top], range=ramp())
    chart = (
        alt.Chart(alt.NamedData(name="heads"))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=_axis(alt.X, "head", list(range(n_heads))),
            y=_axis(alt.Y, "layer", list(layers)),
            color=alt.Color("distance:Q", scale=scale, title="distance, 1 − M", legend=alt.Legend(format=".2f")),
        )
        .properties(width=CELL * n_heads, height=CELL * len(layers))
    )
    return styled(chart, {"heads": values})


def _scale(lists: Sequence[str], values: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(lists), range=[values[min(n, len(values) - 1)] for n in range(len(lists))])


def _point(row: Row) -> dict[str, Any]:
    low, high = row["interval"] or (None, None)
    return {key: row[key] for key in ("level", "layers", "lists")} | {
        "distance": row["distance"]["mean"],
        "low": low,
        "high": high,
    }


def _axis(channel: Any, name: str, numbers: list[int]) -> Any:
    """A band for each number, every one labelled, or every fourth where there are many."""
    shown = numbers if len(numbers) < EVERY_LABEL else numbers[::4]
    look: dict[str, Any] = {"ticks": False, "domain": False, "labelAngle": 0, "labelFontSize": 9}
    axis = alt.Axis(values=shown, orient="top" if channel is alt.X else "left", **look)
    return channel(f"{name}:O", title=name, scale=alt.Scale(domain=numbers), axis=axis)
