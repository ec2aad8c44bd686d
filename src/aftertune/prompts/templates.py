"""From messages to the text that is tokenised, and where each message stands in it.

1. raw: the one user message, nothing added.
2. chat: the tokenizer renders its own template twice, once with a marker for each message and once with the messages.
   The marked text says what stands around each message, so a message is found even if its words occur in the
   template. Messages may come out with white space stripped; a template that changes more is refused.
3. auto: chat where any of the tokenizers has a chat template, else raw.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import TemplateError

from aftertune.errors import PromptError
from aftertune.prompts.prompt import Message, Prompt

TEMPLATES = ("raw", "chat")
TemplateChoice = Literal["auto", "chat", "raw"]
# Private-use characters: no template strips or splits them.
MARKER = "\ue000{}\ue001"
MARKED = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class Placed:
    """A message in the rendered text: its index, its range there, and how much was stripped at its beginning."""

    index: int
    start: int
    end: int
    stripped: int

    def project(self, start: int, end: int) -> tuple[int, int]:
        """The range in the rendered text of characters ``start``..``end`` of the message."""
        shift = self.start - self.stripped
        return min(max(start + shift, self.start), self.end), max(min(end + shift, self.end), self.start)


def choose_template(asked: str, tokenizers: Sequence[Any]) -> tuple[str, Any]:
    """How prompts are put, "raw" or "chat", and the tokenizer that does it: the first with a chat template, if any.

    ``asked`` is "raw", "chat" or "auto": chat where any of the tokenizers has a chat template, else raw. Raises
    `PromptError` for anything else.
    """
    if asked not in ("auto", *TEMPLATES):
        raise PromptError(f"The template {asked!r} is not known. Allowed: auto, chat, raw.")
    first = next((one for one in tokenizers if getattr(one, "chat_template", None)), None)
    if asked == "raw" or (asked == "auto" and first is None):
        return "raw", tokenizers[0]
    return "chat", first or tokenizers[0]


def render(prompt: Prompt, tokenizer: Any, template: str) -> tuple[str, list[Placed]]:
    """The text to tokenise and its messages; raises `PromptError` if the template cannot be used for this prompt."""
    if template not in TEMPLATES:
        raise PromptError(f"The template {template!r} is not known. Allowed: {', '.join(TEMPLATES)}.")
    if not any(message.role == "user" and message.content.strip() for message in prompt.messages):
        raise PromptError(f"Prompt {prompt.id!r} is empty: the user says nothing in it. Give it a text.")
    return _render_chat(prompt, tokenizer) if template == "chat" else _render_raw(prompt)


def _render_raw(prompt: Prompt) -> tuple[str, list[Placed]]:
    if len(prompt.messages) != 1:
        raise PromptError(
            f"Prompt {prompt.id!r} has {len(prompt.messages)} messages; without a template only one user message can "
            "be read. Use the template chat, or give one message."
        )
    text = prompt.messages[0].content
    return text, [Placed(0, 0, len(text), 0)]


def _render_chat(prompt: Prompt, tokenizer: Any) -> tuple[str, list[Placed]]:
    if not getattr(tokenizer, "chat_template", None):
        raise PromptError("This tokenizer has no chat template. Use the template raw, or a tokenizer that has one.")
    marked = [Message(message.role, MARKER.format(index)) for index, message in enumerate(prompt.messages)]
    text = _apply(tokenizer, prompt, prompt.messages)
    placed = list(_place(prompt, text, _apply(tokenizer, prompt, tuple(marked))))
    return text, placed


def _apply(tokenizer: Any, prompt: Prompt, messages: tuple[Message, ...]) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except (TemplateError, ValueError, TypeError) as error:
        raise PromptError(
            f"The chat template refuses prompt {prompt.id!r}: {error}. Change its messages, or use the template raw."
        ) from error
    return text


def _place(prompt: Prompt, text: str, marked: str) -> Iterator[Placed]:
    around, order = MARKED.split(marked)[::2], [int(index) for index in MARKED.findall(marked)]
    cursor = len(around[0])
    if sorted(order) != list(range(len(prompt.messages))):
        raise _rewritten(prompt)
    for index, following in zip(order, around[1:], strict=True):
        placed = _find(index, prompt.messages[index].content, text, cursor, following)
        if placed is None:
            raise _rewritten(prompt)
        yield placed
        cursor = placed.end + len(following)
    if cursor != len(text):
        raise _rewritten(prompt)


def _find(index: int, content: str, text: str, cursor: int, following: str) -> Placed | None:
    before = len(content) - len(content.lstrip())
    for kept, stripped in (
        (content, 0),
        (content.strip(), before),
        (content.lstrip(), before),
        (content.rstrip(), 0),
    ):
        if text.startswith(kept + following, cursor):
            return Placed(index, cursor, cursor + len(kept), stripped)
    return None


def _rewritten(prompt: Prompt) -> PromptError:
    return PromptError(
        f"The chat template rewrites or leaves out messages of prompt {prompt.id!r}, so what the user wrote cannot be "
        "told from what the template wrote. Use the template raw, or change the messages."
    )
