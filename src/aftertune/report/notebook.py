"""How do findings, tables and figures look as the output of a notebook's cell?

A piece of HTML with a style of its own that fetches nothing and runs no script. Its colours are translucent over the
notebook's, and its text is the notebook's, so light and dark both work. Wide tables scroll, long ones too.
"""

from collections.abc import Sequence

import polars as pl

from aftertune.report.environment import render
from aftertune.report.figure import Figure
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding

FIRST_ROWS = 10
LONGEST_CELL = 60


def to_html(
    title: str,
    facts: str,
    findings: Sequence[Finding] = (),
    tables: Sequence[Table] = (),
    figures: Sequence[Figure] = (),
) -> str:
    """One output: a ``title``, a line of ``facts``, findings that open, the tables and figures that have anything."""
    grids = [(table, _visible(table)) for table in tables if table.listed]
    drawn = [figure for figure in figures if figure.chart is not None]
    page = "notebook.html"
    return render(page, title=visible(title), facts=visible(facts), findings=findings, tables=grids, figures=drawn)


def frame_to_html(title: str, facts: str, frame: pl.DataFrame) -> str:
    """What a result shows that has no tables of its own: the first rows of its data frame."""
    cells = [{name: _short(value) for name, value in row.items()} for row in frame.head(FIRST_ROWS).to_dicts()]
    columns = [Column(name, name) for name in frame.columns]
    return to_html(title, facts, tables=[Table("rows", f"The first rows of {frame.height:,}", "", columns, cells)])


def _visible(table: Table) -> list[list[str]]:
    return [[visible(cell) if type(cell) is str else cell for cell in cells] for _, cells in table.html_rows]


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
