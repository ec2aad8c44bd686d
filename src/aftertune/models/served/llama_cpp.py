"""llama.cpp's server: what is exact there, and how it is asked for.

It gives no log probabilities of a prompt (its ``echo`` is passed over), only of what it writes. So it is made to write
the response that is read:

1. A grammar of token ids lets it write nothing else. The log probability that it gives of each token is that of all the
   model's logits, before the grammar: exact, however unlikely the token.
2. A token that is part of a character can't be in a grammar, and its log probability is dropped. It is looked up among
   the likeliest at its place, all of the vocabulary if need be, where the grammar makes the server write another token.
Several prompts go in one request. Ends of sequence are left out: such a token ends the writing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import openai

from aftertune.errors import CheckpointError
from aftertune.models.served.checked import (
    UnusableAnswerError,
    choices_of,
    count_or_none,
    log_probability,
    mapping,
    text,
    text_or_none,
    token_id,
)
from aftertune.models.served.connection import TRIES_OF_BROKEN, Answer, Connection
from aftertune.models.served.dialect import GREEDY, Ids, LogP, Piece

Read = Callable[[list[Any]], list[float]]
LIKELIEST = 512
EVERY = 10**6  # more than any vocabulary has


@dataclass(eq=False)
class LlamaCpp:
    """A model behind llama.cpp's server, whose ``properties`` are those at /props."""

    connection: Connection
    model: str
    properties: dict[str, Any]
    told: dict[str, Any] = field(default_factory=dict)
    name: str = "llama.cpp"
    _texts: dict[int, str] = field(default_factory=dict)
    _is_control: dict[int, bool] = field(default_factory=dict)

    @property
    def context(self) -> int | None:
        """Most tokens of a request: the server's context, shared out among those that it answers at once."""
        settings = mapping(self.properties.get("default_generation_settings"))
        return count_or_none(settings.get("n_ctx")) or None

    @property
    def chat_template(self) -> str | None:
        """The model's template, or the one that the server was started with."""
        return text_or_none(self.properties.get("chat_template"))

    @property
    def special_texts(self) -> dict[str, str]:
        """The texts of the tokens that templates name."""
        return {name: text_or_none(self.properties.get(name)) or "" for name in ("bos_token", "eos_token")}

    def tokenize(self, text: str, *, control: bool, added: bool) -> list[Piece]:
        """By /tokenize, with the bytes of each token."""
        body = {"content": text, "parse_special": control, "add_special": added, "with_pieces": True}
        return self._ask("/tokenize", body, lambda found: [_piece(one) for one in found["tokens"]])

    def control_ids(self, text: str, pieces: Sequence[Piece]) -> set[int]:
        """Those whose own text is read as other tokens where it counts as text."""
        plain = {one.id for one in self.tokenize(text, control=False, added=False)}
        for id, piece in {one.id: one.piece for one in pieces if one.id not in plain}.items():
            if id not in self._is_control:
                spelled = piece.decode("utf-8", "ignore") if isinstance(piece, bytes) else piece
                self._is_control[id] = [one.id for one in self.tokenize(spelled, control=False, added=False)] != [id]
        return {one.id for one in pieces if self._is_control.get(one.id)}

    def detokenize(self, ids: Ids) -> str:
        """By /detokenize; what is no character reads "\ufffd"."""
        return self._ask("/detokenize", {"tokens": list(ids)}, lambda found: text(found["content"]))

    def render(self, turns: list[dict[str, str]]) -> str:
        """By /apply-template."""
        return self._ask("/apply-template", {"messages": turns}, lambda found: text(found["prompt"]))

    def respond(self, prompt: Ids, max_new_tokens: int) -> list[int]:
        """By /completion, which gives token ids."""
        body = GREEDY | {"prompt": list(prompt), "n_predict": max_new_tokens, "return_tokens": True}
        return self._ask("/completion", body, _response)

    def log_p(self, prompts: Sequence[Ids], response: Ids, *, tries: int = TRIES_OF_BROKEN) -> LogP:
        """By a grammar, run by run: see above."""
        columns = [np.zeros((len(prompts), 0))]
        for start, stop, whole in self._runs(response):
            before = [[*prompt, *response[:start]] for prompt in prompts]
            run = list(response[start:stop])
            columns.append(self._forced(before, run, tries) if whole else self._looked_up(before, run[0], tries))
        return np.concatenate(columns, axis=1)

    def facts(self) -> dict[str, Any]:
        """What /v1/models tells of it."""
        return dict(self.told) | {"template": self.chat_template}

    def _runs(self, response: Ids) -> Iterator[tuple[int, int, bool]]:
        """Where runs of whole texts begin and end; each part of a character is a run of its own."""
        place = 0
        for whole, ids in groupby(response, self._is_whole):
            n = len(list(ids))
            yield from [(place, place + n, True)] if whole else ((place + k, place + k + 1, False) for k in range(n))
            place += n

    def _is_whole(self, id: int) -> bool:
        text = self._text_of(id)
        return bool(text) and "\ufffd" not in text and not text.startswith("\0")

    def _text_of(self, id: int) -> str:
        if id not in self._texts:
            self._texts[id] = self.detokenize([id])
        return self._texts[id]

    def _forced(self, prompts: Sequence[Ids], run: list[int], tries: int) -> LogP:
        return self._write(prompts, run, 1, tries, lambda content: [_of_token(*pair) for pair in _pairs(content, run)])

    def _looked_up(self, prompts: Sequence[Ids], id: int, tries: int) -> LogP:
        other = self.tokenize("a", control=False, added=False)[-1].id

        def read(content: list[Any]) -> list[float]:
            likeliest = {token_id(one["id"]): log_probability(one["logprob"]) for one in content[0]["top_logprobs"]}
            return [likeliest.get(id, np.nan)]

        found = self._write(prompts, [other], LIKELIEST, tries, read)
        for row in np.flatnonzero(np.isnan(found[:, 0])).tolist():  # one by one: such an answer has megabytes
            found[row] = self._write([prompts[row]], [other], EVERY, tries, read)[0]
        if np.isnan(found).any():
            raise CheckpointError(f"{self.connection.address} gives no log probability of the token {id}.")
        return found

    def _write(self, prompts: Sequence[Ids], run: list[int], likeliest: int, tries: int, read: Read) -> LogP:
        """Let it write ``run`` after each prompt; ``read`` finds the numbers in what it tells of the tokens."""
        grammar = "root ::= " + " ".join(f"<[{id}]>" for id in run)
        body = {"prompt": [list(one) for one in prompts], "max_tokens": len(run), "logprobs": likeliest}
        body |= GREEDY | {"grammar": grammar}

        def rows(found: Any) -> LogP:
            choices = choices_of(found, len(prompts))
            return np.array([read(_content(one)) for one in choices], dtype=np.float64).reshape(len(prompts), -1)

        return self._ask("/v1/completions", body, rows, tries)

    def _ask(
        self, place: str, body: dict[str, Any], read: Callable[[Any], Answer], tries: int = TRIES_OF_BROKEN
    ) -> Answer:
        try:
            return self.connection.ask(place, {"model": self.model, **body}, read, tries)
        except openai.APIStatusError as error:
            raise self.connection.failure(error, self.model) from None


def _piece(one: Any) -> Piece:
    piece = one["piece"]
    return Piece(token_id(one["id"]), bytes(piece) if isinstance(piece, list) else text(piece).encode())


def _response(found: Any) -> list[int]:
    ids = [token_id(one) for one in found["tokens"]]
    return ids[:-1] if found["stop_type"] == "eos" else ids


def _content(choice: Any) -> list[Any]:
    if not choice.get("logprobs"):
        raise UnusableAnswerError("no log probabilities")
    found: list[Any] = choice["logprobs"]["content"]
    return found


def _pairs(content: list[Any], run: list[int]) -> list[tuple[Any, int]]:
    if len(content) != len(run):
        raise UnusableAnswerError(f"log probabilities of {len(content)} tokens, not of {len(run)}")
    return list(zip(content, run, strict=True))


def _of_token(one: Any, id: int) -> float:
    if token_id(one["id"]) != id:
        raise UnusableAnswerError(f"the token {one['id']} where the grammar has {id}")
    return log_probability(one["logprob"])
