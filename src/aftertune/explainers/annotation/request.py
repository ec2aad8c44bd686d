"""One question to a chat model, and what came back.

The description is asked at temperature 0 in the first repeat and 1 in the others; tasks and level are always asked at
0, so that one request serves every concept and repeat with the same description.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

TOP_P = 0.9
# Room for some thinking aloud; a model that never ends costs no more than this.
MAX_TOKENS = 1000

Messages = list[dict[str, str]]
Render = Callable[["Request"], Messages]


@dataclass(frozen=True)
class Request:
    """One of `STEPS` asked about words, or about one description; ``repeat`` is 0 but for descriptions."""

    step: str
    about: tuple[str, ...]
    repeat: int = 0

    @property
    def temperature(self) -> float:
        """0 where the answer is to be the likeliest, 1 where repeats are to differ."""
        return 1.0 if self.repeat else 0.0

    def digest(self, model: str, messages: Messages) -> str:
        """SHA-256, in hexadecimal, of all that the answer depends on."""
        asked = [model, messages, self.temperature, TOP_P, self.repeat or None]
        return sha256(json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Reply:
    """What a chat model answered: ``finish`` is "length" where it was cut off; token counts are those it reported.

    ``left_out`` names what it was asked without, such as the temperature, since the server takes no such thing.
    """

    text: str
    finish: str = "stop"
    refusal: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatModel:
    """Somebody who can be asked: ``ask(request, messages)`` gives a `Reply` or raises `AnnotationError`.

    ``name`` is what its folder is called, ``model`` what tells its answers from those of another model, ``about`` what
    the report may say of it. ``concurrency`` is the most questions that it takes at a time; None for any number.
    ``check`` raises `AnnotationError` where it is plain beforehand that no answer can come.
    """

    name: str
    model: str
    about: Callable[[], dict[str, object]]
    ask: Callable[[Request, Messages], Reply]
    concurrency: int | None = None
    check: Callable[[], None] = lambda: None
