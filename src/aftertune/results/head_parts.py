"""The heads of a model in a run folder: four Parquet parts for each layer, and the vocabulary once."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.results.heads import FRAMES, HeadReading
from aftertune.results.run import RunFolder

WORDS = ("heads", "words", "words.parquet")
ABOUT = {"model", "layers", "n_layers", "n_heads", "d_head"}

Frames = Mapping[str, pl.DataFrame]


def write_layer(run: RunFolder, role: str, layer: int, frames: Frames) -> None:
    """Write the frames of one layer; raises `RunError` if that fails."""
    for name in FRAMES:
        run.write_frame(_part(name, role, layer), frames[name])


def layer_is_written(run: RunFolder, role: str, layer: int) -> bool:
    """Whether all frames of a layer lie in the run."""
    return all(run.exists(*_part(name, role, layer)) for name in FRAMES)


def remember_heads(run: RunFolder, role: str, about: Mapping[str, Any]) -> None:
    """Keep what `HeadReading` says of a model (``model, layers, n_layers, n_heads, d_head``) beside its layers."""
    run.remember(f"heads-{role}.json", dict(about))


def recall_heads(run: RunFolder, role: str) -> dict[str, Any] | None:
    """What `remember_heads` kept; None if nothing was."""
    name = f"heads-{role}.json"
    if not run.exists(name):
        return None
    about = run.read_json(name)["record"]
    if set(about) != ABOUT:
        raise RunError(f"{run.path(name)} is of another version of Aftertune, or damaged. Start again in a new folder.")
    return {**about, "layers": tuple(about["layers"])}


def open_heads(run: RunFolder, role: str, name: str | None = None) -> HeadReading:
    """The heads of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about = recall_heads(run, role)
    if about is None or not all(layer_is_written(run, role, layer) for layer in about["layers"]):
        raise RunError(
            f"The heads of {role!r} are not there, or not all read yet, in {run.address}. "
            "Start the command that reads them again; it goes on where it stopped."
        )
    words = run.read_frame(WORDS)
    found = [{part: run.read_frame(_part(part, role, layer)) for part in FRAMES} for layer in about["layers"]]
    return HeadReading(
        words=tuple(words["word"]),
        has_vector=words["has_vector"].to_numpy(),
        settings=run.read_json("heads.json")["identity"],
        **about | ({"model": name} if name else {}),
        **join_layers(found),
    )


def join_layers(layers: Sequence[Frames]) -> dict[str, Any]:
    """The frames of all layers, one below the other."""
    return {name: pl.concat([frames[name] for frames in layers]) for name in FRAMES}


def _part(name: str, role: str, layer: int) -> tuple[str, str, str]:
    return f"heads/{name}", role, f"layer-{layer:03d}.parquet"
