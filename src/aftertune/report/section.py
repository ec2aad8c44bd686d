"""What an explainer adds to a report: tables, figures, a page, and what the page's scripts draw from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from aftertune.report.figure import Figure
from aftertune.report.numbers import Label
from aftertune.report.table import Column, Table


@dataclass(frozen=True, eq=False)
class Section:
    """The part of one explainer, ``name``, in a report.

    ``body`` is its page below the heading ``title``, ``methods`` its paragraphs of the page on methods; where ``body``
    is None, tables and figures stand one below the other. ``pictures`` are figures that become files only. ``data`` is
    JSON that scripts read at once, by the id of its element; ``blocks`` are packed (`aftertune.report.packing`) and
    stand at the end of the page. ``scripts`` are modules that draw the page, ``styles`` its style sheets. ``settings``
    says how it was measured, ``notes`` what a reader must know before the findings. ``labels`` name the numbers of its
    findings by their keys in ``evidence``.
    """

    name: str
    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Figure, ...] = ()
    body: Markup | None = None
    methods: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, str] = field(default_factory=dict)
    scripts: tuple[Path, ...] = ()
    styles: tuple[Path, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    labels: Mapping[str, Label] = field(default_factory=dict)


def joined_sections(sections: Mapping[str, Section]) -> Section:
    """The sections of several pairs of models as one: each table once, with a first column that names the pair."""
    first = next(iter(sections.values()))
    names = [table.name for table in first.tables]
    tables = [joined_tables({pair: _named(one.tables, name) for pair, one in sections.items()}) for name in names]
    return Section(first.name, first.title, tables=tuple(tables), labels=first.labels)


def joined_tables(tables: Mapping[str, Table | None]) -> Table:
    """The tables of several pairs one below the other; what a pair does not have is left out."""
    own = {pair: table for pair, table in tables.items() if table is not None}
    first = next(iter(own.values()))
    shown = [Below(pair, row) for pair, table in own.items() for row in table.listed]
    columns = [Column("pair", "Models"), *(replace(one, key=f"row.{one.key}") for one in first.columns)]
    frames = [table.frame.select(pl.lit(pair).alias("pair"), pl.all()) for pair, table in own.items()]
    together = pl.concat(frames, how="diagonal")
    pale = f"row.{first.pale}" if first.pale else ""
    return replace(first, rows=together, shown=shown, columns=columns if first.columns else (), pale=pale)


@dataclass(frozen=True, eq=False)
class Below:
    """A row of one pair's table."""

    pair: str
    row: Any


def _named(tables: Sequence[Table], name: str) -> Table | None:
    return next((table for table in tables if table.name == name), None)
