"""One prompt as the user gave it, before any tokenizer has seen it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A prompt with what is known of it.

    ``messages`` holds one user message for a plain prompt. ``spans`` are the instruction's character ranges
    (start, end), each with the index of its message; None where nobody marked the instruction, which means that all
    the user wrote counts as instruction. ``ratings`` maps a model's name to the helpfulness 1 to 4 of its response
    (appendix B.1); the name "" stands for whatever model answered.
    """

    id: str
    messages: tuple[Message, ...]
    dataset: str = "prompts"
    spans: tuple[tuple[int, int, int], ...] | None = None
    context: str = ""
    response: str | None = None
    ratings: Mapping[str, int] = field(default_factory=dict)

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
