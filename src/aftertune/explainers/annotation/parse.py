"""Which answers are allowed, and what a chat model's answer says; anything else is unusable, never guessed.

1. Thinking aloud before the answer is left out; an answer that was cut off or refused is unusable.
2. JSON, also within other text or a fenced block: the value under the step's name.
3. Else the text itself, less a label before it and quotes and full stops around it.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from aftertune.explainers.annotation.request import Reply
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS, TUNING_STEP

CANNOT_TELL = "Cannot Tell"
NONE = "none"
# Asked for by name, since annotators deem nearly everything fit for "writing" (appendix D.1).
TASKS: Mapping[str, str] = {
    "daily writing": "writing",
    "literary writing": "writing",
    "professional writing": "writing",
    "solving math problems": "math",
    "coding": "coding",
    "translation": "translation",
}
SCENARIO_OF: Mapping[str, str] = {**TASKS, **{name: name for name in SCENARIOS}}
# The paper's template has the singular of the last one.
LEVEL_OF: Mapping[str, str] = {**{name: name for name in LEVELS}, "semantic": "semantics"}
# A description is to be concise; a longer one is talk around it.
LONGEST_DESCRIPTION = 200
THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
LABEL = re.compile(r"^(?:concept|description|tuning|tasks?|level|category|answer)\s*:\s*", re.IGNORECASE)
BETWEEN = re.compile(r"[;,\n]")
AROUND = " \t\r\n.*\"'`“”‘’-•"
CANNOT = CANNOT_TELL.lower()


def _schema(step: str, value: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {step: value}, "required": [step], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": step, "strict": True, "schema": schema}}


RESPONSE_FORMATS: Mapping[str, dict[str, Any]] = {
    "description": _schema("description", {"type": "string"}),
    "tasks": _schema("tasks", {"type": "array", "items": {"type": "string", "enum": [*TASKS]}}),
    "level": _schema("level", {"type": "string", "enum": [*LEVELS]}),
    TUNING_STEP: _schema(TUNING_STEP, {"type": "string"}),
}


class UnusableError(ValueError):
    """An answer that is none of those allowed."""


def parse_description(reply: Reply) -> str | None:
    """The description, on one line, without a full stop; None for "Cannot Tell". Raises `UnusableError`."""
    return _phrase("description", reply)


def parse_tuning(reply: Reply) -> str | None:
    """The name of a tuning, as `parse_description`."""
    return _phrase(TUNING_STEP, reply)


def _phrase(step: str, reply: Reply) -> str | None:
    value = _value(step, reply)
    if not isinstance(value, str):
        raise UnusableError
    text = " ".join(value.split()).strip(AROUND)
    if CANNOT in text.lower().replace("cannot_tell", CANNOT).replace("can't tell", CANNOT):
        return None
    if not text.isprintable() or not any(letter.isalnum() for letter in text) or len(text) > LONGEST_DESCRIPTION:
        raise UnusableError
    return text


def parse_tasks(reply: Reply) -> list[str]:
    """The scenarios that the tasks belong to, each once, in the order of `SCENARIOS`. Raises `UnusableError`."""
    value = _value("tasks", reply)
    names = value if isinstance(value, list) else BETWEEN.split(value) if isinstance(value, str) else [None]
    if not names and isinstance(value, list):
        return []
    cleaned = [_clean(name) for name in names]
    given = [name for name in cleaned if name]
    if given == [NONE]:
        return []
    if not given or not all(name in SCENARIO_OF for name in given):
        raise UnusableError
    return [name for name in SCENARIOS if name in {SCENARIO_OF[one] for one in given}]


def parse_level(reply: Reply) -> str:
    """One of `LEVELS`. Raises `UnusableError`."""
    name = _clean(_value("level", reply))
    if name not in LEVEL_OF:
        raise UnusableError
    return LEVEL_OF[name]


PARSERS: Mapping[str, Callable[[Reply], Any]] = {
    "description": parse_description,
    "tasks": parse_tasks,
    "level": parse_level,
    TUNING_STEP: parse_tuning,
}


def _clean(name: Any) -> str:
    if not isinstance(name, str):
        raise UnusableError
    return " ".join(name.split()).strip(AROUND).lower()


def _value(step: str, reply: Reply) -> Any:
    text = THINKING.sub("", reply.text).strip()
    if not text or reply.refusal or reply.finish == "length" or text.startswith("<think>"):
        raise UnusableError
    if "{" in text:
        return _of_object(text[text.index("{") :], step)
    if step == "tasks" and text.startswith("["):
        return _decode(text)
    return LABEL.sub("", text)


def _of_object(text: str, step: str) -> Any:
    found = _decode(text)
    named = {str(name).lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
    if step not in named:
        raise UnusableError
    return named[step]


def _decode(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError) as error:
        raise UnusableError from error
