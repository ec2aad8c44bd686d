"""The page on several models: what each stage of tuning changed, with a column or a line for each model or pair.

The report of every pair stands beside it, and this page leads there; word pairs, concepts and salient maps are in them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from aftertune.explainers.annotation.figures import interpreted_chart, levels_chart
from aftertune.explainers.concepts.figures import variance_chart
from aftertune.report.captions import CAPTIONS
from aftertune.report.evidence import flatten
from aftertune.report.figures import Spec, quarters_chart
from aftertune.report.formats import HTML
from aftertune.report.lineage_figures import pairs_chart, stages_chart, turned_chart
from aftertune.report.lineage_tables import LINEAGE_CAPTIONS, LINEAGE_TITLES, columns_of
from aftertune.report.page import environment, write_files
from aftertune.report.render import to_svg
from aftertune.report.tables import TEXT_KINDS, Column, cells_of, to_csv, to_latex, to_markdown
from aftertune.runs.parts import write_text

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]
IN_PAGE = ("table2", "table1", "turned", "instances")


@dataclass(frozen=True, eq=False)
class LineageContents:
    """All that the page on several ``models`` shows, in the order of their training.

    ``pairs`` are the compared names, ``places`` where the report of each lies from here. ``tables`` has rows by name:
    ``table2, turned, instances``; with a "model" in every row ``table1, figure3, figure6, figure7, figure8``; with a
    "pair" ``figure2, table3, rotation``. What was not measured has no rows.
    ``summary`` has the few sentences that matter most.
    """

    title: str
    models: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    places: tuple[str, ...]
    findings: list[dict[str, Any]]
    tables: Mapping[str, Rows]
    summary: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


def write_lineage(folder: Path, contents: LineageContents) -> Path:
    """Write ``report.html``, ``tables/`` and ``figures/`` on all models into ``folder``; returns the page's path."""
    texts, charts = _texts(contents), _charts(contents)
    write_files(folder, texts, charts)
    page = folder / "report.html"
    write_text(page, render_lineage(contents, texts, charts))
    return page


def render_lineage(
    contents: LineageContents, texts: Mapping[str, Mapping[str, str]], charts: Mapping[str, Spec]
) -> str:
    """The page's HTML."""
    return (
        environment()
        .get_template("lineage.html")
        .render(
            contents=contents,
            reports=list(zip(contents.pairs, contents.places, strict=True)),
            tables={name: _html_table(contents, name) for name in _shown(contents)},
            figures={name: Markup(to_svg(chart)) for name, chart in charts.items()},
            texts=texts,
            settings=list(flatten(contents.settings)),
            captions=CAPTIONS | LINEAGE_CAPTIONS,
            titles=LINEAGE_TITLES,
        )
    )


def _shown(contents: LineageContents) -> list[str]:
    """The tables with columns of their own that have rows, those of prompts first."""
    return [name for name in LINEAGE_TITLES if name in IN_PAGE and contents.tables[name]]


def _texts(contents: LineageContents) -> dict[str, dict[str, str]]:
    found = {name: {"csv": to_csv(_named(contents, rows))} for name, rows in contents.tables.items() if rows}
    for name in _shown(contents):
        rows, columns = contents.tables[name], columns_of(name, contents.models, contents.pairs)
        found[name] |= {"tex": to_latex(rows, columns, LINEAGE_TITLES[name]), "md": to_markdown(rows, columns)}
    return found


def _named(contents: LineageContents, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows in which lists over models and pairs are keyed by name, so that a CSV says whose number stands where."""
    by = {
        "models": contents.models,
        "scores": contents.models,
        "pairs": [f"{base} to {tuned}" for base, tuned in contents.pairs],
    }
    return [
        {key: dict(zip(by[key], value, strict=True)) if key in by else value for key, value in row.items()}
        for row in rows
    ]


def _charts(contents: LineageContents) -> dict[str, Spec]:
    rows, models = contents.tables, contents.models
    n_read = max((row["rank"] for row in rows["figure8"]), default=0)
    found: dict[str, tuple[Callable[..., Spec], str, tuple[Any, ...]]] = {
        "stages": (stages_chart, "table2", (models,)),
        "figure6": (quarters_chart, "figure6", (models,)),
        "figure2": (pairs_chart, "figure2", ()),
        "rotation": (turned_chart, "rotation", ()),
        "figure8": (variance_chart, "figure8", (models, n_read)),
        "figure3": (levels_chart, "figure3", (models,)),
        "figure7": (interpreted_chart, "figure7", (models,)),
    }
    return {name: chart(rows[table], *more) for name, (chart, table, more) in found.items() if rows[table]}


def _html_table(contents: LineageContents, name: str) -> dict[str, Any]:
    rows, columns = contents.tables[name], columns_of(name, contents.models, contents.pairs)
    heads: list[Column] = columns
    return {
        "heads": [(title, kind in TEXT_KINDS) for title, kind, _ in heads],
        "rows": cells_of(rows, columns, HTML),
        "quiet": [False] * len(rows),
    }
