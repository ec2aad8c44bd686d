"""How much of the variance do a network's first components have together?

Figure 8 (appendix E.1), from the variance along every component of every network.
1. For each network: the running sum, as a share of the sum over all of its components.
2. For each model and rank: the mean and spread over networks. One with fewer components stays at 1 after its last.
3. Of many ranks only some, evenly spread: a picture shows no more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aftertune.explainers.concepts.result import Network
from aftertune.statistics.spread import Scores, Spread

MOST_RANKS = 200


Ranks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Figure8Row:
    """Accumulated share of variance of a model's first ``rank`` components: mean and spread over networks."""

    model: str
    rank: int
    accumulated: Spread


def figure8(spectra: Mapping[str, Mapping[Network, Scores]], n_components: int) -> tuple[Figure8Row, ...]:
    """Figure 8: for each model, by name, a row for each of at most 200 ranks.

    The first rank, the last and ``n_components`` are among them. ``spectra`` has the variances of each network,
    largest first; one without any variance is left out.
    """
    return tuple(row for model, own in spectra.items() for row in _rows(model, own.values(), n_components))


def _rows(model: str, spectra: Iterable[Scores], n_components: int) -> list[Figure8Row]:
    sums = [np.cumsum(one) / one.sum() for one in spectra if one.sum() > 0]
    if not sums:
        return []
    ranks = _ranks(max(map(len, sums)), n_components)
    found = np.stack([one[np.minimum(ranks, len(one)) - 1] for one in sums])
    return [Figure8Row(model, int(rank), Spread.of(found[:, place])) for place, rank in enumerate(ranks)]


def _ranks(last: int, n_components: int) -> Ranks:
    if last <= MOST_RANKS:
        return np.arange(1, last + 1)
    spread = np.linspace(1, last, MOST_RANKS - 1).round().astype(np.int64)
    return np.union1d(spread, [min(n_components, last)])
