"""One prompt as the user gave it, before any tokenizer has seen it.

A prompt as a run keeps it beside its measurements, as plain JSON data, and back.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from typing_extensions import TypedDict


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: ``role`` is system, user, assistant or tool.

    ``more`` is what else a chat template is given of the turn, as a JSON object: ``tool_calls``, ``tool_call_id``,
    ``name`` of a tool, ``reasoning_content``; "" where there is nothing. Only an assistant that calls tools may have a
    blank ``content``.
    """

    role: str
    content: str
    more: str = ""


@dataclass(frozen=True)
class Prompt:
    """A prompt with what is known of it.

    ``messages`` holds one user message for a plain prompt. ``spans`` are the instruction's character ranges
    (start, end), each with the index of its message; None where nobody marked the instruction, which means that all
    the user wrote counts as instruction. ``ratings`` maps a model's name to the helpfulness 1 to 4 of its response
    (appendix B.1); the name "" stands for whatever model answered. ``tools`` are those that a chat template is told
    of, as a JSON list; "" for none.
    """

    id: str
    messages: tuple[Message, ...]
    dataset: str = "prompts"
    spans: tuple[tuple[int, int, int], ...] | None = None
    context: str = ""
    response: str | None = None
    ratings: Mapping[str, int] = field(default_factory=dict)
    tools: str = ""

    @property
    def text(self) -> str:
        """The last user message: the whole prompt where there is only one."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")

    def rating(self, model: str) -> int | None:
        """Helpfulness of ``model``'s response, see `find_rating`."""
        return find_rating(self.ratings, model)


def find_rating(ratings: Mapping[str, int], model: str) -> int | None:
    """The rating under the longest name that ``model`` starts with; the unnamed one is "", which all start with."""
    known = [name for name in ratings if model.startswith(name)]
    return ratings[max(known, key=len)] if known else None


def to_plain(prompt: Prompt) -> dict[str, Any]:
    """The prompt as plain data, without the fields for tools where it has none."""
    plain = asdict(prompt)
    plain["messages"] = [
        {name: value for name, value in one.items() if name != "more" or value} for one in plain["messages"]
    ]
    return plain if prompt.tools else {name: value for name, value in plain.items() if name != "tools"}


def to_row(prompt: Prompt) -> dict[str, Any]:
    """What a prompt file says of the prompt's text: ``prompt``, or ``messages`` with all that belongs to them."""
    if len(prompt.messages) == 1:
        return {"prompt": prompt.text}
    turns = [{"role": one.role, "content": one.content} | json.loads(one.more or "{}") for one in prompt.messages]
    return {"messages": turns} | ({"tools": json.loads(prompt.tools)} if prompt.tools else {})


def to_record(prompt: Prompt) -> dict[str, Any]:
    """The prompt as plain data; ``marked`` says whether its instruction was."""
    # A rating without a model's name is of the response that the prompt carries, so it needs that response.
    ratings = {name: rating for name, rating in prompt.ratings.items() if name or prompt.response is not None}
    return to_plain(prompt) | {"marked": prompt.spans is not None, "ratings": ratings}


class SavedPrompts(TypedDict):
    """The prompts of a run, each what `to_record` made plain data of, and their ``tokens`` by id."""

    prompts: tuple[Prompt, ...]
    tokens: dict[str, list[int]]
