"""One salient map as a file: an interactive page, or figure 1 as SVG or PNG."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import RunError
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.report.figures import map_chart
from aftertune.report.formats import number
from aftertune.report.packing import encode_bytes
from aftertune.report.page import environment
from aftertune.report.prompts import side_of
from aftertune.report.render import write_picture
from aftertune.runs.parts import write_text

SUFFIXES = (".html", ".svg", ".png")


def write_instance(
    path: str | Path,
    salient: SalientMap,
    importance: npt.NDArray[np.float32] | None = None,
    probability: npt.NDArray[np.float32] | None = None,
) -> Path:
    """Write one map as .html, .svg or .png, as the suffix says; returns the path.

    With ``importance`` (n_prompt, n_response) and ``probability`` (n_response,) the page shows those numbers too.
    Raises `RunError` for another suffix, shapes that do not fit the map, or a place that cannot be written.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise RunError(f"{target.name} has no suffix that can be written. Name the file .html, .svg or .png.")
    _check_shape("importance", importance, salient.levels.shape)
    _check_shape("probability", probability, (salient.n_response,))
    if target.suffix == ".html":
        write_text(target, _page(salient, importance, probability))
    else:
        write_picture(target, map_chart(salient))
    return target


def _page(
    salient: SalientMap, importance: npt.NDArray[np.float32] | None, probability: npt.NDArray[np.float32] | None
) -> str:
    side: dict[str, Any] = {"role": "only", **side_of(salient), "score": number(salient.score())}
    side |= {"copied": None, "repetitive": False, "helpfulness": salient.helpfulness}
    if importance is not None:
        side["importance"] = encode_bytes(importance.astype("<f4"))
    if probability is not None:
        side["probability"] = [float(f"{value:.4g}") for value in probability.tolist()]
    payload = {"id": salient.id, "sides": [side]}
    return environment().get_template("instance.html").render(salient=salient, payload=payload)


def _check_shape(name: str, array: npt.NDArray[np.float32] | None, shape: tuple[int, ...]) -> None:
    if array is not None and array.shape != shape:
        raise RunError(f"The {name} has shape {array.shape}, the map needs {shape}. Give both of the same attribution.")
