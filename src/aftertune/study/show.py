"""How do a comparison and the stages of several models show themselves in a notebook?

The findings as headlines that open, and of each explainer its first table and its first figure.
"""

from functools import singledispatch
from typing import Any

from aftertune.explainers import explainers
from aftertune.report import notebook
from aftertune.report.section import Section
from aftertune.study.comparison import Comparison
from aftertune.study.stages import Stages


@singledispatch
def to_html(result: Any) -> str:
    """A result of this package as HTML for a notebook."""
    return notebook.frame_to_html(type(result).__name__, repr(result), result.to_polars())


@to_html.register
def _comparison(comparison: Comparison) -> str:
    known = explainers()
    sections = [known[name].section(change) for name, change in comparison.changes.items()]
    title = f"What tuning changed: {comparison.base} → {comparison.tuned}"
    facts = " ".join(comparison.summary)
    return notebook.to_html(title, facts, comparison.findings, **_first_of(sections))


@to_html.register
def _stages(stages: Stages) -> str:
    title = f"What each stage of tuning changed: {' → '.join(stages.names)}"
    facts = f"{len(stages.comparisons)} comparisons; comparison(base, tuned) shows one of them."
    return notebook.to_html(title, facts, stages.findings, tables=[stages.measure_table()])


def _first_of(sections: list[Section]) -> dict[str, Any]:
    """The first table with rows and the first figure that can be drawn, of each section."""
    tables = [next((one for one in section.tables if one.columns and one.listed), None) for section in sections]
    figures = [next((one for one in section.figures if one.chart is not None), None) for section in sections]
    return {"tables": [one for one in tables if one], "figures": [one for one in figures if one]}
