"""From character ranges to tokens, by one rule.

A token belongs to a range if at least half of its characters lie in it, white space at either end of the token not
counted (a token of white space only is counted whole). So a token that straddles a border goes to the side that
holds most of it, and to the range on a tie; a token without characters, as templates and tokenizers insert, belongs
to none. Tokens that share a character (byte fallback) are decided alike.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]


def mark_tokens(text: str, offsets: npt.NDArray[np.int64], spans: Iterable[Span]) -> npt.NDArray[np.bool_]:
    """Which tokens (n_tokens,) with character ``offsets`` (n_tokens, 2) in ``text`` belong to any of ``spans``."""
    inside = np.zeros(len(text) + 1, dtype=np.int64)
    for start, end in spans:
        inside[start:end] = 1
    before = np.concatenate([[0], np.cumsum(inside)])
    trimmed = np.array([trim(text, int(start), int(end)) for start, end in offsets], dtype=np.int64).reshape(-1, 2)
    width = trimmed[:, 1] - trimmed[:, 0]
    held = before[trimmed[:, 1]] - before[trimmed[:, 0]]
    marked: npt.NDArray[np.bool_] = (width > 0) & (2 * held >= width)
    return marked


def trim(text: str, start: int, end: int) -> Span:
    """The range without white space at its ends; the range itself if it is nothing else."""
    piece = text[start:end]
    if not piece.strip():
        return start, end
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
