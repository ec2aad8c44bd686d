"""The figures about feed-forward networks.

1. `figure8_figure`: the share of variance that the first components of each model explain together.
2. `angles_figure`: how far the components of each network rotated, and how far the space that they span did.
3. `rotation_figure`: how far well separated components rotated, by group of layers, a line for each pair of models.

A chart is None where there is nothing to draw.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.explained_variance import Figure8Row
from aftertune.explainers.concepts.network_rotation import RotationRow
from aftertune.report.chart_style import Spec, model_scale, styled
from aftertune.report.colours import DASHES, DATASETS, GREY, MODELS, SHAPES
from aftertune.report.figure import Figure
from aftertune.statistics.spread import Spread

Point = dict[str, Any]

ANGLES = {
    "mean_principal_angle": "spaces",
    "mean_component_angle": "all components",
    "mean_separated_angle": "well separated ones",
}
COLOURS = ["#7463d6", "#0f8a70", "#a58a4b"]
# Without its own opacity and stroke the legend would show the pale band instead of the line.
LEGEND: dict[str, Any] = {"labelLimit": 320, "symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 2}
LONG_LEGEND: dict[str, Any] = {"labelLimit": 400, "columns": 1, "symbolOpacity": 1}
MOST_TICKS = 12


def figures(change: ConceptChange) -> tuple[Figure, ...]:
    """Both figures on two models."""
    return (
        figure8_figure(change.figure8, (change.base, change.tuned), change.n_components),
        angles_figure(change),
    )


def angles_figure(change: ConceptChange) -> Figure:
    """Mean angles of each network."""
    return Figure(
        name="angles",
        title="How far components rotated, layer by layer",
        caption=(
            "One mark for each network and kind of angle, and a line through the mean of each layer, counted from "
            "0. Spaces: what all components that were read span together. All components: the angle of a component "
            "and its best match; it is also large where components of about equal variance mixed. Well separated "
            "ones cannot mix so easily. Where only the angle of all components is large, components were mixed "
            "rather than replaced."
        ),
        chart=angles_chart(change.networks.to_dicts()),
        table="networks",
        empty="There is no figure of angles: no network has components in both models.",
    )


def figure8_figure(rows: Sequence[Figure8Row], models: Sequence[str], n_components: int) -> Figure:
    """Figure 8, a line for each model."""
    return Figure(
        name="figure8",
        title="Figure 8. Accumulated variance",
        caption=(
            "The share of the variance of a network's neurons that its first components explain together: mean over "
            "networks, and a band of one standard deviation to either side. A line that rises slowly says that the "
            "neurons write in many directions. A dotted line marks how many components of each network were read, "
            "where it was not all of them. The CSV has the numbers of the lines."
        ),
        chart=variance_chart(rows, models, n_components),
        table="figure8",
        empty="There is no figure 8: no network has a variance to share out.",
    )


def rotation_figure(pairs: Mapping[str, Sequence[RotationRow]]) -> Figure:
    """Rotation by depth, a line for each of several pairs of models."""
    return Figure(
        name="angles",
        title="How far components rotated, by depth",
        caption=(
            "The mean angle between a well separated component and its best match, by group of neighbouring layers, "
            "counted from 0, for each pair of models; the line through a mark is one standard deviation to either side."
        ),
        chart=rotation_chart(pairs),
        table="rotation",
        empty="There is no figure of angles: no network has well separated components.",
    )


def variance_chart(rows: Sequence[Figure8Row], models: Sequence[str], n_components: int) -> Spec | None:
    """Figure 8: mean over networks and a band of one standard deviation; dotted, how many were read, if not all."""
    values = [_variance_point(row) for row in rows if row.accumulated.mean is not None]
    if not values:
        return None
    colour = model_scale(models, MODELS)
    plain = alt.Chart(alt.NamedData(name="figure8")).encode(
        x=alt.X("rank:Q", title="number of components, largest first", scale=alt.Scale(nice=False)),
        color=alt.Color("model:N", scale=colour, title=None, legend=alt.Legend(**LEGEND)),
    )
    axis = alt.Axis(format=".0%")
    band = plain.mark_area(opacity=0.16, strokeWidth=0, clip=True).encode(
        y=alt.Y("low:Q", title="accumulated share of variance", axis=axis, scale=alt.Scale(domainMin=0)), y2="high:Q"
    )
    dash = alt.StrokeDash("model:N", scale=model_scale(models, DASHES), title=None)
    line = plain.mark_line(strokeWidth=2).encode(y="mean:Q", strokeDash=dash)
    read = alt.Chart(alt.NamedData(name="read")).mark_rule(strokeDash=[2, 3], color=GREY).encode(x="rank:Q")
    layers = alt.layer(read, band, line).properties(width=330, height=210)
    is_part = any(value["rank"] > n_components for value in values)
    return styled(layers, {"figure8": values, "read": [{"rank": n_components}] if is_part else []})


def angles_chart(networks: Sequence[Mapping[str, Any]]) -> Spec | None:
    """Mean angles of each network by layer, of spaces and of components; a line is the mean over experts."""
    values = list(_angle_points(networks))
    if not values:
        return None
    names = list(ANGLES.values())
    layers = sorted({row["layer"] for row in networks})
    colour = alt.Scale(domain=names, range=COLOURS)
    plain = alt.Chart(alt.NamedData(name="angles")).encode(
        x=alt.X("layer:Q", title="layer", axis=alt.Axis(values=_ticks(layers), format="d"), scale=_around(layers)),
        color=alt.Color("angle of:N", scale=colour, title="angle of", legend=alt.Legend(symbolStrokeWidth=0)),
    )
    dash = alt.StrokeDash("angle of:N", scale=model_scale(names, DASHES), legend=None)
    shape = alt.Shape("angle of:N", scale=model_scale(names, SHAPES), title="angle of")
    line = plain.mark_line(strokeWidth=2).encode(y=alt.Y("mean(degrees):Q"), strokeDash=dash)
    points = plain.mark_point(size=34, filled=True, opacity=0.9).encode(
        y=alt.Y("degrees:Q", title="mean angle, degrees", scale=alt.Scale(domainMin=0)), shape=shape
    )
    return styled(alt.layer(points, line).properties(width=330, height=210), {"angles": values})


def rotation_chart(pairs: Mapping[str, Sequence[RotationRow]]) -> Spec | None:
    """Mean angle of well separated components by group of layers, one standard deviation to either side.

    ``pairs`` are the rows of each pair of models, by its name.
    """
    groups = [(pair, row) for pair, rows in pairs.items() for row in rows if not row.pooled]
    known = [(pair, row) for pair, row in groups if row.separated_angle.mean is not None]
    values = [{"pair": pair, "layers": row.layers} | _deviating(row.separated_angle) for pair, row in known]
    if not values:
        return None
    names, order = list(pairs), list(dict.fromkeys(row.layers for _, row in groups))
    plain = alt.Chart(alt.NamedData(name="rotation")).encode(
        x=alt.X("layers:N", sort=order, title="layers", axis=alt.Axis(labelAngle=0, labelLimit=160)),
        xOffset=alt.XOffset("pair:N", sort=names, scale=alt.Scale(paddingInner=0.6, paddingOuter=1)),
        color=alt.Color("pair:N", scale=model_scale(names, DATASETS), title=None, legend=alt.Legend(**LONG_LEGEND)),
    )
    mean = alt.Y("mean:Q", title="mean angle, degrees", scale=alt.Scale(zero=False))
    dash = alt.StrokeDash("pair:N", scale=model_scale(names, DASHES))
    line = plain.mark_line(strokeWidth=2).encode(y=mean, strokeDash=dash)
    shape = alt.Shape("pair:N", scale=model_scale(names, SHAPES))
    marks = plain.mark_point(size=60, filled=True, opacity=1).encode(y=mean, shape=shape)
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    chart = alt.layer(ranges, line, marks).properties(width=max(220, 90 * len(order)), height=210)
    return styled(chart, {"rotation": values})


def _ticks(layers: Sequence[int]) -> list[int]:
    return list(layers[:: -(-len(layers) // MOST_TICKS)])


def _around(layers: Sequence[int]) -> alt.Scale:
    return alt.Scale(domain=[layers[0] - 0.5, layers[-1] + 0.5], nice=False)


def _variance_point(row: Figure8Row) -> Point:
    mean, std = row.accumulated.mean or 0.0, row.accumulated.std or 0.0
    return {"model": row.model, "rank": row.rank, "mean": mean, "low": mean - std, "high": mean + std}


def _angle_points(networks: Iterable[Mapping[str, Any]]) -> Iterable[Point]:
    for row in networks:
        for key, name in ANGLES.items():
            if row[key] is not None:
                yield {"layer": row["layer"], "expert": row["expert"], "angle of": name, "degrees": row[key]}


def _deviating(angle: Spread) -> Point:
    mean, deviation = angle.mean or 0.0, angle.std or 0.0
    return {"mean": mean, "low": max(0.0, mean - deviation), "high": mean + deviation}
