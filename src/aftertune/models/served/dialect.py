"""What has to be asked of a server about its model, in whatever words it takes.

`llama_cpp` and `echo` are the two dialects. Token ids are the truth in both: texts are only sent to be tokenised.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Ids = Sequence[int]
LogP = npt.NDArray[np.float64]
# Greedy, whatever the server's own settings are: names of both dialects, each passes over those that it has not.
GREEDY: dict[str, Any] = {
    "temperature": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repeat_penalty": 1,
    "repetition_penalty": 1,
    "dry_multiplier": 0,
}


class Piece(NamedTuple):
    """A token of a text: its id, and what it stands for, as bytes or as the tokenizer writes it."""

    id: int
    piece: str | bytes


class Dialect(Protocol):
    """A model behind a server. Every method raises `CheckpointError` for what the server doesn't give."""

    name: str
    model: str

    @property
    def context(self) -> int | None:
        """Most tokens of a request, where the server tells it."""

    @property
    def chat_template(self) -> str | None:
        """The model's chat template, or a sign without braces that the server has one; None where there is none."""

    @property
    def special_texts(self) -> Mapping[str, str]:
        """The texts of tokens that templates name."""

    def tokenize(self, text: str, *, control: bool, added: bool) -> list[Piece]:
        """Tokens of a text; with ``control`` control tokens that it spells are those, with ``added`` BOS is added."""

    def control_ids(self, text: str, pieces: Sequence[Piece]) -> set[int]:
        """Which of the tokens of a text, read with ``control``, are control tokens."""

    def detokenize(self, ids: Ids) -> str:
        """The text of tokens."""

    def render(self, turns: list[dict[str, str]]) -> str:
        """A chat as the server's own template puts it."""

    def respond(self, prompt: Ids, max_new_tokens: int) -> list[int]:
        """The greedy response, without the end-of-sequence token."""

    def log_p(self, prompts: Sequence[Ids], response: Ids, *, tries: int = ...) -> LogP:
        """log p (n_prompts, n_response) of every response token after each prompt, in nats."""

    def facts(self) -> dict[str, Any]:
        """What tells this model from others, and how large it is."""
