"""A figure: one chart definition, from which the page, a notebook, SVG and PNG are drawn."""

import re
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from aftertune.report.values import Chart


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

    @cached_property
    def svg(self) -> Markup:
        """The drawing as SVG; empty where there is nothing to draw."""
        from aftertune.report.render import to_svg  # only now: what draws takes long to import

        return Markup(to_svg(self.chart)) if self.chart is not None else Markup("")

    @property
    def width(self) -> int:
        """How many pixels wide the drawing is; 0 where there is none."""
        found = re.search(r'\bwidth="(\d+)', self.svg)
        return int(found[1]) if found else 0
