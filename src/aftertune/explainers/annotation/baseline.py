"""An annotator without a language model: how near are a component's words to one another, and to those for categories?

A baseline to hold others against, and categories within seconds; no match for a reader. Vectors are centred on the mean
of all words of the run's components and scaled to length 1.

1. Described or not: the mean cosine between a component's words exceeds that of 95 in 100 random groups, of as many
   words, out of all components of the run. Fewer than `FEWEST` words with a vector, or no more than half of them:
   cannot tell.
2. Description: the `N_NAMED` words of the component that are nearest to the mean of its vectors.
3. Scenario: the category whose mean vector is nearest to that mean, if it is nearer than to 95 in 100 random groups;
   else none. Level: likewise, with semantics in place of none: it is what remains where no form shows.

Random groups are drawn with a fixed seed, so the same run and vectors always give the same annotations.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.result import ANNOTATIONS, LEVELS, SCENARIOS, Component, write_annotations
from aftertune.explainers.annotation.settings import AnnotationSettings
from aftertune.runs.run import RunFolder
from aftertune.words import Vectors, load_vectors

NAME = "words"
FEWEST = 3
N_NAMED = 3
N_RANDOM = 1000
QUANTILE = 0.95
SEED = 0
REMAINING_LEVEL = "semantics"

NAMING: Mapping[str, tuple[str, ...]] = {
    "writing": ("story", "essay", "poem", "letter", "novel", "paragraph"),
    "coding": ("code", "software", "programming", "function", "variable", "compiler"),
    "math": ("equation", "algebra", "geometry", "arithmetic", "theorem", "integer"),
    "translation": ("translate", "language", "french", "spanish", "german", "foreign"),
    "phonology": ("sound", "vowel", "consonant", "syllable", "rhyme", "pronunciation"),
    "morphology": ("prefix", "suffix", "plural", "stem", "abbreviation", "hyphen"),
    "syntax": ("verb", "noun", "adjective", "pronoun", "preposition", "grammar"),
    "semantics": ("meaning", "person", "place", "object", "event", "thing"),
}

Array = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.int64]
Kind = tuple[str, ...]


@dataclass(frozen=True)
class Chance:
    """What random groups of so many words reach: likeness to one another, nearness to each category of a kind."""

    likeness: float
    near: Mapping[Kind, Array]


def annotate_by_vectors(
    run: RunFolder, components: Sequence[Component], source: Any, settings: AnnotationSettings
) -> pl.DataFrame:
    """Annotate ``components`` by the word vectors of ``source`` (see `aftertune.load_vectors`), in one repeat.

    Raises `WordError` if the vectors can't be used, `AnnotationError` if a category has no word among them.
    """
    named = [word for words in NAMING.values() for word in words]
    vectors = load_vectors(source, sorted({word for one in components for word in one.words} | set(named)))
    space = Space(components, vectors)
    rows = [one.place() | {"repeat": 0} | space.read(one) | {"unparsed": []} for one in components]
    frame = pl.DataFrame(rows, ANNOTATIONS)
    annotator = {"name": NAME, "kind": "words", "weak": True, "vectors": vectors.source, "digest": vectors.digest}
    how = {"repeats": 1, "components": settings.components, "n_random": N_RANDOM, "quantile": QUANTILE, "seed": SEED}
    write_annotations(run, NAME, frame, {"annotator": annotator, "settings": how, "counts": {}})
    return frame


class Space:
    """The vectors of all words of a run's components, and of the categories."""

    def __init__(self, components: Sequence[Component], vectors: Vectors) -> None:
        self._vectors = vectors
        words = dict.fromkeys(word for one in components for word in one.words)
        row_of = dict(zip(words, vectors.rows_of(words).tolist(), strict=True))
        self._rows = {one.words: _different(row_of[word] for word in one.words) for one in components}
        self._pool = np.unique(np.concatenate([*self._rows.values(), np.empty(0, np.int64)]))
        centre = vectors.vectors[self._pool].mean(axis=0) if len(self._pool) else 0.0
        self._unit = _scale(vectors.vectors.astype(np.float64) - centre)
        self._chances: dict[int, Chance] = {}

    def read(self, component: Component) -> dict[str, Any]:
        """The ``description``, ``scenarios`` and ``level`` of a component."""
        rows = self._rows[component.words]
        enough = len(rows) >= FEWEST and 2 * len(rows) > len({word.lower() for word in component.words})
        if not enough or likeness(self._unit[rows]) <= self._chance(len(rows)).likeness:
            return {"description": None, "scenarios": None, "level": None}
        centre = _scale(self._unit[rows].mean(axis=0))
        nearest = rows[np.argsort(-(self._unit[rows] @ centre), kind="stable")[:N_NAMED]]
        return {
            "description": ", ".join(self._vectors.words[row] for row in nearest),
            "scenarios": self._nearest(SCENARIOS, centre, len(rows)),
            "level": (self._nearest(LEVELS, centre, len(rows)) or [REMAINING_LEVEL])[0],
        }

    def _nearest(self, names: Kind, centre: Array, n_words: int) -> list[str]:
        cosines = self._categories[names] @ centre
        nearest = int(np.argmax(cosines))
        return [names[nearest]] if cosines[nearest] > self._chance(n_words).near[names][nearest] else []

    @cached_property
    def _categories(self) -> dict[Kind, Array]:
        return {names: np.stack([self._category(name) for name in names]) for names in (SCENARIOS, LEVELS)}

    def _category(self, name: str) -> Array:
        rows = _different(self._vectors.rows_of(NAMING[name]).tolist())
        if not len(rows):
            words = ", ".join(NAMING[name])
            raise AnnotationError(
                f"None of the words for {name} ({words}) has a vector in {self._vectors.source}. Give English vectors."
            )
        return _scale(self._unit[rows].mean(axis=0))

    def _chance(self, n_words: int) -> Chance:
        if n_words not in self._chances:
            generator = np.random.default_rng((SEED, n_words))
            drawn = [generator.choice(self._pool, n_words, replace=False) for _ in range(N_RANDOM)]
            centres = np.stack([_scale(self._unit[rows].mean(axis=0)) for rows in drawn])
            reached = np.quantile([likeness(self._unit[rows]) for rows in drawn], QUANTILE)
            near = {kind: np.quantile(centres @ of.T, QUANTILE, axis=0) for kind, of in self._categories.items()}
            self._chances[n_words] = Chance(float(reached), near)
        return self._chances[n_words]


def likeness(unit: Array) -> float:
    """The mean cosine between any two of ``unit`` (n_words, d_vector), rows of length 1."""
    n_words = len(unit)
    total = unit.sum(axis=0)
    return float((total @ total - n_words) / (n_words * (n_words - 1)))


def _different(rows: Iterable[int]) -> Rows:
    return np.array([row for row in dict.fromkeys(rows) if row >= 0], dtype=np.int64)


def _scale(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
