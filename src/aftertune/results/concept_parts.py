"""The feed-forward layers of a model in a run folder: two Parquet parts for each layer, and the vocabulary once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.results.concepts import COMPONENTS, ConceptReading
from aftertune.results.layer_parts import Frames, LayerParts
from aftertune.results.run import RunFolder

CONCEPTS = LayerParts("concepts", ("components", "spectra"), frozenset({"model", "layers", "n_layers", "d_model"}))


def open_concepts(run: RunFolder, role: str, name: str | None = None) -> ConceptReading:
    """The concepts of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about, found = CONCEPTS.read(run, role)
    return reading_of(
        found,
        words=tuple(run.read_frame(CONCEPTS.words)["word"]),
        settings=run.read_json("concepts.json")["identity"],
        **about | ({"model": name} if name else {}),
    )


def reading_of(frames: Sequence[Frames], **known: Any) -> ConceptReading:
    """A `ConceptReading` from the frames of its layers and all else that it says."""
    joined = {name: pl.concat([one[name] for one in frames]) for name in CONCEPTS.frames}
    networks = joined["components"].partition_by("layer", "expert", as_dict=True, maintain_order=True)
    directions = {key: np.asarray(frame["direction"].to_numpy()) for key, frame in networks.items()}
    return ConceptReading(
        components=joined["components"].select(*COMPONENTS),
        spectra=joined["spectra"],
        directions={(int(layer), int(expert)): rows for (layer, expert), rows in directions.items()},
        **known,
    )
