"""What tests, effects and intervals work on: arrays of scores, and when their values count as all the same."""

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

ROUNDING = 1e-12
RESAMPLED_AT_ONCE = 2_000_000


def is_flat(values: Scores) -> bool:
    """Whether all values (n,) are the same, but for their last bits: those may differ after a sum."""
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def have_spread(first: Scores, second: Scores) -> bool:
    """Whether ``first`` (n,) and ``second`` (m,) have two scores or more each, and one of them a variance."""
    return min(len(first), len(second)) >= 2 and not (is_flat(first) and is_flat(second))


def batch_size(n_values: int) -> int:
    """How many resamples of ``n_values`` values are drawn at once, so that memory stays bounded."""
    return max(1, RESAMPLED_AT_ONCE // n_values)
