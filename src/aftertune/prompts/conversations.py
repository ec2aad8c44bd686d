"""Conversations as data sets have them -> messages, and the answer that they end with.

1. A turn has ``role`` and ``content``, or ``from`` and ``value`` (ShareGPT). Roles have many names (`ROLES`).
2. A content is a text, or a list of parts of which those of text are taken; one of another kind is refused, since what
   the model would see of it is not known. Of calls of tools, which have no text, it is the calls as JSON.
3. What follows the last turn of the user, or of a tool, is the answer: not part of the prompt, but its response.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.prompt import Message

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
ROLES = {
    **dict.fromkeys(("system", "developer"), SYSTEM),
    **dict.fromkeys(("user", "human", "prompter"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "bard", "bing", "model"), ASSISTANT),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), TOOL),
}
TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True)
class Conversation:
    """What a model is given, and the answer of the data set, None where it has none."""

    messages: tuple[Message, ...]
    answer: str | None

    @property
    def first_question(self) -> str:
        """What the user says first."""
        return next((one.content for one in self.messages if one.role == USER), "")


def read_turns(turns: Any, field: str) -> Conversation:
    """The conversation of a ``field``; raises `PromptError`, naming the place, for what can't be used."""
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise PromptError(f'"{field}" is {_short(turns)}. It must be a list of turns with role and content.')
    messages = [_message(turn, f"{field}.{number}") for number, turn in enumerate(turns)]
    asked = [number for number, one in enumerate(messages) if one.role in (USER, TOOL)]
    if not any(one.role == USER for one in messages):
        roles = ", ".join(one.role for one in messages) or "none"
        raise PromptError(f'the roles of "{field}" are: {roles}. One of them must be user.')
    answer = messages[asked[-1] + 1 :]
    said = [one.content for one in answer if one.role == ASSISTANT and one.content.strip()]
    return Conversation(tuple(messages[: asked[-1] + 1]), said[-1] if said else None)


def _message(turn: Any, place: str) -> Message:
    if not isinstance(turn, Mapping):
        raise PromptError(f'"{place}" is {_short(turn)}. It must be a turn with role and content.')
    names = ("role", "content") if "role" in turn else ("from", "value")
    if names[0] not in turn:
        raise PromptError(f'the field "{place}.role" is missing. Give it: who says it.')
    role = ROLES.get(str(turn[names[0]]).lower())
    if role is None:
        known = ", ".join(ROLES)
        raise PromptError(f'"{place}.{names[0]}" is {_short(turn[names[0]])}. It must be one of {known}.')
    return Message(role, _text(turn.get(names[1]), turn, f"{place}.{names[1]}"))


def _text(content: Any, turn: Mapping[str, Any], place: str) -> str:
    """The text of a turn."""
    calls = turn.get("tool_calls") or turn.get("function_call")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(_part(one, f"{place}.{number}") for number, one in enumerate(content))
    if content is not None and not isinstance(content, str):
        raise PromptError(f'"{place}" is {_short(content)}. It must be a text, or a list of parts.')
    said = [content] if content and content.strip() else []
    said += [json.dumps(calls, ensure_ascii=False)] if calls else []
    if not said:
        if content is None:
            raise PromptError(f'the field "{place}" is missing. Give it: a text that is not blank.')
        raise PromptError(f'"{place}" is {content!r}. It must be a text that is not blank.')
    text = "\n".join(said)
    try:
        text.encode("utf-8")  # half a surrogate pair, which JSON can spell and no tokenizer reads
    except UnicodeEncodeError:
        raise PromptError(f'"{place}" is {_short(text)}. It must be a text that is not blank.') from None
    return text


def _part(part: Any, place: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type") in TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise PromptError(f'"{place}" is a part of the kind {_short(kind)}. Only text can be read; leave the row out.')


def _short(value: Any) -> str:
    text = repr(value)
    return f"{text[:60]}..." if len(text) > 60 else text
