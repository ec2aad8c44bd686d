"""How often does each word occur in a text?

1. A text file is read line by line; of JSON (.json, .jsonl) every text value is read, however deep it lies.
2. A word is a run of letters and digits; apostrophes and hyphens inside it belong to it ("don't", "well-known").
   Its case is kept.
3. Only the counts are kept, so memory grows with the number of different words. (A .json file is one value, and so is
   read whole.)
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from aftertune.errors import WordError
from aftertune.words.lines import decode_line, ending, read_lines

WORD = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*")


def count_words(address: str) -> dict[str, int]:
    """The number of times that each word occurs, in order of first occurrence.

    Raises `WordError` if the file cannot be read, is not UTF-8, or is called JSON and is not.
    """
    counts: Counter[str] = Counter()
    for text in _texts(address):
        counts.update(WORD.findall(text))
    return counts


def _texts(address: str) -> Iterator[str]:
    lines = ((number, decode_line(address, number, line)) for number, line in read_lines(address))
    kind = ending(address)
    if kind == ".json":
        yield from _strings(_parse(address, "\n".join(line for _, line in lines)))
    elif kind == ".jsonl":
        for number, line in lines:
            if line.strip():
                yield from _strings(_parse(f"{address}, line {number}", line))
    else:
        yield from (line for _, line in lines)


def _parse(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise WordError(f"{place} is not JSON: {reason}. Correct it, or give plain text as .txt.") from None


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict | list):
            inner = list(found.values()) if isinstance(found, dict) else found
            waiting += reversed(inner)
