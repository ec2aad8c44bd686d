"""The figures: one chart definition each, from which the page, the SVG and the PNG are made.

1. `quarters_chart`: figure 6, where in a sentence the densities lie, per data set and model.
2. `scores_chart`: each prompt's score under the base (across) and the tuned model (up).
3. `map_chart`, `pair_chart`: figure 1, the levels of one prompt's map, and of both models' maps one above the other.

Models differ in colour, dash and mark, so that no figure is read by colour alone.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from aftertune.report.colours import BASE, DATASETS, GREY, TUNED, ramp
from aftertune.report.prompts import prompt_texts, response_texts
from aftertune.results.maps import SalientMap
from aftertune.results.sparsify import N_LEVELS

Row = Mapping[str, Any]
QUARTER_NAMES = ["first", "second", "third", "last"]
EVEN_SHARE = 0.25
FONT = "Arial, Helvetica, sans-serif"
CELL = 9
LONGEST_LABELLED = 120
LONGEST_LABEL = 24


def quarters_chart(rows: Sequence[Row], base: str, tuned: str) -> alt.TopLevelMixin:
    """Figure 6: share of the prompt's density in each quarter of a sentence; the dotted line is an even share."""
    values = [
        {"dataset": row["dataset"], "model": row["model"], "quarter": name, "share": share}
        for row in rows
        for name, share in zip(QUARTER_NAMES, row["quarters"], strict=True)
    ]
    models = {"domain": [base, tuned], "range": [BASE, TUNED]}
    chart = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("quarter:N", sort=QUARTER_NAMES, title="quarter of the sentence", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="share of density", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%")),
        color=alt.Color("model:N", scale=alt.Scale(**models), title=None),
        shape=alt.Shape("model:N", scale=alt.Scale(domain=[base, tuned], range=["circle", "triangle-up"]), title=None),
    )
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=[base, tuned], range=[[1, 0], [6, 3]]), title=None)
    line = chart.mark_line(strokeWidth=2).encode(strokeDash=dash)
    even = chart.mark_rule(strokeDash=[1, 3], color=GREY).encode(
        x=alt.Undefined, y=alt.datum(EVEN_SHARE), color=alt.Undefined, shape=alt.Undefined
    )
    panels = alt.layer(even, line, chart.mark_point(size=60, filled=True, opacity=1)).properties(width=210, height=180)
    columns = min(3, len({row["dataset"] for row in rows}))
    return _styled(panels.facet(facet=alt.Facet("dataset:N", title=None), columns=columns))


def scores_chart(rows: Sequence[Row], base: str, tuned: str) -> alt.TopLevelMixin:
    """Score of each prompt under both models; above the line the tuned model used the instruction more densely."""
    known = [row for row in rows if row["score_base"] is not None and row["score_tuned"] is not None]
    values = [{key: row[key] for key in ("id", "dataset", "score_base", "score_tuned")} for row in known]
    top = 1.05 * max((max(row["score_base"], row["score_tuned"]) for row in known), default=1.0) or 1.0
    names = list(dict.fromkeys(row["dataset"] for row in known))
    scale = alt.Scale(domain=[0, top], nice=False)
    colour = alt.Scale(domain=names, range=[DATASETS[i % len(DATASETS)] for i in range(len(names))])
    points = (
        alt.Chart(alt.Data(values=values))
        .mark_point(size=34, opacity=0.75)
        .encode(
            x=alt.X("score_base:Q", title=f"score, base ({shorten(base)})", scale=scale),
            y=alt.Y("score_tuned:Q", title=f"score, tuned ({shorten(tuned)})", scale=scale),
            color=alt.Color("dataset:N", scale=colour, title=None),
            shape=alt.Shape("dataset:N", scale=alt.Scale(domain=names), title=None),
        )
    )
    line = alt.Chart(alt.Data(values=[{"at": 0}, {"at": top}])).mark_line(strokeDash=[4, 3], color=GREY, strokeWidth=1)
    return _styled(alt.layer(line.encode(x="at:Q", y="at:Q"), points).properties(width=330, height=330))


def map_chart(salient: SalientMap) -> alt.TopLevelMixin:
    """Figure 1: prompt tokens down, response tokens across, deeper for a higher level; level 0 is left blank."""
    return _styled(_map_layer(salient))


def pair_chart(base: SalientMap, tuned: SalientMap) -> alt.TopLevelMixin:
    """Figure 1 for both models, base above tuned, on the same scale of levels."""
    return _styled(alt.vconcat(_map_layer(base), _map_layer(tuned), spacing=24))


def shorten(text: str, longest: int = LONGEST_LABEL) -> str:
    """The text, cut with an ellipsis where it is longer than ``longest``."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _map_layer(salient: SalientMap) -> alt.Chart:
    values = [
        {"prompt": n, "response": m, "level": int(salient.levels[n, m])} for n, m in np.argwhere(salient.levels).tolist()
    ]
    level = alt.Scale(domain=list(range(1, N_LEVELS + 1)), range=ramp())
    return (
        alt.Chart(alt.Data(values=values), title=f"{shorten(salient.model, 60)} · {shorten(salient.id, 60)}")
        .mark_rect()
        .encode(
            x=_token_axis(alt.X, "response", response_texts(salient)),
            y=_token_axis(alt.Y, "prompt", prompt_texts(salient)),
            color=alt.Color("level:O", scale=level, title="level"),
        )
        .properties(width=CELL * max(1, salient.n_response), height=CELL * max(1, salient.n_prompt))
    )


def _token_axis(channel: Any, name: str, texts: Sequence[str]) -> Any:
    """A band for each token, labelled with its text, or with every tenth number where there are too many."""
    options: dict[str, Any] = {"ticks": False, "domain": False, "labelFontSize": 8, "labelPadding": 3}
    if len(texts) <= LONGEST_LABELLED:
        shown = [shorten(" ".join(text.split()) or repr(text)[1:-1] or "◦") for text in texts]
        # Vega's expressions take JSON's strings, so that a label can hold any sign.
        options |= {"labelExpr": f"{json.dumps(shown)}[datum.value]", "labelOverlap": False}
    else:
        options |= {"values": list(range(0, len(texts), 10)), "labelExpr": "datum.value + 1"}
    if channel is alt.X:
        options |= {"labelAngle": -90 if len(texts) <= LONGEST_LABELLED else 0, "orient": "top"}
    domain = list(range(len(texts)))
    return channel(f"{name}:O", title=f"{name} tokens", scale=alt.Scale(domain=domain), axis=alt.Axis(**options))


def _styled(chart: Any) -> alt.TopLevelMixin:
    """The look of all figures: nothing but data in full colour, text that a page's own colours can replace."""
    styled: alt.TopLevelMixin = (
        chart.configure(font=FONT, background="transparent", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            grid=False, domainColor=GREY, tickColor=GREY, labelFontSize=11, titleFontSize=11, titleFontWeight="normal"
        )
        .configure_header(labelFontSize=12, labelFontWeight="bold")
        .configure_legend(labelFontSize=11, titleFontSize=11, orient="top")
        .configure_title(fontSize=12, anchor="start")
    )
    return styled
