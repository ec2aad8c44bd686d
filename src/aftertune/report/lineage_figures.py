"""The figures about several models: one chart definition each, for the page, the SVG and the PNG.

1. `stages_chart`: the score of each data set over the models in the order of their training.
2. `pairs_chart`: figure 2 with a line for each pair of models.
3. `turned_chart`: how far well separated components turned, by group of layers, a line for each pair.

Figures 3, 6, 7 and 8 are those of two models, with more lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.report.colours import DASHES, DATASETS, SHAPES, one_each
from aftertune.report.figures import Spec, shorten, styled

Row = Mapping[str, Any]

POOLED = "all"
LINE: dict[str, Any] = {"labelLimit": 400, "columns": 1, "symbolOpacity": 1}


def stages_chart(rows: Sequence[Row], models: Sequence[str]) -> Spec:
    """Mean score of each data set over the models; the line through a mark is its standard error to either side."""
    values = [
        {"model": shorten(name), "dataset": "all data sets" if row["pooled"] else row["dataset"], **_around(spread)}
        for row in rows
        for name, spread in zip(models, row["models"], strict=True)
        if spread is not None and spread["mean"] is not None
    ]
    order = [shorten(name) for name in models]
    return styled(_lines("stages", values, ("model", "model", order), "dataset", "mean score"), {"stages": values})


def pairs_chart(rows: Sequence[Row]) -> Spec:
    """Figure 2 at the level of heads: mean distance by group of layers with 95% intervals, for each pair."""
    kept = [row for row in rows if row["level"] == "head" and row["layers"] != POOLED]
    values = [
        {"pair": row["pair"], "layers": row["layers"], "mean": row["distance"]["mean"], **_ends(row["interval"])}
        for row in kept
        if row["distance"]["mean"] is not None
    ]
    across = ("layers", "layers", list(dict.fromkeys(row["layers"] for row in kept)))
    return styled(_lines("pairs", values, across, "pair", "distance, 1 − M"), {"pairs": values})


def turned_chart(rows: Sequence[Row]) -> Spec:
    """Mean angle of well separated components by group of layers, one standard deviation to either side."""
    kept = [row for row in rows if row["layers"] != POOLED]
    values = [
        {"pair": row["pair"], "layers": row["layers"], **_deviating(row["separated_angle"])}
        for row in kept
        if row["separated_angle"]["mean"] is not None
    ]
    across = ("layers", "layers", list(dict.fromkeys(row["layers"] for row in kept)))
    return styled(_lines("turned", values, across, "pair", "mean angle, degrees"), {"turned": values})


def _lines(data: str, values: Sequence[Row], across: tuple[str, str, Sequence[str]], kind: str, measure: str) -> Any:
    """A line for each kind, with a range at each of its marks."""
    names = list(dict.fromkeys(value[kind] for value in values))
    key, title, order = across

    def looks(of: Sequence[Any]) -> alt.Scale:
        return alt.Scale(domain=names, range=one_each(of, len(names)))

    plain = alt.Chart(alt.NamedData(name=data)).encode(
        x=alt.X(f"{key}:N", sort=list(order), title=title, axis=alt.Axis(labelAngle=0, labelLimit=160)),
        xOffset=alt.XOffset(f"{kind}:N", sort=names, scale=alt.Scale(paddingInner=0.6, paddingOuter=1)),
        color=alt.Color(f"{kind}:N", scale=looks(DATASETS), title=None, legend=alt.Legend(**LINE)),
    )
    mean = alt.Y("mean:Q", title=measure, scale=alt.Scale(zero=False))
    line = plain.mark_line(strokeWidth=2).encode(y=mean, strokeDash=alt.StrokeDash(f"{kind}:N", scale=looks(DASHES)))
    marks = plain.mark_point(size=60, filled=True, opacity=1).encode(
        y=mean, shape=alt.Shape(f"{kind}:N", scale=looks(SHAPES))
    )
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    return alt.layer(ranges, line, marks).properties(width=max(220, 90 * len(order)), height=210)


def _around(spread: Row) -> dict[str, float]:
    error = (spread["std"] or 0.0) / spread["n"] ** 0.5
    return {"mean": spread["mean"], "low": spread["mean"] - error, "high": spread["mean"] + error}


def _deviating(spread: Row) -> dict[str, float]:
    deviation = spread["std"] or 0.0
    return {"mean": spread["mean"], "low": max(0.0, spread["mean"] - deviation), "high": spread["mean"] + deviation}


def _ends(interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"low": low, "high": high}
