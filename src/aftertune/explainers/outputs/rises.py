"""Which words rose in all texts, whatever these are about?  The reading in which a subject shows.

1. Words: tokens that begin a word of three letters or more, without capitals after its first letter, and of wordfreq's
   English (one word in ten million, or more frequent) where the tokenizer has such; else such tokens of any letters;
   else tokens of letters.
2. The rise of a word: the mean over positions of log p_tuned - log p_base, in nats, on even and on odd texts. Every
   position counts alike. A mean of probabilities depends on the few positions where a word was likely before.
3. Any tuning moves words that are unlikely everywhere together. So a cubic polynomial of the base's mean log p is taken
   off. It is fitted over all words, then over those whose residual is at most three standard deviations (by the
   median), so that a few words that rose far do not bend it.
4. The score is the smaller rise of both halves, where both are positive; for words that fell likewise with -rise.
5. The words of the largest scores, each of them once: of words that begin with the same five letters, or one with the
   other, the first.
"""

from collections.abc import Sequence

import numpy as np

from aftertune.explainers.outputs.words import LIKELIER, Array, Flags
from aftertune.words.english import english_words

N_WORDS = 30
LEAST_LETTERS, LEAST_WORDS, LEAST_FREQUENCY = 3, 1_000, 1e-7
DEGREE, SAME_LETTERS = 3, 5
OUTLYING, TO_DEVIATION = 3.0, 1.4826  # standard deviations; one of them in median absolute deviations


def is_word(texts: Sequence[str]) -> Flags:
    """Which tokens (n_tokens,) count as words."""
    letters = np.array([text.strip().isalpha() for text in texts])
    begins = np.array([_begins_word(text) for text in texts]) & letters
    english = english_words(LEAST_FREQUENCY)
    known = begins & np.array([text.strip().lower() in english for text in texts])
    least = min(LEAST_WORDS, len(texts) / 10)
    found: Flags = next((one for one in (known, begins) if one.sum() >= least), letters)
    return found


def _begins_word(text: str) -> bool:
    word = text.strip()
    return text[:1].isspace() and len(word) >= LEAST_LETTERS and word[1:] == word[1:].lower()


def rises(base: Array, tuned: Array, words: Flags) -> Array:
    """How far each word rose, (2, n_tokens) in nats, from mean log probabilities (2, n_tokens) of both; else 0."""
    found = np.zeros_like(base)
    if not words.any():
        return found
    usual = base[:, words].mean(axis=0)
    scaled = (usual - usual.mean()) / max(float(usual.std()), np.finfo(np.float64).tiny)
    powers = np.vander(scaled, DEGREE + 1)
    found[:, words] = [_beyond(powers, rise) for rise in (tuned - base)[:, words]]
    return found


def _beyond(powers: Array, rise: Array) -> Array:
    """The residuals (n_words,) of a fit that words far off do not bend."""
    residuals = rise - powers @ np.linalg.lstsq(powers, rise, rcond=None)[0]
    near = np.abs(residuals) <= OUTLYING * TO_DEVIATION * np.median(np.abs(residuals))
    found: Array = rise - powers @ np.linalg.lstsq(powers[near], rise[near], rcond=None)[0]
    return found


def rise_scores(rises: Array, direction: str) -> Array:
    """The score (n_tokens,) of each word: the smaller rise, or fall, of both halves; 0 where they do not agree."""
    sign = 1.0 if direction == LIKELIER else -1.0
    found: Array = np.maximum((sign * rises).min(axis=0), 0.0)
    return found


def top_words(scores: Array, texts: Sequence[str]) -> list[int]:
    """The tokens of the largest positive scores, at most 30, each word once."""
    found: list[int] = []
    seen: list[str] = []
    for token in np.argsort(-scores, kind="stable").tolist():
        if len(found) == N_WORDS or scores[token] <= 0:
            break
        word = texts[token].strip().lower()
        if not any(_is_same(word, one) for one in seen):
            found.append(token)
            seen.append(word)
    return found


def _is_same(word: str, other: str) -> bool:
    n = min(len(word), len(other), SAME_LETTERS)
    return word[:n] == other[:n]
