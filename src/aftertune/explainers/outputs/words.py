"""Which tokens became likelier, and is it more than noise of like effect does?

1. p(t): the mean probability of token t over positions, on even and on odd texts, of all tokens that are text: whether
   the end of the text became likelier is told by how answers behave.
2. S(t) = ln((p_tuned + 1e-5) / (p_base + 1e-5)) on each half; the smaller of both, where both are positive, is the
   token's score: what holds on one half of the texts only is left out. For less likely tokens the same with -S.
3. The null: models whose weights were changed at random, with the same total variation of p. The largest score over
   all tokens of each draw is what chance brings about somewhere in the vocabulary.
4. The p-value (`statistics.noise`).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EPSILON = 1e-5
LIKELIER, LESS_LIKELY = "likelier", "less likely"
DIRECTIONS = (LIKELIER, LESS_LIKELY)


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
