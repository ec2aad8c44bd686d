"""Words and the rows of numbers that belong to them, before anything is checked or left out.

Every reader of word vectors returns one; what is common to all of them happens in `aftertune.words.vectors`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Wanted = frozenset[str] | None
"""The lower-cased words to keep, in whatever case they are written; None keeps all."""


@dataclass(frozen=True, eq=False)
class Table:
    """``take`` gives the numbers of some rows, (n_rows, d_vector), so that the others need never be read."""

    words: Sequence[Any]
    shape: tuple[int, ...]
    take: Callable[[Rows], Any]
    source: str

    @classmethod
    def of_array(cls, words: Sequence[Any], array: npt.NDArray[Any], source: str) -> "Table":
        """The table of an array that is in memory already."""
        return cls(words, array.shape, array.__getitem__, source)


def is_wanted(word: str, wanted: Wanted) -> bool:
    """Whether a word is to be kept."""
    return wanted is None or word.lower() in wanted
