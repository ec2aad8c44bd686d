"""How do findings, tables and figures look as the output of a notebook's cell?

A piece of HTML with a style of its own that fetches nothing and runs no script. Its colours are translucent over the
notebook's, and its text is the notebook's, so light and dark both work. Wide tables scroll, long ones too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.figures import Spec
from aftertune.report.formats import HTML
from aftertune.report.page import environment
from aftertune.report.render import to_svg
from aftertune.report.tables import TEXT_KINDS, Column, cells_of
from aftertune.runs.readable import visible

Row = Mapping[str, Any]
Table = dict[str, Any]


def render(
    title: str,
    facts: str,
    findings: Sequence[Row] = (),
    tables: Sequence[Table] = (),
    figures: Mapping[str, Spec] | None = None,
) -> str:
    """One output: a ``title``, a line of ``facts``, findings as the report has them, tables, figures by their title."""
    drawn = {name: to_svg(spec) for name, spec in (figures or {}).items()}
    shown = [{**finding, "headline": visible(finding["headline"])} for finding in findings]
    page = environment().get_template("notebook.html")
    return page.render(title=visible(title), facts=visible(facts), findings=shown, tables=tables, figures=drawn)


def table_of(title: str, rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """A table to `render`: its ``columns`` are heading, kind of number, and where it stands in a row."""
    heads = [(head, kind in TEXT_KINDS) for head, kind, _ in columns]
    cells = [
        [visible(cell) if isinstance(cell, str) else cell for cell in row] for row in cells_of(rows, columns, HTML)
    ]
    return {"title": title, "heads": heads, "rows": cells}
