"""Do the tuned model's answers begin, or end, in the same way, as the base's do not?

1. The opening of an answer is its first n words and signs, its ending the last n; n from 1 to 8.
2. For each n, the one that the tuned model uses most beyond the base. Told is the longest whose excess over the base is
   at least three quarters of the largest: so "Certainly! Here is" wins over "Certainly".
3. The test swaps base and tuned within prompts and takes the largest excess of any opening or ending of any length, so
   that it holds for all of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.explainers.outputs.response_words import N_SWAPS, PIECE
from aftertune.statistics.effects import LEAST_PAIRS

MOST_PIECES, SHARE = 8, 0.75
BEGIN, END = WHERE = ("begin", "end")


@dataclass(frozen=True)
class OpeningRow:
    """How many answers of each model ``where`` ("begin", "end") with a ``text``; ``n_answers`` are all."""

    where: str
    text: str
    n_base: int
    n_tuned: int
    n_answers: int


def compare_openings(base: Sequence[str], tuned: Sequence[str], seed: int = 0) -> tuple[list[OpeningRow], float | None]:
    """The longest common opening and ending of the tuned model's answers, and the p-value of the largest excess.

    It is None where fewer than six pairs of answers differ in how they begin or end.
    """
    keys = [[_keys(text) for text in own] for own in (base, tuned)]
    names = sorted(set[tuple[str, int, str]]().union(*(one for own in keys for one in own)))
    if not names:
        return [], None
    before, after = (np.array([[name in one for name in names] for one in own], dtype=float) for own in keys)
    excess = (after - before).sum(axis=0)
    rows = [_told(where, names, before.sum(axis=0), after.sum(axis=0), tuned, len(base)) for where in WHERE]
    return [row for row in rows if row is not None], _p_value(after - before, float(excess.max()), seed)


def _keys(text: str) -> set[tuple[str, int, str]]:
    """All openings and endings of a text: where, of how many pieces, and which."""
    pieces = [piece.lower() for piece in PIECE.findall(text)]
    lengths = range(1, min(MOST_PIECES, len(pieces)) + 1)
    return {(BEGIN, n, " ".join(pieces[:n])) for n in lengths} | {(END, n, " ".join(pieces[-n:])) for n in lengths}


def _told(
    where: str, names: Sequence[tuple[str, int, str]], base: np.ndarray, tuned: np.ndarray, texts: Sequence[str], n: int
) -> OpeningRow | None:
    own = [place for place, name in enumerate(names) if name[0] == where and tuned[place] > base[place]]
    if not own:
        return None
    largest = max(tuned[place] - base[place] for place in own)
    enough = [place for place in own if tuned[place] - base[place] >= SHARE * largest]
    best = max(enough, key=lambda place: (names[place][1], tuned[place] - base[place]))
    return OpeningRow(where, _as_written(names[best], texts), int(base[best]), int(tuned[best]), n)


def _as_written(name: tuple[str, int, str], texts: Sequence[str]) -> str:
    """The opening as most answers write it."""
    where, n, key = name
    written = Counter[str]()
    for text in texts:
        places = list(PIECE.finditer(text))
        own = places[:n] if where == BEGIN else places[-n:]
        if " ".join(one.group().lower() for one in own) == key:
            written[text[own[0].start() : own[-1].end()]] += 1
    return written.most_common(1)[0][0]


def _p_value(change: np.ndarray, largest: float, seed: int) -> float | None:
    if int(change.any(axis=1).sum()) < LEAST_PAIRS:
        return None
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(N_SWAPS, len(change)))
    reached = int(((signs @ change).max(axis=1) >= largest - 1e-9).sum())
    return (1 + reached) / (1 + N_SWAPS)
