"""Which words do the tuned model's answers use more than the base's to the same prompts?

1. Of each word of the greedy answers, in lower case, and of each run of other signs ("```", "✨"): how many answers of
   either model have it. One that loops would else count as twenty. They are told as they are spelled most often.
2. Log-odds with an informative Dirichlet prior, as z: Monroe, Colaresi and Quinn (2008), Fightin' Words, Political
   Analysis 16, eqs. 16 to 22, of these counts. The prior's are those of our generic texts and of both models' answers.
3. A permutation test: base and tuned are swapped within prompts, and the largest |z| of any word is taken each time, so
   that it holds for all words together.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.explainers.outputs.words import Array
from aftertune.statistics.effects import LEAST_PAIRS
from aftertune.statistics.spread import ALPHA

WORD = r"[^\W\d_]+(?:['’][^\W\d_]+)*"
PIECE = re.compile(rf"{WORD}|\d+|[^\w\s]+|_+")
N_SWAPS = 4_999
SWAPS_AT_ONCE = 500
Texts = Sequence[str]


@dataclass(frozen=True)
class ResponseWordRow:
    """A word of the answers: ``z`` of its log-odds, positive where the tuned model uses it more.

    ``n_base`` and ``n_tuned`` are how often the answers have it, ``in_base`` and ``in_tuned`` how many answers have it
    at all. ``beyond_swaps``: |z| exceeds that of any word in 95 % of swaps; None where swaps can't tell.
    """

    word: str
    log_odds: float
    z: float
    n_base: int
    n_tuned: int
    in_base: int
    in_tuned: int
    beyond_swaps: bool | None


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, its numbers and its runs of other signs."""
    return PIECE.findall(text.lower())


def compare_words(
    base: Texts, tuned: Texts, generic: Texts, seed: int = 0
) -> tuple[list[ResponseWordRow], float | None]:
    """All words of answers to the same prompts, the largest |z| first, and the p-value of the largest.

    It is None where fewer than 6 pairs of answers differ in their words.
    """
    counts = [[Counter(words_of(text)) for text in texts] for texts in (base, tuned)]
    words = sorted(set[str]().union(*counts[0], *counts[1]))
    if not words:
        return [], None
    times = [np.array([[one[word] for word in words] for one in own], dtype=float) for own in counts]
    before, after = (np.minimum(one, 1.0) for one in times)
    spelled = _spellings([*base, *tuned])
    background = Counter(word for text in generic for word in set(words_of(text)))
    prior = before.sum(0) + after.sum(0) + np.array([background[word] for word in words])
    n_other = sum(background.values()) - sum(background[word] for word in words)
    odds, z = log_odds(after.sum(0), before.sum(0), prior, prior.sum() + n_other)
    largest = _largest_of_swaps(before, after, prior, prior.sum() + n_other, seed)
    limit = np.quantile(largest, 1 - ALPHA) if len(largest) else None
    rows = [
        ResponseWordRow(
            spelled.get(word, word),
            float(o),
            float(v),
            int(b),
            int(t),
            int(own[0]),
            int(own[1]),
            None if limit is None else bool(abs(v) > limit + 1e-12),
        )
        for word, o, v, b, t, *own in zip(words, odds, z, *(one.sum(0) for one in (*times, before, after)), strict=True)
    ]
    reached = (largest >= np.abs(z).max() - 1e-12).sum()  # swaps of the same pairs give the same z but for rounding
    p_value = float(1 + reached) / (1 + len(largest)) if len(largest) else None
    return sorted(rows, key=lambda row: (-abs(row.z), row.word)), p_value


def _spellings(texts: Texts) -> dict[str, str]:
    """The most frequent spelling of each word, by the word in lower case."""
    counts = Counter(piece for text in texts for piece in PIECE.findall(text))
    return {word.lower(): word for word, _ in sorted(counts.items(), key=lambda item: (item[1], item[0]))}


def log_odds(first: Array, second: Array, prior: Array, n_prior: float) -> tuple[Array, Array]:
    """Difference of log-odds (..., n_words) of counts ``first`` over ``second`` under a prior, and its z."""
    odds = []
    for counts in (first, second):
        others = counts.sum(-1, keepdims=True) + n_prior - counts - prior
        odds.append(np.log(counts + prior) - np.log(np.maximum(others, 1e-9)))
    difference: Array = odds[0] - odds[1]
    return difference, difference / np.sqrt(1 / (first + prior) + 1 / (second + prior))


def _largest_of_swaps(before: Array, after: Array, prior: Array, n_prior: float, seed: int) -> Array:
    """The largest |z| (N_SWAPS,) of any word when base and tuned are swapped within prompts at random."""
    change, total = after - before, after + before
    if int(np.abs(change).any(axis=1).sum()) < LEAST_PAIRS:
        return np.empty(0)
    generator, found = np.random.default_rng(seed), []
    for start in range(0, N_SWAPS, SWAPS_AT_ONCE):
        signs = generator.choice([-1.0, 1.0], size=(min(SWAPS_AT_ONCE, N_SWAPS - start), len(change)))
        first = (total.sum(0) + signs @ change) / 2
        _, z = log_odds(first, total.sum(0) - first, prior, n_prior)
        found.append(np.abs(z).max(axis=1))
    return np.concatenate(found)
