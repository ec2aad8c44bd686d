"""How is a comparison of heads shown: its tables and figures, its page, and a notebook's output?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path

import polars as pl

from aftertune.explainers.heads.change import DepthControl, DepthTrend, Figure2Row, HeadChange, StrengthRow, Table3Row
from aftertune.explainers.heads.charts import heads_chart, layers_chart, pairs_chart
from aftertune.explainers.heads.findings import questions
from aftertune.explainers.heads.page_data import blocks_of, grid_of
from aftertune.explainers.heads.result import HeadReading
from aftertune.report import notebook
from aftertune.report.environment import render
from aftertune.report.figure import Figure
from aftertune.report.formats import number
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section, joined_tables
from aftertune.report.table import Column, Table
from aftertune.runs.result import Result
from aftertune.statistics.noise import NOISE
from aftertune.statistics.questions import answer

NAME, TITLE = "heads", "Heads"
TEMPLATES = Path(__file__).parent / "templates"
N_PAIRS = 5
N_STRENGTHS = 12

FIGURE2_TITLE = "Figure 2. How far the heads' word pairs lie apart, by depth"
FIGURE2_CAPTION = (
    "The distance of two lists is 0 where both models have the same pairs and 1 where they share none (1 − M, the "
    "share of pairs that only one model has). A mark is the mean over the heads of neighbouring layers, counted from "
    "0; the line through it is its 95% interval. Left: a head's list of its top pairs. Right: the mean over the head's "
    "neuron pairs. Pale, hollow marks are controls: the same distance after word vectors were given to other words "
    "(permuted: to any; frequency-matched: to words about as frequent), so that the pairs mean nothing; and noise of "
    "the same size, where every weight of the base was changed at random as much as tuning changed it. A change that a "
    "control shows as well does not come from words that belong together."
)
STRENGTHS_TITLE = "Word pairs that changed most, over noise of the same size"
STRENGTHS_CAPTION = (
    "Pairs that a head's list gained or lost, ranked by how much tuning changed the head's response to them: the "
    "product of the query that its weights make of the first word and the key that they make of the second, without "
    "position. Times noise is that change in units of what noise of the same size changes in the head's pairs (root "
    "mean square); beyond 3 or so noise rarely goes. Brings is the share of the change of the outputs that the layer's "
    "attention brings when it alone is put into the base (location). Shown are the first; the CSV has all. Described, "
    "not tested."
)
STRENGTHS_EMPTY = "No noise of the same size was read, so pairs that changed can't be ranked."
STRENGTHS_COLUMNS = (
    Column("layer", "Layer", "count"),
    Column("head", "Head", "count"),
    Column("query_word", "Query word"),
    Column("key_word", "Key word"),
    Column("change", "List"),
    Column("base", "Base", "number"),
    Column("tuned", "Tuned", "number"),
    Column("times_noise", "Times noise", "change"),
    Column("brings", "Attention brings, %", "percent_change"),
)
FIGURE2_EMPTY = "There is no figure 2: no head has a word pair in either model."
STAGES_CAPTION = (
    "The mean distance of the heads' lists of word pairs by group of neighbouring layers, counted from 0, with its 95% "
    "interval, for each pair of models: 0 where both have the same pairs, 1 where they share none. The controls of "
    "each pair are in its own report."
)
FIGURE2_COLUMNS = (
    Column("level", "Level"),
    Column("layers", "Layers"),
    Column("lists", "Lists"),
    Column("distance.n", "Heads", "count"),
    Column("distance.mean", "Distance", "number"),
    Column("distance.std", "Standard deviation", "number"),
    Column("interval", "95% interval", "interval"),
    Column("excess", "As read minus control", "change"),
    Column("excess_interval", "95% interval", "interval"),
)
TABLE3_TITLE = "Table 3. Do heads take up pairs with the words asked about more often than with other verbs?"
TABLE3_CAPTION = (
    "For a verb and a group of layers, counted from 0: of the heads in which the number of pairs with that verb "
    "changed, the share in which it grew. 50% is no preference. Each row has the mean share over the verbs ± its "
    "standard deviation, in per cent, with the number of verbs that changed anywhere in brackets; the CSV has shares "
    "from 0 to 1. p is two-sided, by Welch's test as in the paper and by a permutation test; Holm's correction allows "
    "for asking of several groups and leaves out the row of all layers. Matched words are random words as frequent as "
    "those asked about, and p (matched) is the share of such sets that lie as far from the general verbs. The rows "
    "below each group are controls: the same from word vectors given to other words (permuted: to any; "
    "frequency-matched: to words about as frequent). A difference counts only where the controls do not show it too."
)
TABLE3_EMPTY = "There is no table 3: no head changed its number of pairs with any of the verbs."
HEADS_TITLE = "Every head"
HEADS_CAPTION = "How far each head's list lies apart: layers down, heads across; a deeper colour is more change."


def tables(change: HeadChange) -> tuple[Table, ...]:
    """The tables of a report: pairs over noise, figure 2, table 3 and, as CSV alone, every head."""
    heads = Table("heads", HEADS_TITLE, "", (), change.heads)
    return strengths_table(change), figure2_table(change), table3_table(change), heads


def strengths_table(change: HeadChange) -> Table:
    """The word pairs that changed most over noise."""
    rows = change.strengths
    return Table(
        name="head_strengths",
        title=STRENGTHS_TITLE,
        caption=STRENGTHS_CAPTION,
        columns=STRENGTHS_COLUMNS,
        rows=rows,
        row=StrengthRow,
        shown=rows[:N_STRENGTHS],
        empty=STRENGTHS_EMPTY,
    )


def figure2_table(change: HeadChange) -> Table:
    """The numbers of figure 2."""
    rows, pale = change.figure2, "is_control"
    return Table(
        "figure2", FIGURE2_TITLE, FIGURE2_CAPTION, FIGURE2_COLUMNS, rows, Figure2Row, None, pale, FIGURE2_EMPTY
    )


def table3_table(change: HeadChange) -> Table:
    """Table 3, with the words asked about by their name."""
    verbs, rows, pale = change.verbs_name[:1].upper() + change.verbs_name[1:], change.table3, "is_control"
    columns = (
        Column("layers", "Layers"),
        Column("lists", "Lists"),
        Column("instruction", f"{verbs}, % (n)", "percent_spread"),
        Column("general", "General verbs, % (n)", "percent_spread"),
        Column("difference", "Difference, points", "percent_change"),
        Column("difference_interval", "95% interval", "percent_interval"),
        Column("p_value", "p", "p"),
        Column("p_value_holm", "p (Holm)", "p"),
        Column("p_value_permutation", "Permutation p", "p"),
        Column("p_value_permutation_holm", "Permutation p (Holm)", "p"),
        Column("effect_size_g", "g", "number"),
        Column("matched", "Matched words, %", "percent"),
        Column("p_value_matched", "p (matched)", "p"),
    )
    return Table("table3", TABLE3_TITLE, TABLE3_CAPTION, columns, rows, Table3Row, None, pale, TABLE3_EMPTY)


def figures(change: HeadChange) -> tuple[Figure, ...]:
    """Figure 2, and the distance of every head."""
    grid = heads_chart(change.heads, change.layers, change.n_heads)
    return figure2_figure(change), Figure("heads", HEADS_TITLE, HEADS_CAPTION, grid, "heads")


def figure2_figure(change: HeadChange) -> Figure:
    """Figure 2, with the controls."""
    chart = layers_chart(change.figure2)
    return Figure("figure2", FIGURE2_TITLE, FIGURE2_CAPTION, chart, "figure2", FIGURE2_EMPTY)


def section(change: HeadChange) -> Section:
    """The part of a report on the heads of two models."""
    own, drawn = tables(change), figures(change)
    body = {
        "strengths": own[0],
        "figure2": drawn[0],
        "table3": own[2],
        "heads_title": HEADS_TITLE,
        "depth": depth_sentence(change.depth),
    }
    return Section(
        name=NAME,
        title=TITLE,
        tables=own,
        figures=drawn,
        body=render("section.html", TEMPLATES, **body),
        methods=render("methods.html", TEMPLATES, change=change),
        data={"head-grid": grid_of(change)},
        blocks=blocks_of(change),
        scripts=(TEMPLATES / "heads.js",),
        styles=(TEMPLATES / "heads.css",),
        settings=change.settings,
        labels=read_labels(TEMPLATES),
    )


def stages(changes: Sequence[HeadChange]) -> Section:
    """The part of a report on several models: figure 2 with a line for each pair, and the pairs' tables as one each."""
    pairs = {f"{one.base} → {one.tuned}": one for one in changes}
    chart = pairs_chart({pair: one.figure2 for pair, one in pairs.items()})
    numbers = joined_tables({pair: replace(figure2_table(one), columns=()) for pair, one in pairs.items()})
    together = joined_tables({pair: table3_table(one) for pair, one in pairs.items()})
    strengths = joined_tables({pair: strengths_table(one) for pair, one in pairs.items()})
    drawn = Figure("figure2", FIGURE2_TITLE, STAGES_CAPTION, chart, "figure2", FIGURE2_EMPTY)
    return Section(
        NAME,
        TITLE,
        tables=(strengths, numbers, together),
        figures=(drawn,),
        methods=render("methods.html", TEMPLATES, change=changes[0]),
        settings=changes[0].settings,
        labels=read_labels(TEMPLATES),
    )


def depth_sentence(depth: DepthTrend) -> str:
    """Whether the lists of deeper heads lie further apart, and whether those of the controls do."""
    if depth.correlation is None:
        return "Whether deeper heads change more can't be told: there are too few layers, or all lists changed equally."
    controls = "".join(f", with {_of_control(one)} {_correlation(one)}" for one in depth.controls)
    return (
        f"Do deeper heads change more? Over {depth.n_heads} heads, layer and distance have a rank correlation of "
        f"{_correlation(depth)}{controls} (1: deeper lists always lie further apart, 0: no trend). Neighbouring layers "
        "are alike, so this is no test."
    )


def _of_control(trend: DepthControl) -> str:
    return trend.control if trend.control == NOISE else f"{trend.control} word vectors"


def _correlation(trend: DepthTrend | DepthControl) -> str:
    return "not defined" if trend.correlation is None else number(trend.correlation, 2, signed=True)


@singledispatch
def to_html(result: Result) -> str:
    """A result of heads as a notebook shows it."""
    return notebook.frame_to_html(type(result).__name__, repr(result), result.to_polars())


@to_html.register
def _reading(reading: HeadReading) -> str:
    """For each layer the strongest head with its first word pairs."""
    facts = (
        f"{len(reading.layers)} of {reading.n_layers} layers, {reading.n_heads} heads in each; {len(reading.words):,} "
        f"words, {reading.has_vector.sum():,} of them with a vector; {reading.pairs.height:,} pairs in the heads' lists"
    )
    columns = (
        Column("layer", "Layer", "count"),
        Column("n_pairs", "Pairs of its heads", "count"),
        Column("head", "Strongest head", "count"),
        Column("n_neurons", "Neuron pairs with its first pair", "count"),
        Column("pairs", "Its first pairs"),
    )
    strongest = reading.strongest(reading.pairs.height, N_PAIRS).unique("layer", keep="first", maintain_order=True)
    counts = reading.pairs.group_by("layer").agg(n_pairs=pl.len())
    rows = strongest.join(counts, on="layer").sort("layer")
    table = Table("layers", "Layer by layer", "", columns, rows)
    return notebook.to_html(f"Attention heads of {reading.model}", facts, tables=[table])


@to_html.register
def _change(change: HeadChange) -> str:
    """The findings, table 3 and figure 2."""
    facts = f"{len(change.layers)} layers, {change.n_heads} heads in each; words asked about: {change.verbs_name}"
    title = f"What tuning changed in attention heads: {change.base} → {change.tuned}"
    found, shown = answer(questions(change)), [strengths_table(change), table3_table(change)]
    return notebook.to_html(title, facts, found, shown, [figure2_figure(change)])
