"""A Vega-Lite specification becomes a picture: SVG, PNG or PDF, drawn here, nothing fetched from the network.

All raise `aftertune.report.renderer.NotDrawnError` for a picture that can't be drawn.
"""

from collections.abc import Callable
from pathlib import Path

from aftertune.errors import RunError
from aftertune.report.renderer import NotDrawnError, Renderer
from aftertune.report.values import Chart
from aftertune.runs.parts import replacing

PNG_SCALE = 3.0
RENDERER = Renderer()


def drawn(spec: Chart, to: str, **how: object) -> bytes:
    """The chart as what vl-convert makes of it: svg, png or pdf."""
    import altair  # only now: it takes long to import

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return RENDERER.draw(spec, to, {"vl_version": version, **how})


def to_svg(spec: Chart) -> str:
    """The chart as SVG text, on a clear ground."""
    return drawn(spec, "svg").decode()


def to_png(spec: Chart) -> bytes:
    """The chart as PNG, three dots a unit, on white."""
    return drawn(_on_white(spec), "png", scale=PNG_SCALE)


def to_pdf(spec: Chart) -> bytes:
    """The chart as one page of PDF of its own size, its letters as text, on white."""
    return drawn(_on_white(spec), "pdf")


WRITERS: dict[str, Callable[[Chart], bytes]] = {
    ".svg": lambda spec: to_svg(spec).encode(),
    ".png": to_png,
    ".pdf": to_pdf,
}
SUFFIXES = tuple(WRITERS)


def write_picture(path: Path, spec: Chart) -> None:
    """Write the chart as .svg, .png or .pdf by the suffix, whole or not at all; raises `RunError` for another one."""
    if path.suffix not in SUFFIXES:
        given = path.suffix or "a file without suffix"
        raise RunError(f"A picture cannot be written as {given}. Use .svg, .png or .pdf.")
    try:
        picture = WRITERS[path.suffix](spec)
    except NotDrawnError as error:
        raise NotDrawnError(
            f"The picture {path.name} could not be drawn: {error}. Its numbers are in the tables."
        ) from None
    with replacing(path) as file:
        file.write(picture)


def _on_white(spec: Chart) -> Chart:
    return {**spec, "config": {**spec["config"], "background": "white"}}
