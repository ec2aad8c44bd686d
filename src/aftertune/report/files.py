"""One table, figure or page of a report as a file of its own: which is meant follows from the file's name.

1. ``.html`` is the page, ``methods.md`` the methods as text.
2. ``.tex``, ``.md`` and ``.csv`` are the table of that name, ``.pdf``, ``.svg`` and ``.png`` the figure: table2.tex,
   and table_2.tex or table-2.tex likewise.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from aftertune.errors import RunError, meant
from aftertune.report.page import Report, page_of, texts_of
from aftertune.report.render import SUFFIXES as PICTURES
from aftertune.report.render import write_picture
from aftertune.runs.parts import must_be_writable, write_text

PAGE, METHODS, TABLES = ".html", "methods", (".tex", ".md", ".csv")
KNOWN = (PAGE, *TABLES, *PICTURES)
Write = Callable[[], None]
Found = TypeVar("Found")


def must_be_known(outs: Sequence[Path]) -> None:
    """Raise `RunError` for a file of another kind, or one that can't be written: before any work."""
    for out in outs:
        if out.suffix not in KNOWN:
            given = f"ends in {out.suffix!r}" if out.suffix else "has no suffix"
            raise RunError(f"{out} {given}. Name the file {', '.join(KNOWN[:-1])} or {KNOWN[-1]}.")
        must_be_writable(out)


def write_files(report: Report, outs: Sequence[Path]) -> None:
    """Write each file whole or not at all; raises `RunError` for a name that stands for nothing, before the first."""
    for write in [_writer(report, out) for out in outs]:
        write()


def _writer(report: Report, out: Path) -> Write:
    if out.suffix == PAGE:
        return lambda: write_text(out, page_of(report))
    if out.suffix == ".md" and _key(out.stem) == METHODS:
        return lambda: write_text(out, report.methods_text())
    if out.suffix in PICTURES:
        pictures = [*report.figures, *(one for section in report.sections for one in section.pictures)]
        figure = _found(out, {one.name: one.chart for one in pictures if one.chart is not None}, "figure")
        return partial(write_picture, out, figure)
    texts = {name: one[out.suffix[1:]] for name, one in texts_of(report).items() if out.suffix[1:] in one}
    return partial(write_text, out, _found(out, texts, "table"))


def _found(out: Path, known: Mapping[str, Found], what: str) -> Found:
    by_key = {_key(name): value for name, value in known.items()}
    if _key(out.stem) not in by_key:
        there = ", ".join(known) or "none"
        raise RunError(f"The run has no {what} {out.stem!r}. It has: {there}.{meant(out.stem, known)}")
    return by_key[_key(out.stem)]


def _key(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
