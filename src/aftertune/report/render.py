"""A Vega-Lite specification becomes a picture: SVG text or PNG bytes, drawn here, nothing fetched from the network."""

from pathlib import Path

import altair as alt
import vl_convert

from aftertune.errors import RunError
from aftertune.report.values import Chart
from aftertune.runs.parts import replacing, write_text

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
PNG_SCALE = 3.0


def to_svg(spec: Chart) -> str:
    """The chart as SVG text, on a clear ground."""
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    return svg


def to_png(spec: Chart) -> bytes:
    """The chart as PNG, three dots a unit, on white."""
    on_white = {**spec, "config": {**spec["config"], "background": "white"}}
    png: bytes = vl_convert.vegalite_to_png(on_white, vl_version=VEGA_LITE, scale=PNG_SCALE)
    return png


def write_picture(path: Path, spec: Chart) -> None:
    """Write the chart as .svg or .png by the suffix, whole or not at all; raises `RunError` for another suffix."""
    if path.suffix == ".svg":
        write_text(path, to_svg(spec))
    elif path.suffix == ".png":
        with replacing(path) as file:
            file.write(to_png(spec))
    else:
        raise RunError(f"A picture cannot be written as {path.suffix or 'a file without suffix'}. Use .svg or .png.")
