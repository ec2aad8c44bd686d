"""From findings and sections to a report: the page, the tables and the figures in one folder.

1. ``tables/``: each table as CSV, and as LaTeX and Markdown where it has columns.
2. ``figures/``: each figure as SVG and PNG, each picture as SVG.
3. ``report.html``: one file that fetches nothing (its content security policy forbids it). Its pages, findings, one for
   each section, and methods, are parts of the file of which scripts show one; what is large stands in it as compressed
   data that is drawn when it is asked for.

It knows no explainer: of two models or of many, a report is its findings and its sections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aftertune.errors import RunError
from aftertune.report.environment import render
from aftertune.report.figure import Figure, write_figure
from aftertune.report.numbers import numbers
from aftertune.report.prose import markdown_of
from aftertune.report.renderer import NotDrawnError
from aftertune.report.section import Section
from aftertune.report.table import ROLES, Table
from aftertune.runs.parts import write_text
from aftertune.statistics.finding import Finding
from aftertune.statistics.verdict import Status, TuningVerdict

SCRIPTS = ("downloads.js", "sideways.js", "pages.js")


@dataclass(frozen=True)
class Report:
    """All that one report shows of ``models``, in the order of their training.

    ``verdict`` is that on two models, ``summary`` what is told beside it, or of several models. ``not_run`` says what
    was not measured, ``notes`` what a reader must know first. ``reports`` are the reports of pairs of these models that
    lie beside it: names, and the address from here. ``lead`` is what the page on methods begins with.

    Raises `RunError` if two models have one name, if there is no
    section, or if two tables or two figures of it have one name.
    """

    title: str
    models: tuple[str, ...]
    summary: Sequence[str]
    findings: Sequence[Finding]
    sections: Sequence[Section]
    settings: dict[str, Any] = field(default_factory=dict)
    not_run: Sequence[str] = ()
    notes: Sequence[str] = ()
    reports: Sequence[tuple[str, str]] = ()
    verdict: TuningVerdict | None = None
    lead: str = ""

    def __post_init__(self) -> None:
        if len(set(self.models)) < len(self.models):
            raise RunError(f"Two models are called {self.models[0]!r}. Give each its own name for the report.")
        if not self.sections and (self.verdict is None or self.verdict.status is not Status.SAME):
            raise RunError("There is nothing to report: no explainer has measured anything.")
        for names in ([one.name for one in self.tables], [one.name for one in self.figures]):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise RunError(f"Two tables or figures of one report are called {twice!r}. Rename one of them.")

    def methods_text(self) -> str:
        """The page on methods as Markdown."""
        parts = (self.lead, *(section.methods for section in self.sections))
        return "# Methods\n\n" + "\n\n".join(markdown_of(str(one)) for one in parts if one) + "\n"

    @property
    def tables(self) -> list[Table]:
        """The tables of all sections."""
        return [table for section in self.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        """The figures of all sections that can be drawn."""
        return [one for section in self.sections for one in section.figures if one.chart is not None]

    def numbers(self, finding: Finding) -> list[tuple[str, str]]:
        """The numbers behind a finding, named as its section names them."""
        name = finding.kind.partition(".")[0]
        own = next((section.labels for section in self.sections if section.name == name), {})
        return numbers(finding.evidence, own)


def write_report(folder: Path, report: Report) -> Path:
    """Write ``report.html``, ``tables/`` and ``figures/`` into ``folder``; returns the page's path.

    Each file is written whole or not at all; raises `RunError` if that fails.
    """
    texts = texts_of(report)
    for name, formats in texts.items():
        for suffix, text in formats.items():
            write_text(folder / "tables" / f"{name}.{suffix}", text)
    problems = _write_pictures(folder, report)
    page = folder / "report.html"
    write_text(page, page_of(replace(report, notes=(*report.notes, *problems)), texts))
    return page


def page_of(report: Report, texts: dict[str, dict[str, str]] | None = None) -> str:
    """The page alone; ``texts`` are those of its tables (`texts_of`), where they are there."""
    texts = texts_of(report) if texts is None else texts
    return str(render("report.html", report=report, texts=texts, scripts=_scripts(report)))


def texts_of(report: Report) -> dict[str, dict[str, str]]:
    """Each table as files, by its name and by suffix; LaTeX names the two models in the headings."""
    models = report.models if len(report.models) == len(ROLES) else ()
    return {table.name: table.texts(models) for table in report.tables}


def _write_pictures(folder: Path, report: Report) -> list[str]:
    """Write each figure as SVG and PNG, each picture as SVG; returns sentences on what can't be drawn.

    Of a figure whose place in the page says so already there is none.
    """
    pictures = [one for section in report.sections for one in section.pictures if one.chart is not None]
    wanted = [(one, suffix) for one in report.figures for suffix in ("svg", "png")] + [(one, "svg") for one in pictures]
    problems = {}
    for figure, suffix in wanted:
        place = folder / "figures" / f"{figure.name}.{suffix}"
        try:
            write_figure(place, figure)
        except NotDrawnError as error:
            place.unlink(missing_ok=True)  # one of an earlier report would show something else
            if figure in pictures or not figure.problem:
                problems[figure.name] = str(error)
    return list(problems.values())


def _scripts(report: Report) -> list[Path | str]:
    """The modules of the page, ours last: they show the page when all parts are there."""
    return [*dict.fromkeys(one for section in report.sections for one in section.scripts), *SCRIPTS]
