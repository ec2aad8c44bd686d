"""What reading a model's feed-forward layers found: components, and the words that lie along them (paper 5.2).

In a run folder it is two Parquet parts for each layer, and the vocabulary once. One more part for each model says how
near words lie to random directions; runs of earlier versions have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.concepts.chance import Sample, chance_p_values
from aftertune.runs.layer_parts import Frames, LayerParts
from aftertune.runs.records import identity_of
from aftertune.runs.result import Result
from aftertune.runs.run import RunFolder

NETWORK: dict[str, Any] = {"layer": pl.Int16, "expert": pl.Int16}
COMPONENTS: dict[str, Any] = {
    **NETWORK,
    "rank": pl.Int32,
    "variance_share": pl.Float64,
    "words": pl.List(pl.String),
    "cosines": pl.List(pl.Float32),
}
SPECTRA: dict[str, Any] = {**NETWORK, "rank": pl.Int32, "variance": pl.Float64}
CONCEPTS = LayerParts("concepts", ("components", "spectra"), frozenset({"model", "layers", "n_layers", "d_model"}))

Network = tuple[int, int]


@dataclass(frozen=True, eq=False, repr=False)
class ConceptReading(Result):
    """The principal components of the down projections of ``model``, in the layers that were read.

    ``components`` has a row for each of the first components of a network, at most ``n_components``: ``layer, expert,
    rank, variance_share, words, cosines, p_chance``. ``words`` are those whose output embedding has the largest
    |cosine| with the component, first the largest; a negative cosine stands for a word on the other side. ``p_chance``
    says how often a random direction has a word as near (`aftertune.explainers.concepts.chance`); it is not corrected
    for testing many components, and null where that was not measured (runs of earlier versions). Layers and experts
    count from 0 (a layer without experts is expert 0, a shared expert comes after the others), ranks from 1.
    ``spectra`` has the variance along every component of every network, ``layer, expert, rank, variance``, also of
    those without words.

    ``directions`` has the components themselves, by (layer, expert): unit rows (n_components, d_model), the sign such
    that the first word's cosine is positive.

    ``chance`` (n_random,) has the |cosine| of the nearest word of random directions, ascending; None where not
    measured.

    ``settings`` is what must be the same for two readings to be compared; ``words`` the vocabulary.
    """

    model: str
    layers: tuple[int, ...]
    n_layers: int
    d_model: int
    words: tuple[str, ...]
    settings: dict[str, Any]
    components: pl.DataFrame
    spectra: pl.DataFrame
    directions: dict[Network, npt.NDArray[np.floating[Any]]]
    chance: Sample | None = None

    def to_dict(self) -> dict[str, Any]:
        """What was read and how, and the components without their directions, as plain JSON data."""
        names = ("model", "layers", "n_layers", "d_model", "settings")
        return {name: getattr(self, name) for name in names} | {"components": self.components.to_dicts()}

    def to_polars(self) -> pl.DataFrame:
        """``components``, a row for each, with their ``direction`` (d_model) in a column of its own.

        ``variance_share`` is a share of the network's variance, 0 to 1; a ``direction`` has length 1.
        """
        found = [row for network in sorted(self.directions) for row in self.directions[network]]
        kind = pl.Float64 if any(one.dtype == np.float64 for one in self.directions.values()) else pl.Float32
        return self.components.with_columns(direction=pl.Series(found, dtype=pl.Array(kind, self.d_model)))

    def concepts_with(self, word: str) -> pl.DataFrame:
        """The rows of ``components`` among whose words a word is, however it is capitalised."""
        lowered = pl.col("words").list.eval(pl.element().str.to_lowercase())
        return self.components.filter(lowered.list.contains(word.lower()))

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.layers), "n_components": self.components.height}
        return {"model": self.model} | sizes | {"d_model": self.d_model, "n_words": len(self.words)}


def open_concepts(run: str | Path, role: str = "model") -> ConceptReading:
    """The concepts that lie in a run folder.

    ``role`` is "model" after ``aftertune concepts``; after ``aftertune compare`` it is "base", "tuned", and "tuned-2"
    and so on where there are more.

    Raises `RunError` if there is no run, or its concepts are not read, not complete, or damaged.
    """
    folder = RunFolder.open(run)
    CONCEPTS.must_be_of(folder, role)
    return reading_in(folder, role)


def reading_in(run: RunFolder, role: str, name: str | None = None) -> ConceptReading:
    """The concepts of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about, found = CONCEPTS.read(run, role)
    return reading_of(
        found,
        words=tuple(run.read_frame(CONCEPTS.words)["word"]),
        settings=identity_of(run, CONCEPTS.settings, dict[str, Any]),
        chance=run.read_frame(chance_part(role))["cosine"].to_numpy() if has_chance(run, role) else None,
        **about | ({"model": name} if name else {}),
    )


def reading_of(frames: Sequence[Frames], chance: Sample | None, **known: Any) -> ConceptReading:
    """A `ConceptReading` from the frames of its layers, the random directions, and all else that it says."""
    joined = {name: pl.concat([one[name] for one in frames]) for name in CONCEPTS.frames}
    components = joined["components"].select(*COMPONENTS)
    networks = joined["components"].partition_by("layer", "expert", as_dict=True, maintain_order=True)
    directions = {key: np.asarray(frame["direction"].to_numpy()) for key, frame in networks.items()}
    return ConceptReading(
        components=components.with_columns(chance_p_values(components, chance, len(known["words"]), known["d_model"])),
        spectra=joined["spectra"],
        directions={(int(layer), int(expert)): rows for (layer, expert), rows in directions.items()},
        chance=chance,
        **known,
    )


def has_chance(run: RunFolder, role: str) -> bool:
    """Whether the run says how near words lie to random directions."""
    return run.exists(*chance_part(role))


def write_chance(run: RunFolder, part: tuple[str, str, str], chance: Sample) -> None:
    """Keep how near words lie to random directions; raises `RunError` if that fails."""
    run.write_frame(part, pl.DataFrame({"cosine": chance}))


def chance_part(role: str) -> tuple[str, str, str]:
    """The part that says how near words lie to random directions."""
    return "concepts/chance", role, "cosines.parquet"
