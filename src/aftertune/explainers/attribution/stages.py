"""How do scores change over several models in the order of training?

1. Table 2 with a column for each model and each pair; Holm's correction is over all pairs and data sets, that of the
   pooled row, which repeats the others' question, over pairs.
2. The score of each prompt under every model, and the mean of each data set as a line over the models.
3. Table 1, its controls and figure 6 with the rows of every model, once: those of the first pair that it is in. The
   controls of table 2 pair by pair, as each pair's own report has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import altair as alt
import polars as pl

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.density_comparison import Table2Row
from aftertune.explainers.attribution.page import methods
from aftertune.explainers.attribution.prompt_pairs import TEMPLATES
from aftertune.explainers.attribution.show import (
    figure6_figure,
    figure6_table,
    table1_controls_table,
    table1_table,
    table2_controls_table,
)
from aftertune.report.chart_style import Spec, shorten, styled
from aftertune.report.colours import DASHES, DATASETS, SHAPES, one_each
from aftertune.report.figure import Figure
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section, joined_tables
from aftertune.report.table import Column, Table
from aftertune.runs.frames import frame_of
from aftertune.statistics.corrections import holm
from aftertune.statistics.spread import Spread

Changes = Sequence[AttributionChange]

LABEL = 130  # pixels that a model's name may take
LOOKS: dict[str, Sequence[Any]] = {"colour": DATASETS, "dash": DASHES, "shape": SHAPES}
CAPTION = (
    "One row for each data set: the mean score ± its standard deviation for each model in the order of training, then "
    "for each pair (earlier → later) the difference within prompts, later minus earlier, its 95% interval and p. Every "
    "model is compared with its predecessor and with the first. p is that of a two-sided permutation test of signs "
    "within prompts, corrected by Holm's method for all pairs and data sets; that of the row of all data sets, for all "
    "pairs."
)
STAGES_CAPTION = (
    "The mean score of the instruction, model by model in the order of training; the line through a mark is one "
    "standard error to either side. Higher means that more of the instruction matters for many words of the response."
)


@dataclass(frozen=True)
class StageRow:
    """Table 2 of several models on one data set: ``models`` in their order, ``pairs`` in that of the changes.

    Of a model or pair that has no response on the data set the spread is empty, the row None.
    """

    dataset: str
    pooled: bool
    models: tuple[Spread, ...]
    pairs: tuple[Table2Row | None, ...]


@dataclass(frozen=True)
class PromptRow:
    """The ``scores`` of one prompt under several models, in their order, None without a response."""

    dataset: str
    id: str
    scores: tuple[float | None, ...]


def stages(changes: Changes, models: Sequence[str]) -> Section:
    """The part of a report on several models."""
    scores = score_rows(changes, models)
    table1, figure6 = of_each_model(changes, models, "table1"), of_each_model(changes, models, "figure6")
    table1_controls = table1_controls_table(of_each_model(changes, models, "table1_controls"))
    tables = (
        score_table(scores, changes, models),
        controls_table(changes),
        table1_table(table1),
        replace(table1_controls, columns=table1_controls.columns if table1 else ()),
        replace(figure6_table(figure6), columns=()),
        prompt_table(changes, models),
    )
    figures = _stages_figure(scores, models), figure6_figure(figure6, models)
    return Section(
        "attribution",
        "Attribution",
        tables=tables,
        figures=figures,
        methods=methods(changes[0]),
        settings=changes[0].settings,
        labels=read_labels(TEMPLATES),
    )


def score_rows(changes: Changes, models: Sequence[str]) -> list[StageRow]:
    """Table 2 of all models, one row for each data set."""
    tables = [{row.dataset: row for row in one.table2} for one in changes]
    corrected = _corrected(tables, pooled=False) | _corrected(tables, pooled=True)
    return [
        StageRow(
            dataset=name,
            pooled=any(rows[name].pooled for rows in tables if name in rows),
            models=tuple(_spread(changes, model, name) for model in models),
            pairs=tuple(corrected.get((place, name)) for place in range(len(tables))),
        )
        for name in dict.fromkeys(name for rows in tables for name in rows)
    ]


def prompt_rows(changes: Changes, models: Sequence[str]) -> list[PromptRow]:
    """The scores of each prompt."""
    scores: dict[tuple[str, str], dict[str, float | None]] = {}
    for one in changes:
        for row in one.instances:
            own = scores.setdefault((row.dataset, row.id), {})
            own |= {one.base: row.score_base, one.tuned: row.score_tuned}
    return [PromptRow(*key, tuple(own.get(name) for name in models)) for key, own in scores.items()]


def of_each_model(changes: Changes, models: Sequence[str], table: str) -> tuple[Any, ...]:
    """The rows of a table that has rows of its own for each model, every model once."""
    return tuple(row for name in models for row in _own_rows(changes, name, table))


def score_table(rows: Sequence[StageRow], changes: Changes, models: Sequence[str]) -> Table:
    """The rows as table 2; its data frame names models and pairs."""
    columns = [Column("dataset", "Data set"), *(Column(f"models.{n}", name, "spread") for n, name in enumerate(models))]
    for place, one in enumerate(changes):
        columns += [
            Column(f"pairs.{place}.paired.difference", f"{one.base} → {one.tuned}", "change"),
            Column(f"pairs.{place}.paired.difference_interval", "95% interval", "interval"),
            Column(f"pairs.{place}.paired.p_value_holm", "p (Holm)", "p"),
        ]
    title = "Table 2. How densely each model uses the instruction"
    return Table("table2", title, CAPTION, columns, _score_frame(rows, changes, models), shown=rows)


def controls_table(changes: Changes) -> Table:
    """The controls of table 2, the rows of one pair below those of the other."""
    return joined_tables({f"{one.base} → {one.tuned}": table2_controls_table(one.table2_controls) for one in changes})


def prompt_table(changes: Changes, models: Sequence[str]) -> Table:
    """The score of every prompt under every model."""
    rows = prompt_rows(changes, models)
    columns = [Column("id", "Prompt"), Column("dataset", "Data set")]
    columns += [Column(f"scores.{place}", name, "number") for place, name in enumerate(models)]
    keyed = [
        {"id": one.id, "dataset": one.dataset, "scores": dict(zip(models, one.scores, strict=True))} for one in rows
    ]
    caption = "The maps of each prompt are in the reports of the pairs. Without a response there is no score."
    return Table(
        "instances", "The score of every prompt under each model", caption, columns, frame_of(keyed), shown=rows
    )


def stages_chart(rows: Sequence[StageRow], models: Sequence[str]) -> Spec:
    """Mean score of each data set over the models; the line through a mark is its standard error to either side."""
    values = [
        {"model": shorten(name), "dataset": "all data sets" if row.pooled else row.dataset, **_around(spread)}
        for row in rows
        for name, spread in zip(models, row.models, strict=True)
        if spread.mean is not None
    ]
    return styled(_lines(values, [shorten(name) for name in models]), {"stages": values})


def _lines(values: Sequence[Mapping[str, Any]], models: Sequence[str]) -> Any:
    """A line for each data set, with a range at each of its marks."""
    names = list(dict.fromkeys(value["dataset"] for value in values))
    looks = {kind: alt.Scale(domain=names, range=one_each(of, len(names))) for kind, of in LOOKS.items()}
    legend = alt.Legend(labelLimit=400, columns=1, symbolOpacity=1)
    plain = alt.Chart(alt.NamedData(name="stages")).encode(
        x=alt.X("model:N", sort=list(models), title="model", axis=alt.Axis(labelAngle=0, labelLimit=LABEL - 5)),
        xOffset=alt.XOffset("dataset:N", sort=names, scale=alt.Scale(paddingInner=0.6, paddingOuter=1)),
        color=alt.Color("dataset:N", scale=looks["colour"], title=None, legend=legend),
    )
    mean = alt.Y("mean:Q", title="mean score", scale=alt.Scale(zero=False))
    line = plain.mark_line(strokeWidth=2).encode(y=mean, strokeDash=alt.StrokeDash("dataset:N", scale=looks["dash"]))
    marks = plain.mark_point(size=60, filled=True, opacity=1).encode(
        y=mean, shape=alt.Shape("dataset:N", scale=looks["shape"])
    )
    ranges = plain.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q")
    return alt.layer(ranges, line, marks).properties(width=max(220, LABEL * len(models)), height=210)


def _around(spread: Spread) -> dict[str, float]:
    mean, error = spread.mean or 0.0, (spread.std or 0.0) / spread.n**0.5
    return {"mean": mean, "low": mean - error, "high": mean + error}


def _stages_figure(rows: Sequence[StageRow], models: Sequence[str]) -> Figure:
    chart = stages_chart(rows, models) if any(one.n for row in rows for one in row.models) else None
    return Figure("stages", "Scores from stage to stage", STAGES_CAPTION, chart, "table2", "No response has a score.")


def _score_frame(rows: Sequence[StageRow], changes: Changes, models: Sequence[str]) -> pl.DataFrame:
    names = [f"{one.base} to {one.tuned}" for one in changes]
    return frame_of(
        [
            {"dataset": row.dataset, "pooled": row.pooled}
            | {"models": {name: asdict(one) for name, one in zip(models, row.models, strict=True)}}
            | {"pairs": {name: asdict(one) for name, one in zip(names, row.pairs, strict=True) if one is not None}}
            for row in rows
        ]
    )


def _own_rows(changes: Changes, model: str, table: str) -> Iterator[Any]:
    """A model stands in several changes with the same rows; those of the first one."""
    first = next((one for one in changes if model in (one.base, one.tuned)), None)
    return iter(() if first is None else [row for row in getattr(first, table) if row.model == model])


def _corrected(tables: Sequence[Mapping[str, Table2Row]], pooled: bool) -> dict[tuple[int, str], Table2Row]:
    places = [(place, name) for place, rows in enumerate(tables) for name, row in rows.items() if row.pooled == pooled]
    rows = [tables[place][name] for place, name in places]
    welch, paired = holm([row.p_value for row in rows]), holm([row.paired.p_value for row in rows])
    return {
        at: replace(row, p_value_holm=p, paired=replace(row.paired, p_value_holm=p_paired))
        for at, row, p, p_paired in zip(places, rows, welch, paired, strict=True)
    }


def _spread(changes: Changes, model: str, dataset: str) -> Spread:
    for one in changes:
        for row in one.table2:
            if row.dataset == dataset and model in (one.base, one.tuned):
                return row.base if model == one.base else row.tuned
    return Spread(0, None, None)
