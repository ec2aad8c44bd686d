"""Scores and their spread: number, mean, standard deviation, and whether there is any difference to test.

With it stands what all procedures of this package share: types, the level of tests, and how exact numbers are.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Interval = tuple[float, float]

POOLED = "all"  # what stands for all groups together
ALPHA = 0.05
ROUNDING = 1e-12
RESAMPLED_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Spread:
    """Number, mean and standard deviation of scores; None for what an empty group has not.

    ``std`` divides by n (ddof 0): on the released maps this comes within 0.008 of each published ± of tables 1 and 2,
    where dividing by n - 1 is up to 0.019 away.
    """

    n: int
    mean: float | None
    std: float | None

    @classmethod
    def of(cls, scores: Scores) -> "Spread":
        """The spread of scores (n,)."""
        return cls(len(scores), float(scores.mean()), float(scores.std())) if len(scores) else cls(0, None, None)


def is_flat(values: Scores) -> bool:
    """Whether all values (n,) are the same, but for their last bits: those may differ after a sum."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def have_spread(first: Scores, second: Scores) -> bool:
    """Whether ``first`` (n,) and ``second`` (m,) have two scores or more each, and one of them a variance."""
    return min(len(first), len(second)) >= 2 and not (is_flat(first) and is_flat(second))


def means_by(keys: Sequence[Hashable], values: Scores) -> Scores:
    """The means (n_keys, ...) of ``values`` (n, ...) that have the same of ``keys`` (n,), in the order of the keys."""
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return np.array([values[own].mean(0) for own in places.values()])


def batch_size(n_values: int) -> int:
    """How many resamples of ``n_values`` values are drawn at once, so that memory stays bounded."""
    return max(1, RESAMPLED_AT_ONCE // n_values)
