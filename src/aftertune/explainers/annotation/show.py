"""What a report and a notebook show of annotations: tables 4 to 12, figures 3 and 7, and what the page says of them.

Descriptions and words may hold any sign: what is unseen, or would turn the text around it, is shown as a sign.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch
from pathlib import Path

import polars as pl

from aftertune.explainers.annotation.category_shares import (
    AgreementRow,
    CategoryRow,
    Figure3Row,
    Figure7Row,
    UnparsedRow,
)
from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.charts import interpreted_figure, level_figure
from aftertune.explainers.annotation.findings import questions
from aftertune.explainers.annotation.page import (
    annotator_name,
    component_notes,
    doubts,
    repeats_phrase,
    within_chance,
    word_groups,
)
from aftertune.report import notebook
from aftertune.report.environment import render
from aftertune.report.figure import Figure
from aftertune.report.numbers import read_labels
from aftertune.report.packing import packed
from aftertune.report.section import Section, joined_tables
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible
from aftertune.runs.result import Result
from aftertune.statistics.questions import answer
from aftertune.statistics.spread import POOLED

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "Annotation"

CATEGORY_COLUMNS = (
    Column("kind", "Kind"),
    Column("category", "Category"),
    Column("base", "Base, %", "share_spread"),
    Column("tuned", "Tuned, %", "share_spread"),
    Column("difference", "Difference, points", "percent_change"),
    Column("difference_interval", "95% interval", "percent_interval"),
    Column("p_value_components", "p (components)", "p"),
    Column("p_value_components_holm", "Holm", "p"),
    Column("p_value", "p (repeats, Welch)", "p"),
    Column("p_value_holm", "Holm", "p"),
    Column("p_value_permutation", "p (repeats, permutation)", "p"),
    Column("p_value_permutation_holm", "Holm", "p"),
    Column("effect_size_g", "g", "number"),
)
CATEGORY_CAPTION = (
    "Of the components that could be described, the share that serves a task (a component may serve several, or none) "
    "or is of a linguistic level (each is of one), in per cent: mean ± standard deviation over the annotator's "
    "repeats. The last row is the share of all components that could be described. The difference is tuned minus base, "
    "in points. To ask whether the models differ, take p (components): how often a difference as large comes up if the "
    "two models are swapped at random components. Its 95% interval would hold the difference 19 times out of 20 if "
    "other components of the same kind were drawn. The p-values of repeats, by Welch's test as in the paper and by a "
    "permutation test, and g, the difference in standard deviations, compare the repeats of both models: they measure "
    "the annotator's noise, and a steady annotator makes them small for any two lots of components. All are "
    "two-sided; Holm's correction is over the four tasks, and over the four levels."
)
WORD_COLUMNS = (
    Column("layers", "Layers"),
    Column("word", "Word"),
    Column("frequency_base", "Base, %", "percent"),
    Column("frequency_tuned", "Tuned, %", "percent"),
    Column("change", "Change, points", "percent_change"),
    Column("rank_base", "Rank, base", "count"),
    Column("rank_tuned", "Rank, tuned", "count"),
    Column("rank_change", "Ranks risen", "count"),
)
WORD_CAPTION = (
    "For neighbouring layers, counted from 0: the words whose share of all words in the annotator's descriptions grew "
    "or shrank most from base to tuned, most first, each with its rank among the words of the base and of the tuned "
    "model (1 is the most frequent). Words of three letters or fewer and common ones such as with or that are left "
    "out. This was not tested."
)
CLEAREST_COLUMNS = (
    Column("model", "Model"),
    Column("layer", "Layer", "count"),
    Column("expert", "Expert", "count"),
    Column("rank", "Rank", "count"),
    Column("description", "Description"),
    Column("scenarios", "Tasks"),
    Column("level", "Level"),
    Column("words", "Words"),
)
CLEAREST_CAPTION = (
    "Components that were described in every repeat, each time at the same level and for the same tasks; those whose "
    "words lie closest along the component come first. The description is that of the first repeat. They were chosen "
    "for their clarity: most components are less plain than these."
)
AGREEMENT_COLUMNS = (
    Column("model", "Model"),
    Column("question", "Question"),
    Column("n_components", "Components", "count"),
    Column("n_repeats", "Repeats", "count"),
    Column("kappa", "Kappa", "number"),
)
AGREEMENT_CAPTION = (
    "Fleiss' kappa between the annotator's repeats: 1 is full agreement, 0 what chance gives; below about 0.67 it is "
    "too little to conclude from. Interpreted is whether a component could be described at all. Repeats that agree may "
    "still be wrong together."
)
UNPARSED_COLUMNS = (
    Column("model", "Model"),
    Column("step", "Step"),
    Column("n_answers", "Answers", "count"),
    Column("n_unparsed", "Unusable", "count"),
)
UNPARSED_CAPTION = "Answers that were not among those allowed. They count nowhere."


def tables(change: AnnotationChange) -> tuple[Table, ...]:
    """Tables 5 and 6, 7 to 10, the clearest components (4, 11, 12), trust in the annotator, the figures' numbers."""
    return (
        _categories(change),
        _words(change),
        _clearest(change),
        *_trust(change),
        *_figure_tables(change.figure3, change.figure7),
    )


def figures(change: AnnotationChange) -> tuple[Figure, ...]:
    """Figures 3 and 7."""
    models = (change.base, change.tuned)
    return level_figure(change.figure3, models), interpreted_figure(change.figure7, models)


def section(change: AnnotationChange) -> Section:
    """The page of its own, and the notes that the page on concepts shows beside single components."""
    shown, drawn = tables(change), figures(change)
    body = render(
        "section.html",
        TEMPLATES,
        **_who(change),
        change=change,
        doubts=doubts(change),
        within_chance=within_chance(change),
        tables={table.name: table for table in shown},
        figures=drawn,
        words=word_groups(change),
    )
    return Section(
        "annotation",
        TITLE,
        tables=shown,
        figures=drawn,
        body=body,
        methods=render("methods.html", TEMPLATES, **_who(change)),
        blocks={"component-notes": packed(component_notes(change))},
        styles=(TEMPLATES / "annotations.css",),
        settings=change.settings,
        labels=read_labels(TEMPLATES),
    )


def stages(changes: Sequence[AnnotationChange], models: Sequence[str]) -> Section:
    """Figures 3 and 7 with a line for each of ``models``, the tables of all pairs below one another.

    The page shows the words of all layers together; their CSV has every group.
    """
    pairs = [f"{one.base} → {one.tuned}" for one in changes]
    of_pairs = [(_categories(one), _words_of_all(one), _clearest(one), *_trust(one)) for one in changes]
    joined = [joined_tables(dict(zip(pairs, own, strict=True))) for own in zip(*of_pairs, strict=True)]
    # A model is compared in several pairs; what its first one says of it is shown.
    first = {model: next(one for one in changes if model in (one.base, one.tuned)) for model in models}
    rows3 = [row for model, one in first.items() for row in one.figure3 if row.model == model]
    rows7 = [row for model, one in first.items() for row in one.figure7 if row.model == model]
    drawn = level_figure(rows3, models), interpreted_figure(rows7, models)
    return Section(
        "annotation",
        TITLE,
        tables=(*joined, *_figure_tables(rows3, rows7)),
        figures=drawn,
        methods=render("methods.html", TEMPLATES, **_who(changes[0])),
        styles=(TEMPLATES / "annotations.css",),
        settings=changes[0].settings,
        labels=read_labels(TEMPLATES),
    )


@singledispatch
def to_html(result: Result) -> str:
    """A result of annotations as HTML for a notebook."""
    return notebook.frame_to_html(type(result).__name__, repr(result), result.to_polars())


@to_html.register
def _(result: AnnotationChange) -> str:
    return notebook.to_html(
        f"What tuning changed in what components are about: {result.base} → {result.tuned}",
        f"{result.n_components:,} components, annotated {result.n_repeats_base} and {result.n_repeats_tuned} times",
        answer(questions(result)),
        [_categories(result)],
        [figure for figure in figures(result) if figure.name == "figure3"],
    )


def _who(change: AnnotationChange) -> dict[str, str]:
    return {"annotator": annotator_name(change), "repeats": repeats_phrase(change)}


def _categories(change: AnnotationChange) -> Table:
    title = "Tables 5 and 6. Which tasks the components serve, and at which linguistic level they lie"
    return Table("categories", title, CATEGORY_CAPTION, CATEGORY_COLUMNS, change.categories, CategoryRow)


def _words(change: AnnotationChange) -> Table:
    title = "Tables 7 to 10. Words that rose and fell in the descriptions, by depth"
    empty = "There are no tables 7 to 10: no word of a description rose or fell."
    return Table("words", title, WORD_CAPTION, WORD_COLUMNS, change.moved_words(), empty=empty)


def _words_of_all(change: AnnotationChange) -> Table:
    found = _words(change)
    return replace(found, shown=found.frame.filter(layers=POOLED).to_dicts())


def _clearest(change: AnnotationChange) -> Table:
    title = "Tables 4, 11 and 12. The components that are read most clearly"
    empty = "There are no tables 4, 11 and 12: no component was read the same way in every repeat."
    found = pl.concat([change.clearest(model) for model in (change.base, change.tuned)])
    joined = pl.col("scenarios").list.join(", ")
    shown = found.select(
        *("model", "layer", "expert", "rank", _visible(pl.col("description"))),
        *(pl.when(joined == "").then(pl.lit("none")).otherwise(joined).alias("scenarios"), "level"),
        _visible(pl.col("words").list.join(", ")),
    )
    return Table("clearest", title, CLEAREST_CAPTION, CLEAREST_COLUMNS, shown, empty=empty)


def _trust(change: AnnotationChange) -> tuple[Table, Table]:
    title = "How far the annotator's repeats agree (Fleiss' kappa)"
    kappas = Table("agreement", title, AGREEMENT_CAPTION, AGREEMENT_COLUMNS, change.agreement, AgreementRow)
    title = "The annotator's unusable answers"
    return kappas, Table("unparsed", title, UNPARSED_CAPTION, UNPARSED_COLUMNS, change.unparsed, UnparsedRow)


def _figure_tables(rows3: Sequence[Figure3Row], rows7: Sequence[Figure7Row]) -> tuple[Table, Table]:
    """The numbers of the figures, as CSV alone."""
    third = Table("figure3", "Figure 3. Linguistic levels by depth", "", (), rows3, Figure3Row)
    return third, Table("figure7", "Figure 7. Components described", "", (), rows7, Figure7Row)


def _visible(text: pl.Expr) -> pl.Expr:
    return text.map_elements(visible, pl.String)
