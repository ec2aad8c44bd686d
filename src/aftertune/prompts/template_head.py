"""What is a chat template told besides the messages?  Arguments, and the date where it asks for today's.

Both are written at the head of its text, so that whoever renders it has them, and a run that goes on tomorrow reads the
same. A template may be several by name, as tokenizers have them.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from aftertune.errors import CheckpointError, PromptError
from aftertune.places import read_text

TODAY = "strftime_now"
MOST_TEMPLATE = 2**22  # bytes of its file; the longest known has a hundredth of it
DIRECTIVES = "aAbBcdDefFGhHIjklmMnpPrRStTuUVwWxXyYzZ"
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
# What is rendered is given by these, and is none of a user's arguments.
GIVEN = ("messages", "tools", "documents", "add_generation_prompt")
Argument = bool | int | float | str


def told(template: Any, arguments: Mapping[str, Argument], moment: datetime) -> Any:
    """A chat template (text, or several by name) with arguments and, where it asks for it, a date at its head."""
    if isinstance(template, Mapping):
        return {name: told(one, arguments, moment) for name, one in template.items()}
    head = "".join(f"{{% set {name} = {_literal(value)} %}}" for name, value in arguments.items())
    head += _frozen(moment) if TODAY in template else ""
    return f"{head}\n{template}" if head else template  # a block takes the line end after it away


def must_name(templates: Sequence[Any], arguments: Mapping[str, Argument]) -> None:
    """Raise `PromptError` for arguments that none of the templates names, or that are no user's to give."""
    texts = [text for one in templates for text in (one.values() if isinstance(one, Mapping) else (one or "",))]
    for name in arguments:
        if name in GIVEN or not name.isidentifier():
            raise PromptError(f"{name!r} can't be an argument of a chat template. Give the name of one that it reads.")
        if not any(re.search(rf"\b{name}\b", text) for text in texts):
            raise PromptError(
                f"The chat template has no argument {name!r}. Give one that it reads, such as enable_thinking=false "
                "for a template that names enable_thinking, or leave it out."
            )


def must_be_template(template: Any, whose: str) -> None:
    """Raise `CheckpointError` for what is no chat template: neither a text, nor several by name, nor None."""
    texts = template.values() if isinstance(template, Mapping) else (template or "",)
    if not all(isinstance(text, str) for text in texts):
        raise CheckpointError(
            f"The chat template of {whose} is {template!r:.60}. It must be a text, or several by name: save the "
            "tokenizer again."
        )


def read_arguments(given: Any) -> dict[str, Argument]:
    """Arguments by name; those that are written NAME=VALUE are true, false, a number, or else a text.

    Quotes make a text of anything. Raises `PromptError` for what is neither.
    """
    if isinstance(given, str):
        given = [given]
    found = given if isinstance(given, Mapping) else dict(_parted(given or ()))
    for name, value in found.items():
        if not isinstance(value, bool | int | float | str):
            raise PromptError(
                f"The template argument {name} is {value!r:.60}. It must be true, false, a number or text."
            )
    return dict(found)


def read_template_file(address: str) -> str:
    """A chat template from a file: Jinja, or JSON with a ``chat_template``; raises `PromptError` if there is none."""
    found = _in_json(read_text(address, PromptError, "Give a Jinja file with a chat template.", MOST_TEMPLATE))
    if not isinstance(found, str) or not found.strip():
        raise PromptError(f"{address} holds no chat template. Give a Jinja file, or JSON with a chat_template.")
    return found


def _literal(value: Argument) -> str:
    """The value as Jinja writes it, which for these is JSON; letters stay, since Jinja has no surrogate pairs."""
    return json.dumps(value, ensure_ascii=False)


def _frozen(moment: datetime) -> str:
    """A macro in the place of the function that tells the date: the same formats of one moment."""
    pairs = [["%%", "\0"], *_directives(moment), ["\0", "%"]]
    return (
        f"{{% macro {TODAY}(format) %}}{{% set made = namespace(text=format) %}}"
        f"{{% for code, value in {json.dumps(pairs, ensure_ascii=False)} %}}"
        "{% set made.text = made.text.replace(code, value) %}{% endfor %}{{ made.text }}{% endmacro %}"
    )


def _directives(moment: datetime) -> Iterator[list[str]]:
    for code in (f"%{dash}{letter}" for letter in DIRECTIVES for dash in ("", "-")):
        with contextlib.suppress(ValueError):  # one that this system does not know
            yield [code, moment.strftime(code)]


def _parted(given: Any) -> Iterator[tuple[str, Argument]]:
    for one in given:
        name, mark, value = str(one).partition("=")
        if not mark or not name.strip():
            raise PromptError(f"The template argument {str(one)!r} has no value. Write NAME=VALUE.")
        yield name.strip(), _typed(value.strip())


def _typed(value: str) -> Argument:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    if NUMBER.fullmatch(value) is None:
        return value
    return float(value) if {".", "e", "E"} & set(value) else int(value)


def _in_json(text: str) -> Any:
    try:
        return json.loads(text).get("chat_template")
    except (ValueError, AttributeError, RecursionError):
        return text
