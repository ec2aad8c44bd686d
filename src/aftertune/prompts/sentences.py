"""Where does each sentence of a prompt begin and end?

A small rule that can be stated in full, so that figure 6 and the attribution by sentence cut a text alike.
1. A line break ends a sentence.
2. So do full stops, question and exclamation marks with the closing quotes and brackets after them, if white space
   follows and the next word does not begin with a small letter.
3. A single full stop does not after an abbreviation (`ABBREVIATIONS`), after an initial ("J. Smith"), or after the
   number or letter that opens a line ("1. Wash the rice", "B. Difficult subject").
4. The full-width marks of Chinese and Japanese end a sentence without white space after them.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]

ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "inc",
        "ltd",
        "vs",
        "e.g",
        "i.e",
        "cf",
        "fig",
        "eq",
        "vol",
        "pp",
    )
)
LINE = re.compile(r"[^\r\n\v\f\x85\u2028\u2029]+")
END = re.compile(r"[.!?…]+[\"'”’»)\]*_]*(?=\s)|[。！？｡]+[」』”’）]*")
OPENERS = "\"'“‘«([*_-–—•"


def sentences(text: str) -> list[Span]:
    """Character ranges (start, end) of the sentences, in order, without white space at their ends; none is empty."""
    return [span for line in LINE.finditer(text) for span in _split_line(text, *line.span())]


def _split_line(text: str, start: int, end: int) -> Iterator[Span]:
    begin = start
    for mark in END.finditer(text, start, end):
        if _ends_sentence(text[begin : mark.start()], mark[0], text[mark.end() : end], is_first=begin == start):
            yield from _trimmed(text, begin, mark.end())
            begin = mark.end()
    yield from _trimmed(text, begin, end)


def _ends_sentence(before: str, mark: str, after: str, is_first: bool) -> bool:
    following = after.lstrip().lstrip(OPENERS)
    if mark[0] in "。！？｡":
        return True
    if following[:1].islower():
        return False
    return mark != "." or not _is_abbreviated(before, is_first)


def _is_abbreviated(before: str, is_first: bool) -> bool:
    words = before.split()
    last = words[-1].lstrip(OPENERS) if words else ""
    opens_line = is_first and len(words) == 1 and re.fullmatch(r"\d{1,3}|[A-Za-z]", last) is not None
    is_initial = len(words) > 1 and re.fullmatch(r"[A-Z]", last) is not None and last != "I"
    return opens_line or is_initial or last.lower() in ABBREVIATIONS


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
