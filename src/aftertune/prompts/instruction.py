"""Which characters of a prompt are its instruction, and which tokens hold them?

Where spans mark it, those. Where none do, all that the user wrote, less the ``context``: its last place in the last
user message that holds it, since an instruction comes before what it is about more often than after it.

A token belongs to a range if at least half of its characters lie in it, white space at either end of the token not
counted (a token of white space only is counted whole). So a token that straddles a border goes to the side that
holds most of it, and to the range on a tie; a token without characters, as templates and tokenizers insert, belongs
to none. Tokens that share a character (byte fallback) are decided alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import PromptError
from aftertune.prompts.prompt import Message, Prompt

MarkedSpan = tuple[int, int, int]


def instruction_spans(prompt: Prompt) -> list[MarkedSpan]:
    """Ranges (start, end, message) of the instruction; raises `PromptError` for a span that lies in no user message."""
    if prompt.spans is None:
        return _without_context(prompt)
    for start, end, index in prompt.spans:
        if not 0 <= index < len(prompt.messages) or prompt.messages[index].role != "user":
            raise PromptError(f"The span {start}..{end} of prompt {prompt.id!r} names message {index}, not a user's.")
        _check_range(prompt.messages[index].content, start, end)
    return list(prompt.spans)


def instruction_text(prompt: Prompt) -> str:
    """The instruction of a prompt; raises `PromptError` as `instruction_spans` does."""
    pieces = (prompt.messages[index].content[start:end].strip() for start, end, index in _merged(prompt))
    return " ".join(piece for piece in pieces if piece)


def without_instruction(prompt: Prompt) -> Prompt | None:
    """The prompt with all of its instruction cut out; None where none is marked, or nothing is left of a user message.

    White space at a cut is kept once, the longer of both sides, and none at the ends of the message. What holds no
    letter or digit is nothing. Raises `PromptError` as `instruction_spans` does.
    """
    if (prompt.spans is None and not prompt.context) or not instruction_text(prompt):
        return None
    texts = [message.content for message in prompt.messages]
    for start, end, index in reversed(_merged(prompt)):
        texts[index] = _joined(texts[index][:start], texts[index][end:])
    kept = tuple(replace(one, content=text) for one, text in zip(prompt.messages, texts, strict=True))
    is_blank = any(one.role == "user" and not any(map(str.isalnum, one.content)) for one in kept)
    return None if is_blank else replace(prompt, messages=kept, spans=None, context="")


def _merged(prompt: Prompt) -> list[MarkedSpan]:
    """The ranges of the instruction in their order, those that overlap or touch made one."""
    found: list[MarkedSpan] = []
    for start, end, index in sorted(instruction_spans(prompt), key=lambda span: (span[2], span[:2])):
        if found and found[-1][2] == index and start <= found[-1][1]:
            first, last, _ = found.pop()
            start, end = first, max(end, last)
        found.append((start, end, index))
    return found


def _joined(before: str, after: str) -> str:
    left, right = before.rstrip(), after.lstrip()
    gap = max(before[len(left) :], after[: len(after) - len(right)], key=len)
    return left + (gap if left and right else "") + right


def locate_spans(given: Iterable[Any], messages: Sequence[Message]) -> tuple[MarkedSpan, ...]:
    """Ranges (start, end, message) of spans given as substrings, or in characters as [start, end] or with the message.

    A substring is looked for in the user messages in order and stands at its first place; [start, end] counts in the
    last user message, [start, end, message] in the one of that index, from 0. Raises `PromptError` for a span that is
    empty, of another kind, or not in the prompt.
    """
    return tuple(_locate(span, messages) for span in given)


def _locate(span: Any, messages: Sequence[Message]) -> MarkedSpan:
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    if isinstance(span, str):
        return _find(span, messages, users)
    if isinstance(span, list | tuple) and len(span) in (2, 3) and all(type(edge) is int for edge in span):
        start, end, index = span if len(span) == 3 else (*span, users[-1])
        if index not in users:
            raise PromptError(
                f"the span {span!r} names message {index}, not a user's. Messages count from 0; the user's: {users}."
            )
        _check_range(messages[index].content, start, end)
        return start, end, index
    raise PromptError(
        f"the span {span!r} is neither a text nor a pair. Each of instruction_spans must be a piece of the prompt, "
        "or [start, end] in characters."
    )


def _find(span: str, messages: Sequence[Message], users: Sequence[int]) -> MarkedSpan:
    if not span.strip():
        raise PromptError(f"the span {span!r} is empty. Take it out, or give a piece of the prompt.")
    for index in users:
        start = messages[index].content.find(span)
        if start >= 0:
            return start, start + len(span), index
    raise PromptError(
        f"the span {span!r} does not stand in the prompt. A span must be copied from the prompt letter by letter; "
        "correct it, or give [start, end] in characters."
    )


def _check_range(text: str, start: int, end: int) -> None:
    if not 0 <= start < end <= len(text):
        raise PromptError(
            f"the span [{start}, {end}] does not lie in the prompt of {len(text)} characters. "
            f"Give 0 <= start < end <= {len(text)}."
        )


def _without_context(prompt: Prompt) -> list[MarkedSpan]:
    users = [index for index, message in enumerate(prompt.messages) if message.role == "user"]
    holding = [index for index in users if prompt.context and prompt.context in prompt.messages[index].content]
    spans: list[MarkedSpan] = []
    for index in users:
        text = prompt.messages[index].content
        if holding and index == holding[-1]:
            start = text.rfind(prompt.context)
            spans += [(0, start, index), (start + len(prompt.context), len(text), index)]
        else:
            spans.append((0, len(text), index))
    return [(start, end, index) for start, end, index in spans if start < end]


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
