"""Runs that hold components without any model: words that a test chooses, along directions that nobody looks at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from aftertune.explainers.concepts.result import COMPONENTS, CONCEPTS, SPECTRA
from aftertune.runs.run import RunFolder

D_MODEL = 4
Words = Sequence[Sequence[str]]


def save_concepts(folder: Path, roles: Mapping[str, Sequence[Words]]) -> Path:
    """A run whose ``roles`` each have layers, each of components in their order, each of words."""
    run = RunFolder.start(folder, {"model": {"checkpoint": "planted"}}, {})
    run.claim("concepts.json", {"plan": {"n_components": 3}}, {})
    vocabulary = sorted({word for layers in roles.values() for layer in layers for words in layer for word in words})
    run.write_frame(CONCEPTS.words, pl.DataFrame({"word": vocabulary}))
    for role, layers in roles.items():
        for number, components in enumerate(layers):
            CONCEPTS.write(run, role, number, _frames(number, components))
        about = {"model": role, "layers": tuple(range(len(layers))), "n_layers": len(layers), "d_model": D_MODEL}
        CONCEPTS.remember(run, role, about)
    return folder


def _frames(layer: int, components: Words) -> dict[str, pl.DataFrame]:
    place = [{"layer": layer, "expert": 0, "rank": rank} for rank in range(1, len(components) + 1)]
    rows = [
        row | {"variance_share": 0.1, "words": list(words), "cosines": [0.5] * len(words)}
        for row, words in zip(place, components, strict=True)
    ]
    directions = pl.Series("direction", np.eye(D_MODEL)[: len(rows)], dtype=pl.Array(pl.Float64, D_MODEL))
    spectra = pl.DataFrame([row | {"variance": 1.0} for row in place], SPECTRA)
    return {"components": pl.DataFrame(rows, COMPONENTS).with_columns(directions), "spectra": spectra}
