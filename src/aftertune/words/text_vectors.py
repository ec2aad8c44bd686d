"""Word vectors kept as text: GloVe, word2vec and fastText, one word a line with its numbers after it.

1. A first line of two whole numbers is word2vec's and fastText's heading: how many words, how many numbers each.
2. Without it, the numbers at the end of the first line are counted.
3. A line is cut from its right end, since some of GloVe's words have spaces in them.
4. A line whose word is not wanted is passed over before its numbers are read.
"""

from array import array
from collections.abc import Iterator
from itertools import chain

import numpy as np

from aftertune.errors import WordError
from aftertune.words.lines import Table, Wanted, decode_line, file_name, is_wanted, read_lines

Line = tuple[int, bytes]
MOST_NUMBERS = 100_000  # of one word; vectors of large language models have 20,000
MOST_DIGITS = 12


def read_text(address: str, wanted: Wanted) -> Table:
    """The vectors of the wanted words; raises `WordError` for lines that do not have the same number of columns."""
    lines = ((number, line.rstrip(b" ")) for number, line in read_lines(address) if line.strip(b" "))
    first = next(lines, None)
    if first is None:
        raise WordError(f"{address} is empty. Give a file with a word and its vector on each line.")
    heading = _heading(address, first[1])
    if heading:
        words, numbers = _read(address, _all(address, lines, heading[0]), heading[1], wanted)
        return _table(address, words, numbers, heading[1])
    d_vector = _count_numbers(address, first)
    words, numbers = _read(address, chain([first], lines), d_vector, wanted)
    return _table(address, words, numbers, d_vector)


def _table(address: str, words: list[str], numbers: "array[float]", d_vector: int) -> Table:
    return Table.of_array(words, np.array(numbers, dtype=np.float32).reshape(-1, d_vector), file_name(address))


def _heading(address: str, line: bytes) -> tuple[int, int] | None:
    fields = line.split(b" ", 2)
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    if any(len(field) > MOST_DIGITS for field in fields) or int(fields[1]) > MOST_NUMBERS:
        raise WordError(
            f"{address}, line 1 says vectors of {fields[1][:20].decode()} numbers for {fields[0][:20].decode()} words. "
            f"At most {MOST_NUMBERS:,} numbers are read of a word: correct the line, or fetch the file again."
        )
    return (int(fields[0]), int(fields[1])) if int(fields[0]) and int(fields[1]) else None


def _count_numbers(address: str, first: Line) -> int:
    fields = first[1].split(b" ")[1:]
    count = next((index for index, field in enumerate(reversed(fields)) if not _is_number(field)), len(fields))
    if not count:
        given = first[1][:40].decode("utf-8", "replace")
        raise WordError(
            f"{address}, line {first[0]} is {given!r}. Each line must hold a word and its numbers, with spaces between."
        )
    return count


def _all(address: str, lines: Iterator[Line], n_words: int) -> Iterator[Line]:
    count = 0
    for line in lines:
        count += 1
        yield line
    if count < n_words:
        raise WordError(
            f"{address} ends after {count} words, its first line says {n_words}. It was cut off: fetch it again."
        )


def _read(address: str, lines: Iterator[Line], d_vector: int, wanted: Wanted) -> tuple[list[str], "array[float]"]:
    starts = None if wanted is None else frozenset(word.split(" ")[0] for word in wanted)
    words: list[str] = []
    numbers = array("f")
    for line in lines:
        if not is_wanted(line[1].partition(b" ")[0].decode("utf-8", "replace"), starts):
            continue
        word, vector = _cut(address, line, d_vector)
        if is_wanted(word, wanted):
            words.append(word)
            numbers.extend(vector)
    return words, numbers


def _cut(address: str, line: Line, d_vector: int) -> tuple[str, list[float]]:
    word, *fields = line[1].rsplit(b" ", d_vector)
    # A word that ends in a number after a space is a number too many.
    if len(fields) != d_vector or (b" " in word and _is_number(word.rpartition(b" ")[2])):
        raise _irregular(address, line, d_vector)
    try:
        return decode_line(address, line[0], word), list(map(float, fields))
    except ValueError:
        raise _irregular(address, line, d_vector) from None


def _irregular(address: str, line: Line, d_vector: int) -> WordError:
    return WordError(
        f"{address}, line {line[0]} does not hold a word and {d_vector} numbers, as those before it do. "
        "Each line must have as many numbers as the first: correct it, or fetch the file again."
    )


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
