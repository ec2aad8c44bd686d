"""What is a chat template given of a conversation?  Each turn's role and content, its calls of tools, its reasoning.

Templates differ in how they want calls, and some leave out without a word what they do not know. So the ways are tried
in turn, and the first that the template takes and that shows the name of every function is it:

1. calls as data, their arguments as an object, as most templates want them;
2. the same with arguments as JSON;
3. for a template that has no place for calls, the calls as JSON in the content.
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
    """A way to give calls of tools: as ``data`` or in the content; ``parsed``: arguments as an object."""

    data: bool = True
    parsed: bool = True


WAYS = (Way(), Way(parsed=False), Way(data=False))


def names_called(messages: Sequence[Message]) -> list[str]:
    """The functions that the messages call."""
    return [call["function"]["name"] for one in messages for call in _more(one).get("tool_calls", [])]


def turns_of(messages: Sequence[Message], contents: Sequence[str], way: Way) -> Turns:
    """The turns as a template is given them, with ``contents`` in place of those of the messages."""
    return [dict(_turn(one, content, way)) for one, content in zip(messages, contents, strict=True)]


def _turn(message: Message, content: str, way: Way) -> Iterator[tuple[str, Any]]:
    more = _more(message)
    calls = more.pop("tool_calls", [])
    yield "role", message.role
    if calls and not way.data:
        said = json.dumps(calls, ensure_ascii=False)
        yield "content", f"{content}\n{said}" if content.strip() else said
    else:
        yield "content", content
        if calls:
            yield "tool_calls", [_with_arguments(call, way.parsed) for call in calls]
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
