"""Where does each message stand in a rendered chat?

The template renders twice, once with a marker for each piece of a message and once with the messages. The marked text
says what stands around each piece, so it is found even if its words occur in the template.

1. A message is one piece. An assistant's is several where it thinks (<think>...</think>), so that a template that
   takes the thinking out of earlier answers does the same to both.
2. A piece may come out with white space stripped. Thinking may be left out, and what is said beside a call of a tool,
   and that is told; nothing else may be.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aftertune.prompts.prompt import Message

# Private-use characters: no template strips or splits them.
MARKER = "\ue000{}\ue001"
MARKED = re.compile("\ue000(\\d+)\ue001")
# What a template may leave out.
REASONING, BESIDE = "reasoning", "beside calls"
TAGS = re.compile(r"(\s*</?think>\s*)")


@dataclass(frozen=True)
class Placed:
    """A piece of a message in the rendered text: the message's index, its range there, and how much was stripped at
    its beginning.
    """

    index: int
    start: int
    end: int
    stripped: int

    def project(self, start: int, end: int) -> tuple[int, int]:
        """The range in the rendered text of characters ``start``..``end`` of the message."""
        shift = self.start - self.stripped
        return min(max(start + shift, self.start), self.end), max(min(end + shift, self.end), self.start)


@dataclass(frozen=True)
class Piece:
    """Characters of the message of that index; ``kind`` is what a template may leave out, "" for what it may not."""

    index: int
    text: str
    kind: str = ""


def mark(messages: Sequence[Message]) -> tuple[list[str], list[Piece]]:
    """What is rendered in place of each message's content, and the pieces by the numbers of their markers."""
    pieces: list[Piece] = []
    return ["".join(_marked(index, message, pieces)) for index, message in enumerate(messages)], pieces


def _marked(index: int, message: Message, pieces: list[Piece]) -> Iterator[str]:
    parts = TAGS.split(message.content) if message.role == "assistant" else [message.content]
    thinks, beside = False, BESIDE if '"tool_calls"' in message.more else ""
    for number, text in enumerate(parts):
        if number % 2:  # a tag, which stays
            thinks = "</" not in text
            yield text
        elif text.strip():
            closes = number + 1 < len(parts) and "</" in parts[number + 1]  # some begin within their thinking
            pieces.append(Piece(index, text, REASONING if thinks or closes else beside))
            yield MARKER.format(len(pieces) - 1)
        else:
            yield text


def place(text: str, marked: str, pieces: Sequence[Piece]) -> tuple[list[Placed], set[str]] | None:
    """Where the pieces stand in ``text``, and the kinds of those that are left out; None if that can't be told."""
    around, order = MARKED.split(marked)[::2], [int(number) for number in MARKED.findall(marked)]
    missing = {pieces[number].kind for number in set(range(len(pieces))) - set(order)}
    if len(order) != len(set(order)) or "" in missing:
        return None
    placed, cursor = list[Placed](), len(around[0])
    if not text.startswith(around[0]):
        return None
    for number, following in zip(order, around[1:], strict=True):
        found = _find(pieces[number], text, cursor, following)
        if found is None:
            return None
        placed.append(found)
        cursor = found.end + len(following)
    return (placed, missing) if cursor == len(text) else None


def _find(piece: Piece, text: str, cursor: int, following: str) -> Placed | None:
    before = len(piece.text) - len(piece.text.lstrip())
    for kept, stripped in (
        (piece.text, 0),
        (piece.text.strip(), before),
        (piece.text.lstrip(), before),
        (piece.text.rstrip(), 0),
    ):
        if text.startswith(kept + following, cursor):
            return Placed(piece.index, cursor, cursor + len(kept), stripped)
    return None
