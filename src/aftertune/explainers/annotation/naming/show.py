"""What a report and a notebook show of an annotator's names: each repeat's, and what it was shown."""

from pathlib import Path

import polars as pl

from aftertune.explainers.annotation.naming.findings import questions
from aftertune.explainers.annotation.naming.result import NamingChange
from aftertune.report import notebook
from aftertune.report.environment import render
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible
from aftertune.statistics.questions import answer

NAME, TITLE = "naming", "Name of the tuning"
TEMPLATES = Path(__file__).parent / "templates"
NAMES_CAPTION = (
    "What the annotator answered when it was asked what sets the second of two models apart. The models had no names, "
    "and nothing told which differences hold beyond chance. A name is told in the verdict only where four of five "
    "repeats share a content word."
)
NAMES_COLUMNS = (Column("repeat", "Repeat", "count"), Column("name", "Name"), Column("agrees", "Agrees"))
SHOWN_COLUMNS = (Column("number", "", "count"), Column("line", "Line"))
SHOWN_CAPTION = "All that the annotator was shown, a line each. The first model is the base, the second the tuned."


def tables(change: NamingChange) -> tuple[Table, Table]:
    """The names of all repeats, and the lines that the annotator was shown."""
    names = change.to_polars()
    said = [
        {"repeat": number + 1, "name": visible(name or "cannot tell"), "agrees": "yes" if agrees else "no"}
        for number, name, agrees in names.iter_rows()
    ]
    shown = [{"number": number, "line": visible(line)} for number, line in enumerate(change.evidence, 1)]
    lines = pl.DataFrame(shown, schema={"number": pl.Int64, "line": pl.String})
    title = f"What {change.annotator} called the tuning"
    return (
        Table("tuning_names", title, NAMES_CAPTION, NAMES_COLUMNS, names, shown=said),
        Table("tuning_evidence", "What it was shown", SHOWN_CAPTION, SHOWN_COLUMNS, lines),
    )


def section(change: NamingChange) -> Section:
    """The part of a report on the name of a tuning."""
    names, evidence = tables(change)
    body = render("section.html", TEMPLATES, names=names, evidence=evidence)
    return Section(NAME, TITLE, tables=(names, evidence), body=body, labels=read_labels(TEMPLATES))


def to_html(change: NamingChange) -> str:
    """The names, and what they were given for."""
    title = f"What an annotator called the tuning: {change.base} → {change.tuned}"
    facts = f"{change.annotator}, {len(change.answers)} repeats"
    return notebook.to_html(title, facts, answer(questions(change)), tables(change))
