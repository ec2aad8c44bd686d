"""The figures about attention heads: one chart definition each, from which the page, the SVG and the PNG are made.

1. `layers_chart`: figure 2, how far the lists of base and tuned lie apart, by layer group, with the controls beside.
2. `heads_chart`: the same distance head by head, layers down and heads across.
3. `pairs_chart`: figure 2 with a line for each of several pairs of models.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from aftertune.explainers.heads.change import HEAD_LEVEL, NEURON_LEVEL, Figure2Row
from aftertune.report.chart_style import Spec, model_scale, styled
from aftertune.report.colours import DASHES, DATASETS, ramp
from aftertune.report.colours import SHAPES as LINE_SHAPES

# Of the lists as read and of each kind of control, which must not stand out on white nor on black.
COLOURS = ["#7463d6", "#8a8f98", "#a58a4b"]
SHAPES = ["circle", "diamond", "square"]
FILLS = ["#7463d6", "transparent", "transparent"]
OPACITIES = [1.0, 0.65, 0.65]
CELL = 13
EVERY_LABEL = 32
DISTANCE = "distance, 1 − M"


def layers_chart(rows: Sequence[Figure2Row]) -> Spec | None:
    """Figure 2: mean distance by layer group at both levels, with 95% intervals; controls are pale and hollow.

    None where no list has a distance.
    """
    known = [row for row in rows if row.distance.mean is not None]
    if not known:
        return None
    groups, lists = (list(dict.fromkeys(names)) for names in ((r.layers for r in rows), (r.lists for r in known)))
    plain = alt.Chart(alt.NamedData(name="figure2")).encode(
        x=alt.X("layers:N", sort=groups, title="layers", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("lists:N", sort=lists, scale=alt.Scale(paddingInner=0.4)),
        color=alt.Color("lists:N", scale=_scale(lists, COLOURS), title="lists"),
    )
    marks = plain.mark_point(size=70, strokeWidth=2).encode(
        y=alt.Y("distance:Q", title=DISTANCE, scale=alt.Scale(domainMin=0)),
        shape=alt.Shape("lists:N", scale=_scale(lists, SHAPES), title="lists"),
        fill=alt.Fill("lists:N", scale=_scale(lists, FILLS), title="lists"),
        opacity=alt.Opacity("lists:N", scale=_scale(lists, OPACITIES), title="lists"),
    )
    ranges = plain.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q")
    panels = alt.layer(ranges, marks).properties(width=52 * len(groups), height=190)
    facet = alt.Facet("level:N", sort=[HEAD_LEVEL, NEURON_LEVEL], title=None)
    return styled(panels.facet(facet=facet, columns=2), {"figure2": [_point(row) for row in known]})


def heads_chart(heads: pl.DataFrame, layers: Sequence[int], n_heads: int) -> Spec | None:
    """The distance of every head's list; an empty place is a head without any pair. None without heads."""
    if heads.is_empty():
        return None
    values = heads.drop_nulls("distance").select("layer", "head", "distance").to_dicts()
    top = max((value["distance"] for value in values), default=0) or 1.0
    scale = alt.Scale(type="quantize", domain=[0, top], range=ramp())
    chart = (
        alt.Chart(alt.NamedData(name="heads"))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=_axis(alt.X, "head", list(range(n_heads))),
            y=_axis(alt.Y, "layer", list(layers)),
            color=alt.Color("distance:Q", scale=scale, title=DISTANCE, legend=alt.Legend(format=".2f")),
        )
        .properties(width=CELL * n_heads, height=CELL * len(layers))
    )
    return styled(chart, {"heads": values})


def pairs_chart(pairs: Mapping[str, Sequence[Figure2Row]]) -> Spec | None:
    """Figure 2 of heads as read, by group of layers with 95% intervals: a line for each pair of models.

    ``pairs`` has the rows of each pair by its name. None where no list has a distance.
    """
    kept = {name: [row for row in rows if _is_in_line(row)] for name, rows in pairs.items()}
    values = [
        {"pair": name, **_point(row)} for name, rows in kept.items() for row in rows if row.distance.mean is not None
    ]
    if not values:
        return None
    names = list(dict.fromkeys(value["pair"] for value in values))
    groups = list(dict.fromkeys(row.layers for rows in kept.values() for row in rows))
    legend = alt.Legend(labelLimit=400, columns=1, symbolOpacity=1)
    plain = alt.Chart(alt.NamedData(name="figure2")).encode(
        x=alt.X("layers:N", sort=groups, title="layers", axis=alt.Axis(labelAngle=0, labelLimit=160)),
        xOffset=alt.XOffset("pair:N", sort=names, scale=alt.Scale(paddingInner=0.6, paddingOuter=1)),
        color=alt.Color("pair:N", scale=model_scale(names, DATASETS), title=None, legend=legend),
    )
    mean = alt.Y("distance:Q", title=DISTANCE, scale=alt.Scale(zero=False))
    dash = alt.StrokeDash("pair:N", scale=model_scale(names, DASHES))
    shape = alt.Shape("pair:N", scale=model_scale(names, LINE_SHAPES))
    line = plain.mark_line(strokeWidth=2).encode(y=mean, strokeDash=dash)
    marks = plain.mark_point(size=60, filled=True, opacity=1).encode(y=mean, shape=shape)
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    drawn = alt.layer(ranges, line, marks).properties(width=max(220, 90 * len(groups)), height=210)
    return styled(drawn, {"figure2": values})


def _is_in_line(row: Figure2Row) -> bool:
    return row.level == HEAD_LEVEL and not row.pooled and not row.is_control


def _scale(lists: Sequence[str], values: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(lists), range=[values[min(n, len(values) - 1)] for n in range(len(lists))])


def _point(row: Figure2Row) -> dict[str, Any]:
    low, high = row.interval or (None, None)
    names = {"level": row.level, "layers": row.layers, "lists": row.lists}
    return names | {"distance": row.distance.mean, "low": low, "high": high}


def _axis(channel: Any, name: str, numbers: list[int]) -> Any:
    """A band for each number, every one labelled, or every fourth where there are many."""
    shown = numbers if len(numbers) < EVERY_LABEL else numbers[::4]
    look: dict[str, Any] = {"ticks": False, "domain": False, "labelAngle": 0, "labelFontSize": 9}
    axis = alt.Axis(values=shown, orient="top" if channel is alt.X else "left", **look)
    return channel(f"{name}:O", title=name, scale=alt.Scale(domain=numbers), axis=axis)
