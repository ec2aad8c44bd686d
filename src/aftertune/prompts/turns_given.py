"""What is a chat template given of a conversation?  Each turn's role and content, its calls of tools, its reasoning.

Templates differ in how they want calls, and some leave out without a word what they do not know. So the ways are tried
in turn, and the first that the template takes and that shows the name of every function is it:

1. calls as data, their arguments as an object, as most templates want them;
2. the same with arguments as JSON;
3. for a template that has no place for calls, the calls as JSON in the content;
4. contents as lists of one part, for the templates of models that see pictures.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.prompts.prompt import Message

Turns = list[dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """A way to give calls of tools: as ``data`` or in the content; ``parsed``: arguments as an object.

    ``parts``: contents are lists.
    """

    data: bool = True
    parsed: bool = True
    parts: bool = False


def ways_for(calls: Sequence[str]) -> tuple[Way, ...]:
    """The ways that are tried for messages that call these functions."""
    of_calls = (Way(parsed=False), Way(data=False)) if calls else ()
    return (Way(), *of_calls, Way(parts=True))


def names_called(messages: Sequence[Message]) -> list[str]:
    """The functions that the messages call."""
    return [call["function"]["name"] for one in messages for call in _more(one).get("tool_calls", [])]


def reasonings(messages: Sequence[Message]) -> list[str]:
    """What the messages think, where it stands beside their contents."""
    return [more["reasoning_content"] for one in messages if "reasoning_content" in (more := _more(one))]


def turns_of(messages: Sequence[Message], contents: Sequence[str], way: Way) -> Turns:
    """The turns as a template is given them, with ``contents`` in place of those of the messages."""
    return [dict(_turn(one, content, way)) for one, content in zip(messages, contents, strict=True)]


def _turn(message: Message, content: str, way: Way) -> Iterator[tuple[str, Any]]:
    more = _more(message)
    calls = more.pop("tool_calls", [])
    yield "role", message.role
    if calls and not way.data:
        said = json.dumps(calls, ensure_ascii=False)
        content = f"{content}\n{said}" if content.strip() else said
    elif calls:
        yield "tool_calls", [_with_arguments(call, way.parsed) for call in calls]
    yield "content", [{"type": "text", "text": content}] if way.parts else content
    yield from more.items()


def _more(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.more) if message.more else {}
    return found


def _with_arguments(call: dict[str, Any], parsed: bool) -> dict[str, Any]:
    arguments = call["function"]["arguments"]
    if parsed and isinstance(arguments, str):
        with contextlib.suppress(ValueError):  # no JSON: it is given as it stands
            arguments = json.loads(arguments)
    elif not parsed and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return call | {"function": call["function"] | {"arguments": arguments}}
