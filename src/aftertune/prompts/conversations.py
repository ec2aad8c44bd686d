"""Conversations as data sets have them -> messages, and the answer that they end with.

1. A turn has ``role`` and ``content``, or ``from`` and ``value`` (ShareGPT). Roles have many names (`ROLES`). A list of
   turns may be written as text, as tables without types do.
2. What a turn says, thinks and calls is told by `turns`. A system that says nothing is left out.
3. What follows the last turn of the user, or of a tool, is the answer: not part of the prompt, but its response.
4. Whatever is not used of it is named (``unused``).
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.prompt import Message
from aftertune.prompts.turns import read_turn, short, unused_of_turn

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"
CALLING = ("function_call", "tool_call")  # an assistant whose value is the call
ROLES = {
    **dict.fromkeys(("system", "developer"), SYSTEM),
    **dict.fromkeys(("user", "human", "prompter"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "bard", "bing", "model", *CALLING), ASSISTANT),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "tool_response"), TOOL),
}


@dataclass(frozen=True)
class Conversation:
    """What a model is given, and the answer of the data set, None where it has none; ``unused`` names what is left."""

    messages: tuple[Message, ...]
    answer: str | None
    unused: tuple[str, ...] = ()

    @property
    def first_question(self) -> str:
        """What the user says first."""
        return next((one.content for one in self.messages if one.role == USER), "")


def read_turns(turns: Any, field: str) -> Conversation:
    """The conversation of a ``field``; raises `PromptError`, naming the place, for what can't be used."""
    turns = written_list(turns)
    if not isinstance(turns, Sequence) or isinstance(turns, str):
        raise PromptError(f'"{field}" is {short(turns)}. It must be a list of turns with role and content.')
    messages = [_message(turn, f"{field}.{number}", number == len(turns) - 1) for number, turn in enumerate(turns)]
    said = [one for one in messages if one is not None]
    asked = [number for number, one in enumerate(said) if one.role in (USER, TOOL)]
    if not said:
        raise PromptError(f'no turn of "{field}" says anything. One must be of the user, with a text.')
    if not any(one.role == USER for one in said):
        roles = ", ".join(one.role for one in said)
        raise PromptError(f'the roles of "{field}" are: {roles}. One of them must be user.')
    prompt, after = said[: asked[-1] + 1], said[asked[-1] + 1 :]
    answers = [one for one in after if one.role == ASSISTANT and one.content.strip()]
    answer = answers[-1] if answers else None
    unused = {f"{field}.{name}" for turn in turns for name in unused_of_turn(turn, ROLES.get(_role(turn)) == TOOL)}
    unused |= {f"{field} after the last question"} if [one for one in after if one is not answer] else set()
    unused |= {f"{field} (what the answer thinks or calls)"} if answer and answer.more else set()
    return Conversation(tuple(prompt), answer.content if answer else None, tuple(sorted(unused)))


def written_list(given: Any) -> Any:
    """A list that is written as text, in JSON or as Python shows it; anything else as it is."""
    if not isinstance(given, str) or given.lstrip()[:1] not in ("[", "{"):
        return given
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(given.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return given


def _role(turn: Mapping[str, Any]) -> str:
    return str(turn.get("role", turn.get("from"))).lower()


def _message(turn: Any, place: str, is_last: bool) -> Message | None:
    """The message of a turn; None for a system, or an answer at the end, that says nothing."""
    if not isinstance(turn, Mapping):
        raise PromptError(f'"{place}" is {short(turn)}. It must be a turn with role and content.')
    turn = {name: value for name, value in turn.items() if value is not None}
    names = ("role", "content") if "role" in turn else ("from", "value")
    if names[0] not in turn:
        raise PromptError(f'the field "{place}.role" is missing. Give it: who says it.')
    role = ROLES.get(str(turn[names[0]]).lower())
    if role is None:
        known = ", ".join(ROLES)
        raise PromptError(f'"{place}.{names[0]}" is {short(turn[names[0]])}. It must be one of {known}.')
    content = turn.get(names[1])
    if (
        not str(content or "").strip()
        and (role == SYSTEM or (role == ASSISTANT and is_last))
        and "tool_calls" not in turn
    ):
        return None
    return read_turn(role, content, turn, f"{place}.{names[1]}", is_call=str(turn[names[0]]).lower() in CALLING)
