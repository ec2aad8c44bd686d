"""Do the tokens that moved most belong together, as the words of one subject do?

1. Tokens that begin a word of three letters or more, where the tokenizer has such; else all tokens of letters.
2. Their output embeddings, centred, without the first principal components, at unit length. Those components tell
   frequent tokens from rare ones and prose from code. Weight noise raises such groups, and no subject has them.
3. Coherence is the mean cosine between the 20 tokens of the largest scores.
4. The null is the coherence of models with weight noise of like effect. Its p-value is that of a next value of the same
   normal distribution, from the draws' mean and standard deviation (Student's t); by rank where a draw reaches it.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from aftertune.explainers.outputs.words import Array, Flags, rank_p_value

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


def coherence(scores: Array, words: Flags, directions: Array) -> float:
    """The mean cosine between the words of the largest scores; 0 of fewer than two."""
    rows = directions[top_words(scores, words)]
    n = len(rows)
    return float((np.square(rows.sum(axis=0)).sum() - n) / (n * (n - 1))) if n > 1 else 0.0


def coherence_p_value(value: float, draws: Sequence[float]) -> float | None:
    """The p-value that noise brings about a coherence this large; None without draws."""
    spread = float(np.std(draws, ddof=1)) if len(draws) >= LEAST_DRAWS else 0.0
    if not spread or value <= max(draws):
        return rank_p_value(value, draws)
    distance = (value - float(np.mean(draws))) / (spread * np.sqrt(1 + 1 / len(draws)))
    return float(stats.t.sf(distance, len(draws) - 1))
