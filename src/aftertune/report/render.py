"""A chart becomes a picture: SVG text or PNG bytes, drawn here, with nothing fetched from the network."""

from pathlib import Path

import altair as alt
import vl_convert

from aftertune.errors import RunError
from aftertune.results.parts import replacing, write_text

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
PNG_SCALE = 3.0


def to_svg(chart: alt.TopLevelMixin) -> str:
    """The chart as SVG text, on a clear ground."""
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=VEGA_LITE)
    return svg


def to_png(chart: alt.TopLevelMixin) -> bytes:
    """The chart as PNG, three dots a unit, on white."""
    spec = chart.to_dict()
    spec.setdefault("config", {})["background"] = "white"
    png: bytes = vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=PNG_SCALE)
    return png


def write_picture(path: Path, chart: alt.TopLevelMixin) -> None:
    """Write the chart as .svg or .png by the suffix, whole or not at all; raises `RunError` for another suffix."""
    if path.suffix == ".svg":
        write_text(path, to_svg(chart))
    elif path.suffix == ".png":
        with replacing(path) as file:
            file.write(to_png(chart))
    else:
        raise RunError(f"A picture cannot be written as {path.suffix or 'a file without suffix'}. Use .svg or .png.")
