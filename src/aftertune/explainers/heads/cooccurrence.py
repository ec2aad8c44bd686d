"""Which words occur together, by their word vectors?  (Paper 5.1.)

1. The threshold of a word: mean + 1.96 standard deviations of its cosine with the most frequent words that have a
   vector. A word without a vector has an infinite one, so that it forms no pair.
2. The controls: the same with vectors given to other words, "permuted" to any word, "frequency-matched" within bands of
   words that are about as frequent.
A `Lexicon` has all of it ready for any number of models.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from aftertune.explainers.heads.settings import HeadSettings
from aftertune.words import Vectors, Words

DEVIATIONS = 1.96
BAND = 100
CONTROLS = ("permuted", "frequency-matched")

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CoOccurrence:
    """Vectors and thresholds of a vocabulary.

    ``rows`` (n_words,) is the row of each word's vector, the last one for a word that has none; ``unit`` (n_rows + 1,
    d_vector) are unit vectors, the last one zero, ``thresholds`` (n_rows + 1,) theirs, the last one infinite.
    ``lowered`` (n_words,) is the same number for words that differ by case only, and ``types`` those lower-cased
    words, both by frequency.
    """

    rows: Tensor
    unit: Tensor
    thresholds: Tensor
    lowered: Tensor
    types: tuple[str, ...]
    n_frequent: int

    @property
    def has_vector(self) -> npt.NDArray[np.bool_]:
        """Which words (n_words,) have a vector."""
        found: npt.NDArray[np.bool_] = (self.rows != len(self.unit) - 1).cpu().numpy()
        return found

    def on(self, device: torch.device) -> "CoOccurrence":
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("rows", "unit", "thresholds", "lowered")}
        return replace(self, **moved)

    def control(self, kind: str, draw: int, seed: int) -> "CoOccurrence":
        """The vectors given to other words: the same draw gives the same words to both models."""
        rows, lacking = self.rows.cpu().numpy(), len(self.unit) - 1
        used = _by_frequency(rows[rows != lacking])
        other = np.arange(lacking + 1)
        generator = np.random.default_rng([seed, CONTROLS.index(kind), draw])
        bands = [used] if kind == "permuted" else np.array_split(used, max(1, len(used) // BAND))
        for band in bands:
            other[band] = generator.permutation(band)
        return _with_rows(self, other[rows])


@dataclass(frozen=True, eq=False)
class Lexicon:
    """A vocabulary with its word vectors, and the controls, made ready once for any number of models."""

    words: Words
    vectors: Vectors
    settings: HeadSettings

    @cached_property
    def co_occurrence(self) -> CoOccurrence:
        """Which words occur together."""
        return co_occurrence(self.words, self.vectors, self.settings.n_frequent)

    @cached_property
    def controls(self) -> tuple[tuple[str, int, CoOccurrence], ...]:
        """Every draw of every control."""
        drawn = [(kind, draw) for kind in CONTROLS for draw in range(self.settings.n_draws)]
        return tuple((kind, draw, self.co_occurrence.control(kind, draw, self.settings.seed)) for kind, draw in drawn)

    @cached_property
    def spelled(self) -> pl.Series:
        """The words as they are written."""
        return pl.Series(self.words.words, dtype=pl.String)

    @cached_property
    def lowered(self) -> pl.Series:
        """The distinct lower-cased words."""
        return pl.Series(self.co_occurrence.types, dtype=pl.String)


def co_occurrence(words: Words, vectors: Vectors, n_frequent: int) -> CoOccurrence:
    """The vectors and thresholds of a vocabulary; see `CoOccurrence`."""
    norms = np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    unit = np.vstack([vectors.vectors / norms, np.zeros((1, vectors.vectors.shape[1]))]).astype(np.float32)
    found = vectors.rows_of(words.words)
    number = {word: place for place, word in enumerate(dict.fromkeys(word.lower() for word in words.words))}
    lowered = torch.tensor([number[word.lower()] for word in words.words])
    empty = CoOccurrence(lowered, torch.from_numpy(unit), torch.empty(0), lowered, tuple(number), n_frequent)
    return _with_rows(empty, np.where(found < 0, len(vectors.vectors), found))


def thresholds(unit: npt.NDArray[np.float32], frequent: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean + 1.96 standard deviations of the cosine of each row of ``unit`` (n_rows, d) with ``frequent`` (n, d)."""
    rows, others = unit.astype(np.float64), frequent.astype(np.float64)
    # From the moments of the frequent words, so that the matrix of all cosines is never made.
    mean = rows @ others.mean(axis=0)
    square = ((rows @ (others.T @ others / len(others))) * rows).sum(axis=1)
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    found: npt.NDArray[np.float32] = (mean + DEVIATIONS * deviation).astype(np.float32)
    return found


def _with_rows(found: CoOccurrence, rows: Ids) -> CoOccurrence:
    unit, lacking = found.unit.cpu().numpy(), len(found.unit) - 1
    frequent = unit[_by_frequency(rows[rows != lacking])[: found.n_frequent]]
    limits = np.append(thresholds(unit[:-1], frequent), np.float32(np.inf))
    return replace(found, rows=torch.from_numpy(rows), thresholds=torch.from_numpy(limits))


def _by_frequency(rows: Ids) -> Ids:
    """The distinct rows in order of the first word, the most frequent, that has each."""
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]
