"""A Vega-Lite specification becomes a picture: SVG, PNG or PDF, drawn here, nothing fetched from the network."""

from pathlib import Path
from typing import Any

from aftertune.errors import RunError
from aftertune.report.values import Chart
from aftertune.runs.parts import replacing, write_text

PNG_SCALE = 3.0
SUFFIXES = (".svg", ".png", ".pdf")


def drawn(spec: Chart, to: str, **how: Any) -> Any:
    """The chart as what vl-convert makes of it: svg, png or pdf."""
    import altair  # only now: what draws takes long to import
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return getattr(vl_convert, f"vegalite_to_{to}")(spec, vl_version=version, **how)


def to_svg(spec: Chart) -> str:
    """The chart as SVG text, on a clear ground."""
    return str(drawn(spec, "svg"))


def to_png(spec: Chart) -> bytes:
    """The chart as PNG, three dots a unit, on white."""
    return bytes(drawn(_on_white(spec), "png", scale=PNG_SCALE))


def to_pdf(spec: Chart) -> bytes:
    """The chart as one page of PDF of its own size, its letters as text, on white."""
    return bytes(drawn(_on_white(spec), "pdf"))


def write_picture(path: Path, spec: Chart) -> None:
    """Write the chart as .svg, .png or .pdf by the suffix, whole or not at all; raises `RunError` for another one."""
    if path.suffix == ".svg":
        write_text(path, to_svg(spec))
    elif path.suffix in SUFFIXES:
        with replacing(path) as file:
            file.write(to_png(spec) if path.suffix == ".png" else to_pdf(spec))
    else:
        given = path.suffix or "a file without suffix"
        raise RunError(f"A picture cannot be written as {given}. Use .svg, .png or .pdf.")


def _on_white(spec: Chart) -> Chart:
    return {**spec, "config": {**spec["config"], "background": "white"}}
