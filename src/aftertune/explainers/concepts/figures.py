"""The figures about feed-forward networks: one chart definition each, for the page, the SVG and the PNG.

1. `variance_chart`: figure 8, the share of variance that the first components of both models explain together.
2. `angles_chart`: how far the components of each network turned, and how far the space that they span did.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.report.colours import DASHES, GREY, MODELS, SHAPES
from aftertune.report.figures import Spec, model_scale, styled

Row = Mapping[str, Any]

ANGLES = {
    "mean_principal_angle": "spaces",
    "mean_component_angle": "all components",
    "mean_separated_angle": "well separated ones",
}
COLOURS = ["#7463d6", "#0f8a70", "#a58a4b"]
# Without its own opacity and stroke the legend would show the pale band instead of the line.
LEGEND: dict[str, Any] = {"labelLimit": 320, "symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 2}
MOST_TICKS = 12


def variance_chart(rows: Sequence[Row], models: Sequence[str], n_components: int) -> Spec:
    """Figure 8: mean over networks and a band of one standard deviation; dotted, how many were read, if not all."""
    values = [_variance_point(row) for row in rows if row["accumulated"]["mean"] is not None]
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


def angles_chart(networks: Sequence[Row]) -> Spec:
    """Mean angles of each network by layer, of spaces and of components; a line is the mean over experts."""
    values = list(_angle_points(networks))
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


def _ticks(layers: Sequence[int]) -> list[int]:
    return list(layers[:: -(-len(layers) // MOST_TICKS)])


def _around(layers: Sequence[int]) -> alt.Scale:
    return alt.Scale(domain=[layers[0] - 0.5, layers[-1] + 0.5], nice=False)


def _variance_point(row: Row) -> dict[str, Any]:
    mean, std = row["accumulated"]["mean"], row["accumulated"]["std"] or 0.0
    return {key: row[key] for key in ("model", "rank")} | {"mean": mean, "low": mean - std, "high": mean + std}


def _angle_points(networks: Iterable[Row]) -> Iterable[dict[str, Any]]:
    for row in networks:
        for key, name in ANGLES.items():
            if row[key] is not None:
                yield {"layer": row["layer"], "expert": row["expert"], "angle of": name, "degrees": row[key]}
