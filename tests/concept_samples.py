"""Readings of feed-forward layers whose components are written out, for the tests of their comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.concepts.chance import chance_p_values
from aftertune.explainers.concepts.result import COMPONENTS, SPECTRA, ConceptReading, Network

Rows = Mapping[Network, Any]

VOCABULARY = ("Tree", "stone", "river", "write", "Run", "walk", "tell", "seven")
SETTINGS = {"n_components": 300, "n_words": 2, "words": {"source": "a list in memory", "n": 8, "sha256": "0" * 64}}


def make_concepts(
    model: str,
    directions: Rows,
    variances: Rows | None = None,
    words: Mapping[Network, Sequence[Sequence[str]]] | None = None,
    *,
    n_layers: int = 4,
    vocabulary: Sequence[str] = VOCABULARY,
    settings: Mapping[str, Any] | None = None,
    dtype: Any = np.float64,
    nearest: Mapping[Network, Sequence[float]] | None = None,
    chance: Sequence[float] | None = None,
) -> ConceptReading:
    """A reading from the components (n, d_model) of each network, by (layer, expert).

    ``variances`` are those along all components, by default 1 / rank along those that are given; ``words`` by default
    two words for each component, with the |cosine| 0.5 or, of the first, ``nearest``. ``chance`` are those of random
    directions.
    """
    found = {network: np.asarray(rows, dtype=dtype) for network, rows in directions.items()}
    spectra = {network: spectrum_of(network, rows, variances) for network, rows in found.items()}
    rows = [
        (
            *(*network, rank, spectra[network][rank - 1] / max(sum(spectra[network]), 1e-300), some),
            [nearest[network][rank - 1] if nearest else 0.5, *[0.5] * (len(some) - 1)] if some else [],
        )
        for network, directions_found in found.items()
        for rank, some in enumerate(_words(network, len(directions_found), words, vocabulary), 1)
    ]
    variance_rows = [(*network, rank, value) for network, own in spectra.items() for rank, value in enumerate(own, 1)]
    components, sample = pl.DataFrame(rows, schema=COMPONENTS, orient="row"), _sorted(chance)
    d_model = next(iter(found.values())).shape[1]
    return ConceptReading(
        model=model,
        layers=tuple(sorted({layer for layer, _ in found})),
        n_layers=n_layers,
        d_model=d_model,
        words=tuple(vocabulary),
        settings=dict(settings or SETTINGS),
        components=components.with_columns(chance_p_values(components, sample, len(vocabulary), d_model)),
        spectra=pl.DataFrame(variance_rows, schema=SPECTRA, orient="row"),
        directions=found,
        chance=sample,
    )


def _sorted(chance: Sequence[float] | None) -> npt.NDArray[np.float32] | None:
    return None if chance is None else np.sort(np.array(chance, dtype=np.float32))


def spectrum_of(network: Network, rows: npt.NDArray[Any], variances: Rows | None) -> list[float]:
    """The variances of a network, largest first."""
    return [float(v) for v in (variances or {}).get(network, [1 / rank for rank in range(1, len(rows) + 1)])]


def orthonormal(n_components: int, d_model: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Random orthonormal rows (n_components, d_model)."""
    drawn = np.random.default_rng(seed).standard_normal((d_model, n_components))
    return np.asarray(np.linalg.qr(drawn)[0].T)


def rotated(
    rows: npt.NDArray[np.float64], place: int, towards: npt.NDArray[np.float64], degrees: float
) -> npt.NDArray[np.float64]:
    """``rows`` with one of them rotated towards a unit vector (d_model,) that is orthogonal to it."""
    angle = np.deg2rad(degrees)
    found = rows.copy()
    found[place] = np.cos(angle) * rows[place] + np.sin(angle) * towards
    return found


def _words(
    network: Network, n_components: int, words: Mapping[Network, Any] | None, vocabulary: Sequence[str]
) -> list[list[str]]:
    if words is not None and network in words:
        return [list(some) for some in words[network]]
    return [
        [vocabulary[2 * rank % len(vocabulary)], vocabulary[(2 * rank + 1) % len(vocabulary)]]
        for rank in range(n_components)
    ]
