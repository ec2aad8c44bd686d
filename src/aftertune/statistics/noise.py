"""Is a number larger than noise of the same size makes it?

1. A largest score (over tokens, words, directions) beside the largest of each draw of noise. The p-value is that of the
   rank among the draws where one of them reaches it. Where none does, ranks can't tell how far beyond them it lies
   (with 19 draws never less than 0.05, which no correction for several tests leaves). A draw's score is a maximum over
   many, so it is taken as Gumbel distributed, and the p-value is that of (score - mean) / standard deviation of the
   draws, a pivot whose distribution does not depend on the unknown place and scale, so that few draws give a larger
   p-value of themselves. Tail approximations of permutation tests: Knijnenburg et al. (2009), Bioinformatics 25;
   Winkler et al. (2016), NeuroImage 141.
2. A number of every head or network beside that of noise. Their differences are permuted in sign, whole layers at a
   time: parts of a layer share its weights, so they are not taken for independent.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.statistics.tests import sign_permutation_p_value

Array = npt.NDArray[np.float64]

NOISE = "noise of the same size"
N_PIVOTS = 99_999
LEAST_DRAWS = 2


def rank_p_value(largest: float, draws: Sequence[float]) -> float | None:
    """(1 + number of draws that reach it) / (1 + draws); None without draws."""
    return (1 + sum(draw >= largest for draw in draws)) / (1 + len(draws)) if len(draws) else None


def noise_p_value(largest: float, draws: Sequence[float]) -> float | None:
    """The p-value that noise brings about a score this large; None without draws. Never below 1e-5."""
    rank, spread = rank_p_value(largest, draws), float(np.std(draws, ddof=1)) if len(draws) >= LEAST_DRAWS else 0.0
    if not spread or largest <= max(draws):
        return rank
    reached = (_pivots(len(draws)) >= (largest - float(np.mean(draws))) / spread).sum()
    return float(1 + reached) / (1 + N_PIVOTS)


def layers_p_value(excess: pl.DataFrame, seed: int = 0) -> float | None:
    """Two-sided p-value that ``excess`` (columns ``layer, excess``) is 0 on average, by the signs of whole layers.

    Each layer counts with the sum over its rows. None with fewer than two layers, or where nothing differs.
    """
    known = excess.drop_nulls("excess").sort("layer")
    sums = known.group_by("layer", maintain_order=True).agg(pl.col("excess").sum())["excess"].to_numpy()
    return sign_permutation_p_value(np.asarray(sums, dtype=np.float64), seed)


@cache
def _pivots(n_draws: int) -> Array:
    """(next - mean) / standard deviation of so many Gumbel variables, ``N_PIVOTS`` times, by a fixed seed."""
    known, following = np.split(np.random.default_rng(0).gumbel(size=(N_PIVOTS, n_draws + 1)), [n_draws], axis=1)
    found: Array = (following[:, 0] - known.mean(axis=1)) / known.std(axis=1, ddof=1)
    return found
