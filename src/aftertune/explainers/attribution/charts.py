"""The charts about prompts.

1. `quarters_chart`: figure 6, where in a sentence the densities lie, per data set and model.
2. `scores_chart`: each prompt's score under the base (across) and the tuned model (up).
3. `map_chart`, `pair_chart`: figure 1, the levels of one prompt's map, and of both models' maps one above the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from aftertune.explainers.attribution.prompt_pairs import prompt_texts, response_texts
from aftertune.explainers.attribution.result import SalientMap
from aftertune.explainers.attribution.score import N_LEVELS
from aftertune.explainers.attribution.sentence_position import Figure6Row
from aftertune.report.chart_style import Spec, model_scale, shorten, styled
from aftertune.report.colours import DASHES, DATASETS, GREY, MODELS, SHAPES, ramp

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import InstanceRow

QUARTER_NAMES = ["first", "second", "third", "last"]
EVEN_SHARE = 0.25
CELL = 9
LONGEST_LABELLED = 120
NAME_DIGITS = 4


def quarters_chart(rows: Sequence[Figure6Row], models: Sequence[str]) -> Spec:
    """Figure 6: share of the prompt's density in each quarter of a sentence; the dotted line is an even share."""
    values = [
        {"dataset": row.dataset, "model": row.model, "quarter": name, "share": share}
        for row in rows
        for name, share in zip(QUARTER_NAMES, row.quarters, strict=True)
    ]
    plain = alt.Chart(alt.NamedData(name="quarters"))
    chart = plain.encode(
        x=alt.X("quarter:N", sort=QUARTER_NAMES, title="quarter of the sentence", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title="share of density", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%")),
        color=alt.Color("model:N", scale=model_scale(models, MODELS), title=None),
        shape=alt.Shape("model:N", scale=model_scale(models, SHAPES), title=None),
    )
    dash = alt.StrokeDash("model:N", scale=model_scale(models, DASHES), title=None)
    line = chart.mark_line(strokeWidth=2).encode(strokeDash=dash)
    even = plain.mark_rule(strokeDash=[2, 3], color=GREY).encode(y=alt.datum(EVEN_SHARE))
    panels = alt.layer(even, line, chart.mark_point(size=60, filled=True, opacity=1)).properties(width=210, height=180)
    columns = min(3, len({row.dataset for row in rows}))
    return styled(panels.facet(facet=alt.Facet("dataset:N", title=None), columns=columns), {"quarters": values})


def scores_chart(rows: Sequence[InstanceRow], base: str, tuned: str) -> Spec:
    """Score of each prompt under both models; above the line the tuned model used the instruction more densely."""
    known = [row for row in rows if row.difference is not None]
    values = [{key: getattr(row, key) for key in ("id", "dataset", "score_base", "score_tuned")} for row in known]
    top = 1.05 * max((max(one["score_base"], one["score_tuned"]) for one in values), default=1.0) or 1.0
    names = list(dict.fromkeys(row.dataset for row in known))
    scale = alt.Scale(domain=[0, top], nice=False)
    colour = alt.Scale(domain=names, range=[DATASETS[i % len(DATASETS)] for i in range(len(names))])
    points = (
        alt.Chart(alt.NamedData(name="scores"))
        .mark_point(size=34, opacity=0.75)
        .encode(
            x=alt.X("score_base:Q", title=f"score, base ({shorten(base)})", scale=scale),
            y=alt.Y("score_tuned:Q", title=f"score, tuned ({shorten(tuned)})", scale=scale),
            color=alt.Color("dataset:N", scale=colour, title=None),
            shape=alt.Shape("dataset:N", scale=alt.Scale(domain=names), title=None),
        )
    )
    line = alt.Chart(alt.NamedData(name="equal")).mark_line(strokeDash=[4, 3], color=GREY, strokeWidth=1)
    layers = alt.layer(line.encode(x="at:Q", y="at:Q"), points).properties(width=330, height=330)
    return styled(layers, {"scores": values, "equal": [{"at": 0}, {"at": top}]})


def map_chart(salient: SalientMap) -> Spec:
    """Figure 1: prompt tokens down, response tokens across, deeper for a higher level; level 0 is left blank."""
    return styled(_map_layer(salient, "levels"), {"levels": _cells(salient)})


def pair_chart(base: SalientMap, tuned: SalientMap) -> Spec:
    """Figure 1 for both models, base above tuned, on the same scale of levels."""
    layers = alt.vconcat(_map_layer(base, "base"), _map_layer(tuned, "tuned"), spacing=24)
    return styled(layers, {"base": _cells(base), "tuned": _cells(tuned)})


def _cells(salient: SalientMap) -> list[dict[str, Any]]:
    down, across = _token_names(prompt_texts(salient)), _token_names(response_texts(salient))
    return [
        {"prompt": down[n], "response": across[m], "level": int(salient.levels[n, m])}
        for n, m in np.argwhere(salient.levels).tolist()
    ]


def _map_layer(salient: SalientMap, data: str) -> alt.Chart:
    level = alt.Scale(domain=list(range(1, N_LEVELS + 1)), range=ramp())
    chart: alt.Chart = (
        alt.Chart(alt.NamedData(name=data), title=f"{shorten(salient.model, 60)} · {shorten(salient.id, 60)}")
        .mark_rect()
        .encode(
            x=_token_axis(alt.X, "response", _token_names(response_texts(salient))),
            y=_token_axis(alt.Y, "prompt", _token_names(prompt_texts(salient))),
            color=alt.Color("level:O", scale=level, title="level"),
        )
        .properties(width=CELL * max(1, salient.n_response), height=CELL * max(1, salient.n_prompt))
    )
    return chart


def _token_names(texts: Sequence[str]) -> list[str]:
    """Each token's place and text as one name, so that equal texts stay apart and a label can hold any sign."""
    shown = [shorten(" ".join(text.split()) or ("↵" if "\n" in text else "◦")) for text in texts]
    return [f"{number:0{NAME_DIGITS}d}{text}" for number, text in enumerate(shown, start=1)]


def _token_axis(channel: Any, title: str, names: Sequence[str]) -> Any:
    """A band for each token, labelled with its text, or with every tenth place where there are too many."""
    labelled = len(names) <= LONGEST_LABELLED
    options: dict[str, Any] = {"ticks": False, "domain": False, "labelFontSize": 8, "labelPadding": 3}
    options |= {
        "labelExpr": f"slice(datum.value, {NAME_DIGITS})" if labelled else f"slice(datum.value, 0, {NAME_DIGITS})"
    }
    options |= {"labelOverlap": False} if labelled else {"values": list(names[9::10])}
    if channel is alt.X:
        options |= {"labelAngle": -90 if labelled else 0, "orient": "top"}
    return channel(f"{title}:N", title=f"{title} tokens", scale=alt.Scale(domain=list(names)), axis=alt.Axis(**options))
