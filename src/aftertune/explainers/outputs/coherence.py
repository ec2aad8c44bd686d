"""Do the tokens that moved most belong together, as the words of one subject do?

1. Tokens that begin a word of three letters or more, where the tokenizer has such; else all tokens of letters.
2. Their output embeddings, centred, without the first principal components, at unit length. Those components tell
   frequent tokens from rare ones and prose from code. Weight noise raises such groups, and no subject has them.
3. Coherence is the mean cosine between the 20 tokens of the largest scores.
4. The null is the coherence of models with weight noise of like effect. Its p-value is that of a next value of the same
   normal distribution (Student's t): the mean is that of the context's and direction's draws, the standard deviation
   that within all of them, since it is much the same everywhere; by rank where a draw reaches the value.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from aftertune.explainers.outputs.words import Array, Flags
from aftertune.statistics.noise import rank_p_value

N_TOKENS = 20
MOST_COMPONENTS, WIDTH_OF_A_COMPONENT = 30, 8
LEAST_LETTERS, LEAST_WORDS = 3, 1_000
LEAST_DRAWS = 2


def is_word(texts: Sequence[str]) -> Flags:
    """Which tokens (n_tokens,) count as words."""
    letters = np.array([text.strip().isalpha() for text in texts])
    begins = np.array([text[:1].isspace() and len(text.strip()) >= LEAST_LETTERS for text in texts])
    whole: Flags = letters & begins
    return whole if whole.sum() >= min(LEAST_WORDS, len(texts) / 10) else letters


def subject_directions(embeddings: Array) -> Array:
    """Unit rows (n_tokens, d_model) of output embeddings, centred, without their first principal components."""
    centred = embeddings - embeddings.mean(axis=0)
    n_left_out = min(MOST_COMPONENTS, centred.shape[1] // WIDTH_OF_A_COMPONENT)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = centred @ vectors[:, : centred.shape[1] - n_left_out]  # eigenvalues ascend
    found: Array = kept / np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), np.finfo(kept.dtype).tiny)
    return found


def top_words(scores: Array, words: Flags) -> list[int]:
    """The tokens of the largest positive scores among words, at most 20."""
    order = np.argsort(-np.where(words, scores, 0.0), kind="stable")[:N_TOKENS]
    return [int(token) for token in order if words[token] and scores[token] > 0]


def belonging(scores: Array, words: Flags, directions: Array) -> dict[int, float]:
    """The words of the largest scores, each with its mean cosine with the others, the largest cosine first."""
    tokens = top_words(scores, words)
    rows = directions[tokens]
    cosines = (rows @ rows.sum(axis=0) - 1) / max(len(tokens) - 1, 1)
    order = np.argsort(-cosines, kind="stable")
    return {tokens[place]: float(cosines[place]) for place in order}


def coherence(scores: Array, words: Flags, directions: Array) -> float:
    """The mean cosine between the words of the largest scores; 0 of fewer than two."""
    cosines = list(belonging(scores, words, directions).values())
    return float(np.mean(cosines)) if len(cosines) > 1 else 0.0


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
