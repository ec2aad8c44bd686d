"""What does one turn of chat data say, think and call?

1. A content is a text, or a list of parts of which those of text are said, those of reasoning thought, those of calls
   called; one of another kind (a picture) is refused, since what the model would see of it is not known.
2. Calls of tools have no text: they are kept as data, for the chat template (``Message.more``), in the form of OpenAI:
   a list of ``{"type": "function", "function": {"name": ..., "arguments": ...}}``.
3. Reasoning that stands beside the content is kept likewise, under the name that transformers gives it.
4. Columns of Parquet have every key in every row: one that is null is none.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.prompt import Message

TEXT_PARTS = ("text", "input_text", "output_text", None)
REASONING_PARTS = ("reasoning", "thinking")
REASONING = ("reasoning_content", "reasoning", "thinking")
CALLS = ("tool_calls", "function_call")
OF_TOOLS = ("tool_call_id", "name")
USED = {"role", "from", "content", "value", *REASONING, *CALLS}


def read_turn(role: str, content: Any, turn: Mapping[str, Any], place: str, *, is_call: bool = False) -> Message:
    """The message of a turn whose ``content`` stands at ``place``; ``is_call``: it is a call, written as JSON.

    Raises `PromptError` for a content that is blank, or no text.
    """
    said, thought, calls = _parts(content, place)
    if is_call:
        said, calls = "", _calls_of(said, place)
    beside = [_text(turn[name], f"{place} ({name})") for name in REASONING if _is_filled(turn.get(name))]
    thought = thought or (beside[0] if beside else "")
    calls += [call for name in CALLS for call in _listed(turn.get(name))]
    if not said.strip() and not (calls and role == "assistant"):
        if content is None:
            raise PromptError(f'the field "{place}" is missing. Give it: a text that is not blank.')
        raise PromptError(f'"{place}" is {content!r}. It must be a text that is not blank.')
    more: dict[str, Any] = {"reasoning_content": thought} if thought else {}
    more |= {"tool_calls": [_call(one, place) for one in calls]} if calls else {}
    more |= {name: turn[name] for name in OF_TOOLS if role == "tool" and _is_filled(turn.get(name))}
    return Message(role, said, json.dumps(more, ensure_ascii=False) if more else "")


def unused_of_turn(turn: Mapping[str, Any], is_tool: bool) -> Iterable[str]:
    """The names of what a turn carries and nobody reads."""
    return (
        name
        for name, value in turn.items()
        if name not in USED and not (is_tool and name in OF_TOOLS) and _is_filled(value)
    )


def read_tools(given: Any) -> str:
    """Tools that a row names, a list or JSON, as a JSON list in the form of OpenAI; "" for none.

    Raises `PromptError` for what are no tools.
    """
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise PromptError(f'"tools" is {short(given)}. It must be a list of tools, or JSON of one.') from None
    if not _is_filled(given):
        return ""
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise PromptError(f'"tools" is {short(given)}. It must be a list of tools, or JSON of one.')
    wrapped = [
        one if "function" in one or "name" not in one else {"type": "function", "function": one} for one in given
    ]
    return json.dumps([without_nulls(one) for one in wrapped], ensure_ascii=False)


def without_nulls(value: Any) -> Any:
    """The value without keys that are null, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def short(value: Any) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return f"{text[:60]}..." if len(text) > 60 else text


def _parts(content: Any, place: str) -> tuple[str, str, list[Any]]:
    """What a content says, thinks and calls."""
    if content is None or isinstance(content, str):
        return _text(content or "", place), "", []
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Sequence):
        raise PromptError(f'"{place}" is {short(content)}. It must be a text, or a list of parts.')
    said, thought, calls = "", "", list[Any]()
    for number, part in enumerate(content):
        kind, text = _part(part, f"{place}.{number}")
        if kind == "tool_call":
            calls += _calls_of(text, f"{place}.{number}")
        elif kind in REASONING_PARTS:
            thought += text
        else:
            said += text
    return said, thought, calls


def _part(part: Any, place: str) -> tuple[str | None, str]:
    """The kind of a part and its text."""
    if isinstance(part, str):
        return "text", _text(part, place)
    if isinstance(part, Mapping):
        kind = part.get("type")
        names = ("text", "value", *REASONING_PARTS) if kind in REASONING_PARTS else ("text", "value")
        text = next((part[name] for name in names if isinstance(part.get(name), str)), None)
        if text is not None and kind in (*TEXT_PARTS, *REASONING_PARTS, "tool_call"):
            return kind, _text(text, place)
    kind = part.get("type") if isinstance(part, Mapping) else part
    raise PromptError(f'"{place}" is a part of the kind {short(kind)}. Only text can be read; leave the row out.')


def _text(text: Any, place: str) -> str:
    if not isinstance(text, str):
        raise PromptError(f'"{place}" is {short(text)}. It must be a text that is not blank.')
    try:
        text.encode("utf-8")  # half a surrogate pair, which JSON can spell and no tokenizer reads
    except UnicodeEncodeError:
        raise PromptError(f'"{place}" is {short(text)}. It must be a text that is not blank.') from None
    return text


def _calls_of(text: str, place: str) -> list[Any]:
    """Calls that are written as JSON."""
    try:
        return _listed(json.loads(text))
    except (ValueError, RecursionError):
        raise PromptError(f'"{place}" is {short(text)}. It must be the call of a tool, as JSON.') from None


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _call(call: Any, place: str) -> dict[str, Any]:
    call = without_nulls(call)
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise PromptError(f'"{place}" calls {short(call)}. A call must have the name of a function.')
    named = {"name": function["name"], "arguments": function.get("arguments", {})}
    return {name: call[name] for name in ("id",) if name in call} | {"type": "function", "function": named}


def _is_filled(value: Any) -> bool:
    return value is not None and value not in ("", [], {}) and not (isinstance(value, str) and not value.strip())
