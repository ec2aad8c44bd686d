"""Which words does the analysis look at, and how frequent are they (paper 5.1)?

1. Words come from wordfreq's list of English, from Python, from a list, or from a text whose words are counted.
2. A file called .tsv is a list with numbers, .json and .jsonl are text. Any other file is a list if more than half of
   its first 100 lines that are not blank hold one word, or one word and a number; else it is text.
3. In a list every line must be like most of those first lines; the first line of a list with numbers may be a heading.
4. The most frequent words come first; words that are equally frequent stay in order of appearance. Of a word that is
   given twice the first counts.
5. Numbers that add up to more than 1 are counts and are divided by their sum; others are shares already.

The words of a text are counted so:

1. A text file is read line by line; of JSON (.json, .jsonl) every text value is read, however deep it lies.
2. A word is a run of letters and digits; apostrophes and hyphens inside it belong to it ("don't", "well-known").
   Its case is kept.
3. Only the counts are kept, so memory grows with the number of different words. (A .json file is one value, and so is
   read whole.)
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from math import isfinite
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.errors import WordError, reason_of
from aftertune.places import MOST_BYTES
from aftertune.runs.result import Result
from aftertune.words.lines import address_of, decode_line, ending, file_name, read_lines

ENGLISH_WORDS = 10_000
CORPUS_WORDS = 30_000
LEAST_WORDS = 2
LONGEST_WORD = 1_000  # characters; what is longer in a text is no word, and no tokenizer was made for it
FIRST_LINES = 100
# wordfreq writes every number of several digits with zeros: "a00" stands for a10, a11 and all the others.
MERGED_NUMBERS = re.compile(r"\d\d")


@dataclass(frozen=True, eq=False, repr=False)
class Words(Result):
    """Different words, the most frequent first.

    ``frequency`` (n_words,) is each word's share of all tokens of what was read, those of words beyond the limit
    included; 1 / n each for a list of n words that gives no numbers. ``source`` says what was read.
    """

    words: tuple[str, ...]
    frequency: npt.NDArray[np.float64]
    source: str

    def __len__(self) -> int:
        return len(self.words)

    def to_polars(self) -> pl.DataFrame:
        """``word, frequency``, the most frequent first; a frequency is a share of tokens, 0 to 1."""
        return pl.DataFrame({"word": self.words, "frequency": self.frequency})

    def _facts(self) -> dict[str, Any]:
        return {"n_words": len(self.words), "source": self.source}

    def with_words(self, asked: Iterable[str], what: str) -> "Words":
        """The same with words that are asked about and lack, after all others: those keep their places and shares.

        What is added has the frequency 0, since it was not counted; ``source`` tells ``what`` it is.
        """
        known = {word.lower() for word in self.words}
        added = tuple(dict.fromkeys(word for word in asked if word.split() == [word] and word.lower() not in known))
        if not added:
            return self
        frequency = np.concatenate([self.frequency, np.zeros(len(added))])
        return Words((*self.words, *added), frequency, f"{self.source}, and {len(added)} {what}")

    @property
    def digest(self) -> str:
        """SHA-256 of the words in their order, in hexadecimal."""
        return sha256("\n".join(self.words).encode("utf-8", "surrogatepass")).hexdigest()


WordSource = Words | Iterable[str] | str | PathLike[str] | None


def load_words(source: WordSource = None, limit: int | None = None) -> Words:
    """The most frequent words of ``source``, at most ``limit`` of them.

    ``source`` is the path or address of a word list or of a text (see the top of this module; .gz, .bz2, .xz and .zip
    are unpacked), an iterable of words, the most frequent first, or None: the most frequent English words by wordfreq.
    ``limit`` is 10,000 for English, 30,000 for a text, and none for a list, unless given.

    Raises `WordError` if a file cannot be read or is not UTF-8, for a word that is empty or has white space in it, for
    a line of a list that is unlike the others, a limit below 2, and fewer than two words.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < LEAST_WORDS):
        raise WordError(f"The limit is {limit!r}. It must be a whole number, {LEAST_WORDS} or more, or None.")
    if isinstance(source, Words):
        return Words(source.words[:limit], source.frequency[:limit], source.source)
    if source is None:
        return _english(limit or ENGLISH_WORDS)
    if isinstance(source, str | PathLike):
        return _from_file(address_of(source), limit)
    return _most_frequent(((word, 1.0) for word in _given(source)), "a list in memory", limit)


def _most_frequent(numbers: Iterable[tuple[str, float]], source: str, limit: int | None) -> Words:
    first: dict[str, float] = {}
    for word, number in numbers:
        if len(word) > LONGEST_WORD:
            raise WordError(
                f"{source} has a word of {len(word):,} characters, {word[:20]!r}... A word has at most "
                f"{LONGEST_WORD:,}: leave it out."
            )
        first.setdefault(word, number)
    words = sorted(first, key=first.__getitem__, reverse=True)[:limit]
    if len(words) < LEAST_WORDS:
        found = ", ".join(words) or "none"
        raise WordError(f"{source} has fewer than {LEAST_WORDS} different words: {found}. Give at least {LEAST_WORDS}.")
    total = max(1.0, sum(first.values()))
    return Words(tuple(words), np.array([first[word] for word in words], dtype=np.float64) / total, source)


def _english(limit: int) -> Words:
    import wordfreq

    frequencies = wordfreq.get_frequency_dict("en").items()
    found = ((word, share) for word, share in frequencies if not MERGED_NUMBERS.search(word))
    return _most_frequent(found, "wordfreq, English", limit)


def _given(source: Any) -> Iterator[str]:
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise WordError(f"The words are given as {type(source).__name__}. Give a file, or an iterable of words.")
    for index, word in enumerate(source):
        if not isinstance(word, str) or word.split() != [word]:
            raise WordError(
                f"Word {index} is {word!r}. Each must be a text without white space; split it, or leave it out."
            )
        yield word


def _from_file(address: str, limit: int | None) -> Words:
    n_fields = _fields_of_list(address)
    if n_fields:
        return _most_frequent(_entries(address, n_fields), file_name(address), limit)
    return _most_frequent(count_words(address).items(), file_name(address), limit or CORPUS_WORDS)


def _fields_of_list(address: str) -> int:
    """1 for a list of words, 2 for a list of words with numbers, 0 for text."""
    if ending(address) in (".json", ".jsonl"):
        return 0
    first = [fields for _, fields in islice(_lines(address), FIRST_LINES)]
    if not first:
        raise WordError(f"{address} is empty. Give a file with words in it.")
    plain = sum(len(fields) == 1 for fields in first)
    numbered = sum(len(fields) == 2 and _number(fields[1]) is not None for fields in first)
    if ending(address) == ".tsv" or (2 * (plain + numbered) > len(first) and numbered > plain):
        return 2
    return 1 if 2 * (plain + numbered) > len(first) else 0


def _entries(address: str, n_fields: int) -> Iterator[tuple[str, float]]:
    for index, (line, fields) in enumerate(_lines(address)):
        number = _number(fields[1]) if n_fields == len(fields) == 2 else 1.0
        if n_fields == 2 and index == 0 and (len(fields) != 2 or number is None):
            continue
        if len(fields) != n_fields or number is None:
            like = "a word, a tab and its frequency, 0 or more" if n_fields == 2 else "one word"
            raise WordError(
                f"{address}, line {line} is {' '.join(fields)[:60]!r}. It was read as a list, with {like} on each "
                "line: correct the line. To have the words of a text counted, give it as .jsonl."
            )
        yield fields[0], number


def _lines(address: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(address):
        fields = decode_line(address, number, line).split()
        if fields:
            yield number, fields


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


WORD = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*")


def count_words(address: str) -> dict[str, int]:
    """The number of times that each word occurs, in order of first occurrence.

    Raises `WordError` if the file cannot be read, is not UTF-8, or is called JSON and is not.
    """
    counts: Counter[str] = Counter()
    for text in _texts(address):
        counts.update(word for word in WORD.findall(text) if len(word) <= LONGEST_WORD)
    return counts


def _texts(address: str) -> Iterator[str]:
    lines = ((number, decode_line(address, number, line)) for number, line in read_lines(address))
    kind = ending(address)
    if kind == ".json":
        yield from _strings(_parse(address, _whole(address, lines)))
    elif kind == ".jsonl":
        for number, line in lines:
            if line.strip():
                yield from _strings(_parse(f"{address}, line {number}", line))
    else:
        yield from (line for _, line in lines)


def _whole(address: str, lines: Iterator[tuple[int, str]]) -> str:
    held, n_characters = list[str](), 0
    for _, line in lines:
        held.append(line)
        n_characters += len(line) + 1
        if n_characters > MOST_BYTES:
            raise WordError(f"{address} is one JSON value of more than 1 GiB. Give it as .jsonl, a value a line.")
    return "\n".join(held)


def _parse(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        told = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else reason_of(error)
        raise WordError(f"{place} is not JSON: {told}. Correct it, or give plain text as .txt.") from None


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict | list):
            inner = list(found.values()) if isinstance(found, dict) else found
            waiting += reversed(inner)
