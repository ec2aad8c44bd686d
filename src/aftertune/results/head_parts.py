"""The heads of a model in a run folder: four Parquet parts for each layer, and the vocabulary once."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.results.heads import FRAMES, HeadReading
from aftertune.results.run import RunFolder

LAST = "pairs"  # the part that is written last: a layer is done when it is there
WORDS = ("heads", "words", "words.parquet")

Frames = Mapping[str, pl.DataFrame]


def write_layer(run: RunFolder, role: str, layer: int, frames: Frames) -> None:
    """Write the frames of one layer; raises `RunError` if that fails."""
    for name in sorted(frames, key=lambda name: name == LAST):
        run.write_frame(_part(name, role, layer), frames[name])


def layer_is_written(run: RunFolder, role: str, layer: int) -> bool:
    """Whether all frames of a layer lie in the run."""
    return run.exists(*_part(LAST, role, layer))


def heads_are_measured(run: RunFolder, role: str) -> bool:
    """Whether all layers of ``role`` lie in the run."""
    name = f"heads-{role}.json"
    if not run.exists(name):
        return False
    return all(layer_is_written(run, role, layer) for layer in run.read_json(name)["identity"]["layers"])


def open_heads(run: RunFolder, role: str, name: str | None = None) -> HeadReading:
    """The heads of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    if not heads_are_measured(run, role):
        raise RunError(
            f"The heads of {role!r} are not there, or not all read yet, in {run.address}. "
            "Start the command that reads them again; it goes on where it stopped."
        )
    about = run.read_json(f"heads-{role}.json")
    words = run.read_frame(WORDS)
    shape = about["identity"] | {"layers": tuple(about["identity"]["layers"])}
    found = [{part: run.read_frame(_part(part, role, layer)) for part in FRAMES} for layer in shape["layers"]]
    return HeadReading(
        model=name or about["record"]["name"],
        words=tuple(words["word"]),
        has_vector=words["has_vector"].to_numpy(),
        settings=run.read_json("heads.json")["identity"],
        **shape,
        **join_layers(found),
    )


def join_layers(layers: Sequence[Frames]) -> dict[str, Any]:
    """The frames of all layers, one below the other."""
    return {name: pl.concat([frames[name] for frames in layers]) for name in FRAMES}


def _part(name: str, role: str, layer: int) -> tuple[str, str, str]:
    return f"heads/{name}", role, f"layer-{layer:03d}.parquet"
