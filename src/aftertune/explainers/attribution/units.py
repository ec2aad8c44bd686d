"""What counts as one part of the prompt: a token, a word, a sentence, a line, or the caller's own spans.

A unit is a set of neighbouring tokens and one direction of the attribution, not a sum made afterwards. Tokens that a
template or the tokenizer inserted (no characters, or not the user's) are units of their own in every division.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import ceil

import numpy as np
import numpy.typing as npt

from aftertune.errors import AttributionError
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.prompts.instruction import Span, mark_tokens
from aftertune.prompts.sentences import sentences

Unit = tuple[int, ...]
UnitChoice = str | Sequence[Span]


def split_units(encoded: EncodedPrompt, unit: UnitChoice) -> tuple[Unit, ...]:
    """The units of a prompt as token indices, in order.

    ``unit`` is "token", "word", "sentence", "line", or character ranges (start, end) in ``encoded.text``, where a
    token belongs to the first range that holds at least half of it. Raises `AttributionError` for another name, or a
    range that is empty, lies outside the prompt, or holds no token.
    """
    if not isinstance(unit, str):
        return _own_units(encoded, unit)
    if unit == "token":
        return tuple((index,) for index in range(len(encoded.ids)))
    if unit not in DIVISIONS:
        raise AttributionError(
            f"The unit {unit!r} is not known. Allowed: token, {', '.join(DIVISIONS)}, or character ranges (start, end)."
        )
    return tuple(_group(encoded, DIVISIONS[unit](encoded.text)))


def group_units(encoded: EncodedPrompt, units: Sequence[Unit], longest: int) -> tuple[tuple[int, ...], ...]:
    """Neighbouring units in groups of at most ``longest`` tokens, as indices of units, each in one group.

    A group is a sentence, a part of one that is longer, or several that are shorter together. What the user wrote and
    what a template put around it are apart.
    """
    sentence, is_user = np.zeros(len(encoded.ids), dtype=np.int64), encoded.is_user
    for number, tokens in enumerate(split_units(encoded, "sentence")):
        sentence[list(tokens)] = number if is_user[tokens[0]] else -1
    parts: list[list[int]] = []
    for _, members in groupby(range(len(units)), key=lambda index: sentence[units[index][0]]):
        parts += _parts(list(members), units, longest)
    groups: list[list[int]] = []
    for part in parts:
        together = sum(len(units[index]) for index in [*(groups[-1] if groups else ()), *part])
        if groups and together <= longest and is_user[units[groups[-1][0]][0]] == is_user[units[part[0]][0]]:
            groups[-1] += part
        else:
            groups.append(part)
    return tuple(map(tuple, groups))


def _parts(members: list[int], units: Sequence[Unit], longest: int) -> list[list[int]]:
    """Units in parts as even as can be, of at most ``longest`` tokens where no unit is longer."""
    n_tokens = sum(len(units[index]) for index in members)
    even, parts, size = ceil(n_tokens / ceil(n_tokens / longest)), list[list[int]](), 0
    for index in members:
        size += len(units[index])
        if not parts or size > even:
            parts.append([])
            size = len(units[index])
        parts[-1].append(index)
    return parts


def _own_units(encoded: EncodedPrompt, spans: Sequence[Span]) -> tuple[Unit, ...]:
    units: list[Unit] = []
    taken: set[int] = set()
    for span in spans:
        start, end = span
        if not 0 <= start < end <= len(encoded.text):
            raise AttributionError(
                f"The range {start}..{end} does not lie in the prompt of {len(encoded.text)} characters. "
                "Give ranges (start, end) with 0 <= start < end."
            )
        found = np.flatnonzero(mark_tokens(encoded.text, encoded.offsets, [span]))
        unit = tuple(int(index) for index in found if int(index) not in taken)
        if not unit:
            raise AttributionError(
                f"The range {start}..{end} ({encoded.text[start:end]!r}) holds no token that no other range holds. "
                "Give ranges that hold at least half of a token each."
            )
        taken.update(unit)
        units.append(unit)
    if not units:
        raise AttributionError("No range was given. Give at least one range (start, end), or a unit's name.")
    return tuple(units)


def _group(encoded: EncodedPrompt, spans: Sequence[Span]) -> Iterator[Unit]:
    owners = _owners(encoded, spans)
    current: list[int] = []
    for index, owner in enumerate(owners):
        if current and (owner < 0 or owner != owners[current[-1]]):
            yield tuple(current)
            current = []
        current.append(index)
    yield tuple(current)


def _owners(encoded: EncodedPrompt, spans: Sequence[Span]) -> npt.NDArray[np.int64]:
    owners = np.full(len(encoded.ids), -1, dtype=np.int64)
    for number, span in enumerate(spans):
        owners[mark_tokens(encoded.text, encoded.offsets, [span]) & (owners < 0)] = number
    owners[~encoded.is_user] = -1
    # A token between two spans (a line break of its own) goes with what stands before it.
    for index in range(1, len(owners)):
        if owners[index] < 0 and encoded.is_user[index]:
            owners[index] = owners[index - 1]
    return owners


def _words(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def _lines(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"[^\r\n]+", text)]


DIVISIONS: dict[str, Callable[[str], list[Span]]] = {"word": _words, "sentence": sentences, "line": _lines}
