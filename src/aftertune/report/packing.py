"""How does data travel in the page? As JSON, compressed, with each word once.

What a page opens piece by piece lies in it as blocks of base64. A block names a word by its place in one list of
words, and the words of that list are shown as text whatever they hold: control characters and direction marks become
signs.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aftertune.runs.readable import visible

LEVEL = 6
T = TypeVar("T")


def encode_bytes(array: npt.NDArray[np.generic]) -> str:
    """An array's bytes, row by row, compressed and in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), LEVEL)).decode("ascii")


def packed(data: object) -> str:
    """Data as JSON, compressed and in base64."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return encode_bytes(np.frombuffer(text, np.uint8))


def packed_words(words: Sequence[str]) -> str:
    """The list of words that blocks name by number, as it is shown."""
    return packed([visible(word) for word in words])


def rounded(value: T) -> T | float:
    """A fraction with as many decimals as a page shows of it; anything else as it is."""
    return round(value, 4) if isinstance(value, float) else value
