"""Could the greater scores have come to one group by the luck of the deal?

Welch's test trusts that means are normally distributed. Scores are skewed, and where one group is small and the other
large that makes its p-values far too small. So the scores are dealt out again.
1. Within each data set the scores of both groups are shuffled and dealt to groups of the same sizes. A data set that
   scores high and has most of one group's responses therefore shows nothing by itself.
2. The p-value is the share of deals, the real one counted, in which the first group's mean exceeds the second's by as
   much or more.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aftertune.statistics.inference import N_PERMUTATIONS, RESAMPLED_AT_ONCE, ROUNDING, Scores, welch_p_value

Labels = Sequence[str]


def dealing_p_value(
    greater: Scores, lesser: Scores, datasets: tuple[Labels, Labels], seed: int = 0, n_deals: int = N_PERMUTATIONS
) -> float | None:
    """One-sided p-value that ``greater`` (n,) has the greater mean than ``lesser`` (m,), by dealing scores out again.

    ``datasets`` has the data set of each score of either group. None where `welch_p_value` is None.
    """
    if welch_p_value(greater, lesser) is None:
        return None
    scores, own = np.concatenate([greater, lesser]), np.arange(len(greater) + len(lesser)) < len(greater)
    of = np.array([*datasets[0], *datasets[1]], dtype=np.str_)
    parts = [(scores[of == name], int(own[of == name].sum())) for name in np.unique(of)]
    generator = np.random.default_rng(seed)
    sums = sum((_dealt(values, size, n_deals, generator) for values, size in parts), np.zeros(n_deals))
    slack = ROUNDING * np.abs(scores).sum()
    # Group sizes and the sum of all scores are the same in every deal, so the first group's sum decides alone.
    return float((1 + (sums >= greater.sum() - slack).sum()) / (1 + n_deals))


def _dealt(values: Scores, size: int, n_deals: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """The sum of ``size`` of the values (n,) drawn without replacement, in each of the deals (n_deals,)."""
    at_once = max(1, RESAMPLED_AT_ONCE // len(values))
    batches = [min(at_once, n_deals - start) for start in range(0, n_deals, at_once)]
    shuffled = (generator.permuted(np.tile(values, (batch, 1)), axis=1)[:, :size] for batch in batches)
    return np.concatenate([dealt.sum(axis=1) for dealt in shuffled])
