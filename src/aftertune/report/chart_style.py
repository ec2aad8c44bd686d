"""The look that all figures share: fonts, a scale for models, and data put in unchecked.

Models differ in colour, dash and mark, so that no figure is read by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from aftertune.report.colours import GREY, one_each

Spec = dict[str, Any]
FONT = "Arial, Helvetica, sans-serif"
LONGEST_LABEL = 24
LOOK: Spec = {
    **{"font": FONT, "background": "transparent", "aria": False},
    "view": {"stroke": None},
    "axis": {
        **{"grid": False, "domainColor": GREY, "tickColor": GREY},
        **{"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
    },
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "legend": {"labelFontSize": 11, "titleFontSize": 11, "orient": "top"},
    "title": {"fontSize": 12, "anchor": "start"},
}


def shorten(text: str, longest: int = LONGEST_LABEL) -> str:
    """The text, cut with an ellipsis where it is longer than ``longest``."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def model_scale(models: Sequence[str], looks: Sequence[Any]) -> alt.Scale:
    """A look for each model: its colour, dash or mark."""
    return alt.Scale(domain=list(models), range=one_each(looks, len(models)))


def styled(chart: Any, datasets: Mapping[str, list[dict[str, Any]]]) -> Spec:
    """The look of all figures: nothing but data in full colour, text that a page's own colours can replace."""
    # Neither checked (each part was when it was made) nor configured by altair, which copies a chart at each step.
    spec: Spec = chart.to_dict(validate=False)
    config = spec.get("config", {})
    spec["config"] = config | {
        name: config.get(name, {}) | look if isinstance(look, dict) else look for name, look in LOOK.items()
    }
    # Data are put in afterwards: a map has thousands of cells, and checking each against the schema takes seconds.
    spec["datasets"] = {**spec.get("datasets", {}), **datasets}
    return spec
