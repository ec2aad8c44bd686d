"""A figure: one chart definition, from which the page, a notebook, SVG and PNG are drawn."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from aftertune.report.values import Chart
from aftertune.runs.parts import write_text


@dataclass(frozen=True, eq=False)
class Figure:
    """A ``chart`` (a Vega-Lite specification with its data in it) with its ``title`` and ``caption``.

    ``chart`` is None where there is nothing to draw; ``empty`` is then said in its place. ``table`` is the name of the
    table that has its numbers.
    """

    name: str
    title: str
    caption: str
    chart: Chart | None
    table: str = ""
    empty: str = ""

    @property
    def svg(self) -> Markup:
        """The drawing as SVG; empty where there is nothing to draw, or it can't be drawn."""
        return self._drawn[0]

    @property
    def problem(self) -> str:
        """Why there is no drawing of what could be drawn, in a sentence; empty where there is one."""
        return self._drawn[1]

    @property
    def width(self) -> int:
        """How many pixels wide the drawing is; 0 where there is none."""
        found = re.search(r'\bwidth="(\d+)', self.svg)
        return int(found[1]) if found else 0

    @cached_property
    def _drawn(self) -> tuple[Markup, str]:
        from aftertune.report.render import to_svg
        from aftertune.report.renderer import NotDrawnError

        try:
            return Markup(to_svg(self.chart)) if self.chart is not None else Markup(""), ""
        except NotDrawnError as error:
            return Markup(""), f"This picture could not be drawn: {error}."


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure that has a chart as .svg, .png or .pdf; raises what `aftertune.report.render.write_picture` does.

    The drawing of the page serves as its SVG.
    """
    from aftertune.report.render import write_picture

    if path.suffix == ".svg" and figure.svg:
        write_text(path, figure.svg)
    elif figure.chart is not None:
        write_picture(path, figure.chart)
