"""Which words are asked about, and which are they held against?  (Paper 5.1, table 3.)

1. Instruction verbs: the list of the paper's released run.
2. General verbs: the frequent English words that can be a verb's base form, without stop words and instruction verbs.
3. Any list of one's own, or a file of them.
Only words that have a vector can form a pair; where none of the words given has one, they are refused.
"""

from __future__ import annotations  # settings import this, and need no numpy

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from aftertune.addresses import place_of
from aftertune.errors import WordError
from aftertune.places import MOST_WRITTEN, read_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INSTRUCTION = """
translate explain summarize retrieve revise generate describe classify create evaluate correct develop identify analyze
compose demonstrate interpret design solve follow clarify say help act recommend estimate edit format repeat write give
find make have tell output predict detect
"""
# Words that stand in text as auxiliaries, prepositions or adverbs far more often than as verbs.
STOPPED = """
be have do can could may might must ought shall should will would dare need let don back down even except forward
further last like long near okay over own please right round still till up well while
"""
INSTRUCTION_VERBS = tuple(INSTRUCTION.split())
STOP_WORDS = frozenset(STOPPED.split())
N_GENERAL = 3000
VERBS_NAME, OWN_NAME = "instruction verbs", "the words asked about"
COMMENT = re.compile(r"(^|\s)#.*")


def chosen_verbs(verbs: Sequence[str] | str | Path | None) -> tuple[Sequence[str] | None, str]:
    """The words asked about, None for the instruction verbs, and what texts call them.

    Raises `WordError` for a file or a list that can't be used.
    """
    if verbs is None:
        return None, VERBS_NAME
    if isinstance(verbs, str | Path):
        return read_verbs(str(verbs)), f"the words of {PurePosixPath(place_of(str(verbs))).name}"
    if not isinstance(verbs, Sequence) or not verbs or not all(isinstance(verb, str) for verb in verbs):
        raise WordError(f"The verbs are given as {repr(verbs)[:60]}. Give a list of words, or a file of them.")
    return verbs, OWN_NAME


@cache
def frequent_verbs(n: int = N_GENERAL) -> tuple[str, ...]:
    """The ``n`` most frequent general verbs, most frequent first; raises `WordError` if English has fewer, or n < 1."""
    found = tuple(islice(_verbs(), max(0, n)))
    if n < 1 or len(found) < n:
        raise WordError(f"{n} frequent verbs were asked for; there are {len(tuple(_verbs()))}. Ask for 1 to as many.")
    return found


def read_verbs(path: str) -> tuple[str, ...]:
    """The words or phrases of a file, lower-cased, each once: one a line or between commas; # starts a comment.

    ``path`` is a path or any fsspec address. Raises `WordError` if the file cannot be read, is not text in UTF-8, or
    has no word.
    """
    lines = (COMMENT.sub("", line) for line in _read(str(path)).splitlines())
    words = (" ".join(part.split()).lower() for line in lines for part in line.split(","))
    found = tuple(dict.fromkeys(word for word in words if word))
    if not found:
        raise WordError(f"{path} has no word. Give one word a line, or words between commas; # starts a comment.")
    return found


def must_form_pairs(
    given: Sequence[str] | None, words: Sequence[str], has_vector: npt.NDArray[np.bool_], kind: str = "asked-about"
) -> None:
    """Raise `WordError` if words are given and none of them is among the ``words`` (n_words,) that have a vector.

    The lists of ours, None, are let through: a vocabulary may well be of another language.
    """
    able = words_with_vector(words, has_vector)
    if given is not None and not among(lowered(given), able):
        some = f" ({', '.join(map(repr, given[:3]))}{', ...' if len(given) > 3 else ''})" if given else ""
        raise WordError(
            f"None of the {len(given)} {kind} words{some} is among the {len(able)} words of the vocabulary that have a "
            "vector, so no pair can hold one. Give words that are."
        )


def words_with_vector(words: Sequence[str], has_vector: npt.NDArray[np.bool_]) -> list[str]:
    """The words that can form a pair, lower-cased, each once, most frequent first."""
    return list(dict.fromkeys(word.lower() for word, has in zip(words, has_vector, strict=True) if has))


def lowered(words: Sequence[str]) -> tuple[str, ...]:
    """The words in lower case, each once."""
    return tuple(dict.fromkeys(word.lower() for word in words))


def among(words: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of the words that are known, in their order."""
    found = set(known)
    return tuple(word for word in words if word in found)


def _verbs() -> Iterator[str]:
    import lemminflect
    import wordfreq

    left_out = STOP_WORDS.union(INSTRUCTION_VERBS)
    for word in wordfreq.iter_wordlist("en"):
        if word not in left_out and word in lemminflect.getAllLemmas(word).get("VERB", ()):
            yield word


def _read(path: str) -> str:
    content = read_bytes(path, WordError, "Give the path of a list of words.", MOST_WRITTEN)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WordError(f"{path} is not text in UTF-8. Give a text file with one word a line.") from None
    if "\0" in text:
        raise WordError(f"{path} is not text. Give a text file with one word a line.")
    return text
