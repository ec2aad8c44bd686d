"""The feed-forward layers of a model in a run folder: two Parquet parts for each layer, and the vocabulary once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.errors import RunError
from aftertune.results.concepts import COMPONENTS, ConceptReading
from aftertune.results.run import RunFolder

PARTS = ("components", "spectra")
WORDS = ("concepts", "words", "words.parquet")
ABOUT = {"model", "layers", "n_layers", "d_model"}

Frames = dict[str, pl.DataFrame]


def write_layer(run: RunFolder, role: str, layer: int, frames: Frames) -> None:
    """Write the frames of one layer; raises `RunError` if that fails."""
    for name in PARTS:
        run.write_frame(_part(name, role, layer), frames[name])


def layer_is_written(run: RunFolder, role: str, layer: int) -> bool:
    """Whether all frames of a layer lie in the run."""
    return all(run.exists(*_part(name, role, layer)) for name in PARTS)


def remember_concepts(run: RunFolder, role: str, about: Mapping[str, Any]) -> None:
    """Keep what `ConceptReading` says of a model (``model, layers, n_layers, d_model``) beside its layers."""
    run.remember(f"concepts-{role}.json", dict(about))


def recall_concepts(run: RunFolder, role: str) -> dict[str, Any] | None:
    """What `remember_concepts` kept; None if nothing was."""
    name = f"concepts-{role}.json"
    if not run.exists(name):
        return None
    about = run.read_json(name)["record"]
    if set(about) != ABOUT:
        raise RunError(f"{run.path(name)} is of another version of Aftertune, or damaged. Start again in a new folder.")
    return {**about, "layers": tuple(about["layers"])}


def open_concepts(run: RunFolder, role: str, name: str | None = None) -> ConceptReading:
    """The concepts of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about = recall_concepts(run, role)
    if about is None or not all(layer_is_written(run, role, layer) for layer in about["layers"]):
        raise RunError(
            f"The concepts of {role!r} are not there, or not all read yet, in {run.address}. "
            "Start the command that reads them again; it goes on where it stopped."
        )
    found = [{part: run.read_frame(_part(part, role, layer)) for part in PARTS} for layer in about["layers"]]
    return reading_of(
        found,
        words=tuple(run.read_frame(WORDS)["word"]),
        settings=run.read_json("concepts.json")["identity"],
        **about | ({"model": name} if name else {}),
    )


def reading_of(frames: Sequence[Frames], **known: Any) -> ConceptReading:
    """A `ConceptReading` from the frames of its layers and all else that it says."""
    joined = {name: pl.concat([one[name] for one in frames]) for name in PARTS}
    networks = joined["components"].partition_by("layer", "expert", as_dict=True, maintain_order=True)
    directions = {key: np.asarray(frame["direction"].to_numpy()) for key, frame in networks.items()}
    return ConceptReading(
        components=joined["components"].select(*COMPONENTS),
        spectra=joined["spectra"],
        directions={(int(layer), int(expert)): rows for (layer, expert), rows in directions.items()},
        **known,
    )


def _part(name: str, role: str, layer: int) -> tuple[str, str, str]:
    return f"concepts/{name}", role, f"layer-{layer:03d}.parquet"
