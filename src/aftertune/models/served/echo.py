"""vLLM's server, and others that give back a prompt with its log probabilities (``echo`` with ``logprobs``).

The response that is read is sent as the end of the prompt, in token ids. Each answer has to name the ids that were
sent: a server that reads something else is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import openai

from aftertune.errors import CheckpointError, PromptError
from aftertune.models.served.checked import (
    UnusableAnswerError,
    choices_of,
    count_or_none,
    log_probability,
    text,
    token_id,
)
from aftertune.models.served.connection import TRIES_OF_BROKEN, Answer, Connection
from aftertune.models.served.dialect import GREEDY, Ids, LogP, Piece

OWN_TEMPLATE = "(the server's own)"
TOKEN_ID = re.compile(r"token_id:(\d+)")
# The server reads control tokens in any text and lists none: those that are spelled as control tokens usually are.
CONTROL = re.compile(r"<\|[^<>\s]+\|>|</?s>|<(?:bos|eos|pad|unk|mask|start_of_turn|end_of_turn)>|\[/?INST\]")
AS_IDS = {"return_tokens_as_token_ids": True}


@dataclass(eq=False)
class Echo:
    """A model behind a server that echoes log probabilities; ``told`` is what /v1/models tells of it."""

    connection: Connection
    model: str
    told: dict[str, Any] = field(default_factory=dict)
    name: str = "echo"
    special_texts: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> int | None:
        """Most tokens that the model takes, where the server tells it."""
        return count_or_none(self.told.get("max_model_len")) or None

    @cached_property
    def chat_template(self) -> str | None:
        """A sign that the server has one, which it doesn't show; None where it has none."""
        try:
            self.render([{"role": "user", "content": "a"}])
        except (CheckpointError, PromptError):
            return None
        return OWN_TEMPLATE

    def tokenize(self, text: str, *, control: bool, added: bool) -> list[Piece]:  # noqa: ARG002
        """By /tokenize, with each token as the tokenizer writes it."""
        body = {"prompt": text, "add_special_tokens": added, "return_token_strs": True}
        return self._ask("/tokenize", body, _pieces)

    def control_ids(self, text: str, pieces: Sequence[Piece]) -> set[int]:
        """Those that are spelled as control tokens usually are, and stand so in the text."""
        return {one.id for one in pieces if CONTROL.fullmatch(str(one.piece)) and str(one.piece) in text}

    def detokenize(self, ids: Ids) -> str:
        """By /detokenize."""
        return self._ask("/detokenize", {"tokens": list(ids)}, lambda found: text(found["prompt"]))

    def render(self, turns: list[dict[str, str]]) -> str:
        """By /tokenize with messages, and back."""
        body = {"messages": turns, "add_generation_prompt": True, "add_special_tokens": False}
        return self.detokenize(self._ask("/tokenize", body, lambda found: [token_id(id) for id in found["tokens"]]))

    def respond(self, prompt: Ids, max_new_tokens: int) -> list[int]:
        """By /v1/completions; the end of sequence that some servers count is told by its having no text."""
        body = GREEDY | AS_IDS | {"prompt": list(prompt), "max_tokens": max_new_tokens, "logprobs": 1}
        ids, text, finish = self._ask("/v1/completions", body | {"return_token_ids": True}, _response)
        is_ended = finish == "stop" and ids and self.detokenize(ids[:-1]).strip() == text.strip()
        return ids[:-1] if is_ended else ids

    def log_p(self, prompts: Sequence[Ids], response: Ids, *, tries: int = TRIES_OF_BROKEN) -> LogP:
        """By /v1/completions with ``echo``."""
        sent = [[*prompt, *response] for prompt in prompts]
        body = GREEDY | AS_IDS | {"prompt": sent, "max_tokens": 1, "echo": True, "logprobs": 1}

        def rows(found: Any) -> LogP:
            choices = choices_of(found, len(sent))
            return np.array([_echoed(one, ids, len(response)) for one, ids in zip(choices, sent, strict=True)])

        return self._ask("/v1/completions", body, rows, tries)

    def facts(self) -> dict[str, Any]:
        """What /v1/models tells of it."""
        return dict(self.told)

    def _ask(
        self, place: str, body: dict[str, Any], read: Callable[[Any], Answer], tries: int = TRIES_OF_BROKEN
    ) -> Answer:
        try:
            return self.connection.ask(place, {"model": self.model, **body}, read, tries)
        except openai.NotFoundError as error:
            if place.startswith("/v1"):
                raise self.connection.failure(error, self.model) from None
            raise CheckpointError(
                f"{self.connection.address} has no {place}, so texts can't be read as the model's own tokens. "
                "Serve the model with one that has it: llama.cpp's server, or vLLM's."
            ) from None
        except openai.APIStatusError as error:
            raise self.connection.failure(error, self.model) from None


def _pieces(found: Any) -> list[Piece]:
    if not found.get("token_strs"):
        raise UnusableAnswerError("tokens without their texts")
    return [Piece(token_id(id), text(piece)) for id, piece in zip(found["tokens"], found["token_strs"], strict=True)]


def _response(found: Any) -> tuple[list[int], str, str]:
    (choice,) = found["choices"]
    ids = choice.get("token_ids")
    if ids is None:
        ids = _ids_of((choice.get("logprobs") or {}).get("tokens"))
    if ids is None:
        raise UnusableAnswerError("no ids of the tokens that were written")
    return [token_id(id) for id in ids], text(choice["text"]), str(choice["finish_reason"])


def _echoed(choice: Any, sent: Ids, n: int) -> list[float]:
    """log p of the last ``n`` tokens that were sent."""
    told = choice.get("logprobs") or {}
    numbers = (told.get("token_logprobs") or [])[: len(sent)]
    if len(numbers) < len(sent):
        raise UnusableAnswerError(f"log probabilities of {len(numbers)} tokens, not of the {len(sent)} that were sent")
    if (_ids_of(told.get("tokens")) or [])[: len(sent)] != list(sent):
        raise UnusableAnswerError("log probabilities of other tokens than those that were sent, or without their ids")
    return [log_probability(one) for one in numbers[len(sent) - n :]]


def _ids_of(tokens: Any) -> list[int] | None:
    found = [TOKEN_ID.fullmatch(str(one)) for one in tokens or []]
    return [int(one[1]) for one in found if one] if found and all(found) else None
