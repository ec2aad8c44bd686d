"""Which tokens became likelier, and is it more than noise of like effect does?

1. p(t): the mean probability of token t over positions, on even and on odd texts, of all tokens that are text: whether
   the end of the text became likelier is told by how answers behave.
2. S(t) = ln((p_tuned + 1e-5) / (p_base + 1e-5)) on each half; the smaller of both, where both are positive, is the
   token's score: what holds on one half of the texts only is left out. For less likely tokens the same with -S.
3. The null: models whose weights were changed at random, with the same total variation of p. The largest score over
   all tokens of each draw is what chance brings about somewhere in the vocabulary.
4. The p-value: that of the rank among the draws where one of them reaches the largest score of the tuned model. Where
   none does, ranks can't tell how far beyond them it lies (with 19 draws never less than 0.05, which no correction
   for several tests leaves). A draw's score is a maximum over many tokens, so it is taken as Gumbel distributed, and
   the p-value is that of (score - mean) / standard deviation of the draws, a pivot whose distribution does not depend
   on the unknown place and scale, so that few draws give a larger p-value of themselves. Tail approximations of
   permutation tests: Knijnenburg et al. (2009), Bioinformatics 25; Winkler et al. (2016), NeuroImage 141.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EPSILON = 1e-5
LIKELIER, LESS_LIKELY = "likelier", "less likely"
DIRECTIONS = (LIKELIER, LESS_LIKELY)
N_PIVOTS = 99_999
LEAST_DRAWS = 2


def of_text(probabilities: Array, is_special: Flags) -> Array:
    """Probabilities (2, n_vocabulary) given that a token of text comes: special ones are left out, the sum is 1."""
    kept: Array = np.where(is_special, 0.0, probabilities)
    found: Array = kept / np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return found


def log_ratios(base: Array, tuned: Array) -> Array:
    """S (2, n_vocabulary) of mean probabilities (2, n_vocabulary) on even and on odd texts, in nats."""
    ratios: Array = np.log((tuned + EPSILON) / (base + EPSILON))
    return ratios


def scores(base: Array, tuned: Array, direction: str) -> Array:
    """The score (n_vocabulary,) of each token: the smaller |S| of both halves; 0 where they do not agree."""
    sign = 1.0 if direction == LIKELIER else -1.0
    found: Array = np.maximum((sign * log_ratios(base, tuned)).min(axis=0), 0.0)
    return found


def largest_scores(base: Array, tuned: Array) -> Array:
    """The largest score (2,) of any token: likelier, less likely."""
    return np.array([scores(base, tuned, direction).max() for direction in DIRECTIONS])


def total_variation(base: Array, tuned: Array) -> float:
    """1/2 sum |p_tuned - p_base| of the mean of both halves: the share of the next token's probability that moved."""
    return float(0.5 * np.abs(tuned.mean(axis=0) - base.mean(axis=0)).sum())


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


@cache
def _pivots(n_draws: int) -> Array:
    """(next - mean) / standard deviation of so many Gumbel variables, ``N_PIVOTS`` times, by a fixed seed."""
    known, following = np.split(np.random.default_rng(0).gumbel(size=(N_PIVOTS, n_draws + 1)), [n_draws], axis=1)
    found: Array = (following[:, 0] - known.mean(axis=1)) / known.std(axis=1, ddof=1)
    return found
