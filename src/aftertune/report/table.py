"""A table, declared once beside the rows that it shows; everything else is drawn from it.

The data frame and the CSV have every number of a row in full, a column each, what is nested joined by an underscore.
The page, a notebook, LaTeX (booktabs) and Markdown show the `columns`, written as a paper would.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from aftertune.report.formats import HTML, LATEX, MARKDOWN, Format, Kind, latex_text, markdown_text
from aftertune.report.spreadsheet import to_csv
from aftertune.runs.frames import frame_of

Cells = list[list[str]]
LEFT_KINDS = ("text", "flag")
ROLES = ("base", "tuned")
ROLE = re.compile(r"(^|, )([Bb]ase|[Tt]uned)(?=$|,)")
NUMBER = re.compile(r"^(Table|Figure) \d+\. ")
UNIT = re.compile(r", (?=\S$)")


@dataclass(frozen=True)
class Column:
    """A column that is shown: where its value stands in a row ("paired.p_value"), its heading, how it is written."""

    key: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with a ``title`` and a ``caption``; without ``columns`` it becomes a CSV alone.

    ``rows`` are frozen dataclasses of one type, or a polars frame; ``row`` is their type, so that the data frame has
    its columns without any row. ``shown`` are the rows that are shown where not all are; ``pale`` is the key of a flag
    that marks rows to step back, such as controls. ``empty`` is said in its place where there are no rows.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Any] | pl.DataFrame
    row: type | None = None
    shown: Sequence[Any] | None = None
    pale: str = ""
    empty: str = ""

    @cached_property
    def listed(self) -> Sequence[Any]:
        """The rows that are shown."""
        if self.shown is not None:
            return self.shown
        return self.rows.to_dicts() if isinstance(self.rows, pl.DataFrame) else self.rows

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All rows as a data frame with every number."""
        return self.rows if isinstance(self.rows, pl.DataFrame) else frame_of(self.rows, self.row)

    def texts(self, models: Sequence[str] = ()) -> dict[str, str]:
        """The table as files, by suffix: csv, and tex and md where it has columns; ``models`` are those of `latex`."""
        return {"csv": self.csv()} | ({"tex": self.latex(models), "md": self.markdown()} if self.columns else {})

    def csv(self) -> str:
        """All rows as CSV, as `aftertune.report.spreadsheet.to_csv` writes them."""
        return to_csv(self.frame)

    def latex(self, models: Sequence[str] = ()) -> str:
        """A booktabs table with a label, ``tab:NAME``; it needs the package booktabs and nothing else.

        ``models`` are the names of base and tuned, which then stand in the headings. LaTeX numbers tables by itself.
        """
        shape = "".join("l" if column.kind in LEFT_KINDS else "r" for column in self.columns)
        body = [" & ".join(cells) + r" \\" for cells in self.cells(LATEX)]
        head = " & ".join(latex_text(_named(column.title, models)) for column in self.columns) + r" \\"
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex_text(NUMBER.sub('', self.title))}}}"]
        lines += [rf"\label{{tab:{self.name.replace('_', '-')}}}"]
        lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", head, r"\midrule", *body]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"

    def markdown(self) -> str:
        """A Markdown table, numbers to the right."""
        rule = ["---" if column.kind in LEFT_KINDS else "---:" for column in self.columns]
        lines = [[markdown_text(column.title) for column in self.columns], rule, *self.cells(MARKDOWN)]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """The headings, each with whether its column is text; a unit of one sign stays on its line."""
        return [(UNIT.sub(",\u00a0", column.title), column.kind in LEFT_KINDS) for column in self.columns]

    @property
    def html_rows(self) -> list[tuple[bool, list[str]]]:
        """The written cells of each row for HTML, with whether the row steps back."""
        pale = [bool(self.pale and look_up(row, self.pale)) for row in self.listed]
        return list(zip(pale, self.cells(HTML), strict=True))

    def cells(self, formats: Mapping[Kind, Format]) -> Cells:
        """The written cells of each row that is shown."""
        return [[formats[one.kind](look_up(row, one.key)) for one in self.columns] for row in self.listed]


def _named(title: str, models: Sequence[str]) -> str:
    """A heading with a model's name in the place of its role: "Score, base"."""
    if not models:
        return title
    return ROLE.sub(lambda role: role[1] + models[ROLES.index(role[2].lower())], title)


def look_up(row: Any, key: str) -> Any:
    """The value at a dotted key of a dataclass, mapping or list; None where a part on the way is None."""
    value = row
    for name in key.split("."):
        if value is None:
            return None
        if isinstance(value, Mapping):
            value = value[name]
        else:
            value = value[int(name)] if isinstance(value, (list, tuple)) else getattr(value, name)
    return value
