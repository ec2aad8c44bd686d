"""Do the words that rose most belong together, as the words of one subject do?

1. The 30 words that rose most (`rises`).
2. Their output embeddings without the first principal components (`subjects`).
3. Coherence is the mean cosine between the words.
4. The null is the coherence of models with weight noise of like effect. Its p-value is that of a next value of the same
   normal distribution (Student's t): the mean is that of the context's and direction's draws, the standard deviation
   that within all of them, since it is much the same everywhere; by rank where a draw reaches the value.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from aftertune.explainers.outputs.words import Array
from aftertune.statistics.noise import rank_p_value

LEAST_DRAWS = 2


def belonging(tokens: Sequence[int], directions: Array) -> dict[int, float]:
    """Tokens, each with its mean cosine with the others, the largest cosine first."""
    rows = directions[tokens]
    cosines = (rows @ rows.sum(axis=0) - 1) / max(len(tokens) - 1, 1)
    order = np.argsort(-cosines, kind="stable")
    return {tokens[place]: float(cosines[place]) for place in order}


def coherence(tokens: Sequence[int], directions: Array) -> float:
    """The mean cosine between tokens; 0 of fewer than two."""
    return float(np.mean(list(belonging(tokens, directions).values()))) if len(tokens) > 1 else 0.0


def coherence_p_value(value: float, draws: Sequence[float], groups: Sequence[Sequence[float]] = ()) -> float | None:
    """The p-value that noise brings about a coherence this large; None without draws.

    ``groups`` are the draws of all contexts and directions, these ``draws`` among them.
    """
    every = [np.asarray(one) for one in groups or [draws]]
    n_free = sum(len(one) - 1 for one in every)
    spread = float(np.sqrt(sum(np.square(one - one.mean()).sum() for one in every) / n_free)) if n_free > 0 else 0.0
    if len(draws) < LEAST_DRAWS or not spread or value <= max(draws):
        return rank_p_value(value, draws)
    distance = (value - float(np.mean(draws))) / (spread * np.sqrt(1 + 1 / len(draws)))
    return float(stats.t.sf(distance, n_free))
