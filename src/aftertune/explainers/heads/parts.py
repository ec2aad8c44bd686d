"""The heads of a model in a run folder: four Parquet parts for each layer, and the vocabulary once."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from aftertune.explainers.heads.result import FRAMES, HeadReading
from aftertune.runs.layer_parts import Frames, LayerParts
from aftertune.runs.run import RunFolder

HEADS = LayerParts("heads", tuple(FRAMES), frozenset({"model", "layers", "n_layers", "n_heads", "d_head"}))


def open_heads(run: RunFolder, role: str, name: str | None = None) -> HeadReading:
    """The heads of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about, found = HEADS.read(run, role)
    words = run.read_frame(HEADS.words)
    return HeadReading(
        words=tuple(words["word"]),
        has_vector=words["has_vector"].to_numpy(),
        settings=run.read_json(HEADS.settings)["identity"],
        **about | ({"model": name} if name else {}),
        **join_layers(found),
    )


def join_layers(layers: Sequence[Frames]) -> dict[str, Any]:
    """The frames of all layers, one below the other."""
    return {name: pl.concat([frames[name] for frames in layers]) for name in FRAMES}
