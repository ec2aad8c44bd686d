"""From messages to the text that is tokenised, and where each message stands in it.

1. raw: the one user message, nothing added.
2. rendered: the same, a text that was put in a chat template already: its control tokens are read as such.
3. chat: the tokenizer renders its own template, twice, to find the messages in it (`markers`). A template that changes
   or leaves out more than white space and the thinking of earlier answers is refused; so is one that does not end.
4. auto: chat where any of the tokenizers has a chat template, else raw.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import TemplateSyntaxError

from aftertune.errors import CheckpointError, PromptError
from aftertune.prompts.bounded import run_within
from aftertune.prompts.markers import REASONING, Placed, mark, place
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.turns_given import Turns, Way, names_called, reasonings, turns_of, ways_for

TEMPLATES = ("raw", "chat", "rendered")
TemplateName = Literal["raw", "chat", "rendered"]
ASKED = ("auto", "chat", "raw", "rendered")
SECONDS = 5.0
# What a template had no place for, besides what `markers` tells of.
TOOLS, CALLS = "tools", "calls"


@dataclass(frozen=True)
class Rendered:
    """The text to tokenise, where its messages stand, and what of them the template had no place for."""

    text: str
    placed: list[Placed]
    lost: tuple[str, ...] = ()


def choose_template(asked: str, tokenizers: Sequence[Any]) -> tuple[str, Any]:
    """How prompts are put, and the tokenizer that does it: the first with a chat template, if any.

    ``asked`` is "raw", "rendered", "chat" or "auto": chat where any of the tokenizers has a chat template, else raw.
    Raises `PromptError` for anything else.
    """
    if asked not in ASKED:
        raise PromptError(f"The template {asked!r} is not known. Allowed: {', '.join(ASKED)}.")
    first = next((one for one in tokenizers if getattr(one, "chat_template", None)), None)
    if asked in ("raw", "rendered"):
        return asked, tokenizers[0]
    return ("raw", tokenizers[0]) if asked == "auto" and first is None else ("chat", first or tokenizers[0])


def render(prompt: Prompt, tokenizer: Any, template: str) -> Rendered:
    """The text to tokenise and its messages; raises `PromptError` if the template cannot be used for this prompt.

    Raises `CheckpointError` for a chat template that can't be used for any.
    """
    if template not in TEMPLATES:
        raise PromptError(f"The template {template!r} is not known. Allowed: {', '.join(TEMPLATES)}.")
    if not any(message.role == "user" and message.content.strip() for message in prompt.messages):
        raise PromptError(f"Prompt {prompt.id!r} is empty: the user says nothing in it. Give it a text.")
    return _render_chat(prompt, tokenizer) if template == "chat" else _render_raw(prompt, tokenizer)


def _render_raw(prompt: Prompt, tokenizer: Any) -> Rendered:
    if len(prompt.messages) != 1:
        has_template = bool(getattr(tokenizer, "chat_template", None))
        remedy = "Use the template chat" if has_template else "The model has no chat template: give the file of one"
        raise PromptError(
            f"Prompt {prompt.id!r} has {len(prompt.messages)} messages; without a template only one user message can "
            f"be read. {remedy}, or give one message."
        )
    text = prompt.messages[0].content
    return Rendered(text, [Placed(0, 0, len(text), 0)], (TOOLS,) if prompt.tools else ())


def _render_chat(prompt: Prompt, tokenizer: Any) -> Rendered:
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError(
            "This tokenizer has no chat template. Use the template raw, give the file of one, or a tokenizer that has "
            "one."
        )
    calls, refused = names_called(prompt.messages), list[PromptError]()
    for way in ways_for(calls):
        try:
            made = _render_way(prompt, tokenizer, way)
        except PromptError as error:
            refused.append(error)
            continue
        if all(name in made.text for name in calls):
            return made
    raise refused[0]


def _render_way(prompt: Prompt, tokenizer: Any, way: Way) -> Rendered:
    tools = json.loads(prompt.tools) if prompt.tools else None
    (contents, pieces), texts = mark(prompt.messages), [one.content for one in prompt.messages]
    text, marked = (
        _apply(tokenizer, prompt, turns_of(prompt.messages, given, way), tools) for given in (texts, contents)
    )
    found = place(text, marked, pieces)
    if found is None:
        raise PromptError(
            f"The chat template rewrites or leaves out messages of prompt {prompt.id!r}, so what the user wrote cannot "
            f"be told from what the template wrote. {_instead(prompt.messages)}, or change the messages."
        )
    placed, lost = found
    lost |= {REASONING} if any(one.strip() not in text for one in reasonings(prompt.messages)) else set()
    lost |= {TOOLS} if tools and not all(_name(one) in text for one in tools) else set()
    lost |= {CALLS} if names_called(prompt.messages) and not way.data else set()
    return Rendered(text, placed, tuple(sorted(lost)))


def _apply(tokenizer: Any, prompt: Prompt, turns: Turns, tools: list[Any] | None) -> str:
    try:
        text: str = run_within(
            SECONDS,
            lambda: tokenizer.apply_chat_template(turns, tools=tools, tokenize=False, add_generation_prompt=True),
        )
    except TimeoutError:
        raise CheckpointError(
            f"The chat template has not ended after {SECONDS:.0f} s. Give the file of another one, or use the template "
            "raw."
        ) from None
    except TemplateSyntaxError as error:
        raise CheckpointError(
            f"The chat template is no Jinja: {error.message} (line {error.lineno}). Mend it, give the file of another "
            "one, or use the template raw."
        ) from None
    except Exception as error:  # a template may raise whatever Python does
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise PromptError(
            f"The chat template refuses prompt {prompt.id!r}: {reason}. Change its messages, or "
            f"{_instead(prompt.messages).lower()}."
        ) from error
    return text


def _instead(messages: Sequence[Message]) -> str:
    """What can be used in place of a chat template that does not take these messages."""
    return "Use the template raw" if len(messages) == 1 else "Give the file of another template"


def _name(tool: Any) -> str:
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, dict) else ""
