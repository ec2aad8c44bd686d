"""A model behind a server: found, told apart from others, and checked that it gives what is needed.

1. Something answers at the address, and the server has the model; where it serves one, that one is meant.
2. The dialect: llama.cpp's server tells its properties at /props; any other has to echo log probabilities.
3. A few tokens are read at once: a server that gives no log probabilities of a given text is refused before any work.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import openai

from aftertune.errors import CheckpointError
from aftertune.models.served.address import must_be_address, root_of
from aftertune.models.served.checked import count_or_none, mapping, text_or_none
from aftertune.models.served.connection import Connection, listed
from aftertune.models.served.dialect import Dialect, Ids, LogP
from aftertune.models.served.echo import Echo
from aftertune.models.served.llama_cpp import LlamaCpp
from aftertune.models.served.tokenizer import ServedTokenizer
from aftertune.models.subject import Subject
from aftertune.runs.provenance import Provenance

PROBE = "The cat sat on the mat."
UNKNOWN = "not told by the server"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model behind a server; it is sent at most ``concurrency`` requests at a time."""

    dialect: Dialect
    tokenizer: Any
    provenance: Provenance
    concurrency: int

    @property
    def context_length(self) -> int | None:
        """Most tokens of a request, where the server tells it."""
        return self.dialect.context

    def respond(self, prompt: Ids, max_new_tokens: int) -> list[int]:
        """The greedy response to a prompt, as far as the context goes; raises `CheckpointError` if there is none."""
        room = max_new_tokens if self.context_length is None else self.context_length - len(prompt)
        return self.dialect.respond(prompt, min(max_new_tokens, room))

    def log_p(self, prompts: Sequence[Ids], response: Ids) -> LogP:
        """log p (n_prompts, n_response) of a response after each prompt, in nats; one request in most cases."""
        return self.dialect.log_p(prompts, response)


@contextmanager
def served_model(subject: Subject, concurrency: int) -> Iterator[ServedModel]:
    """The model of a subject that has a server, connected and checked.

    Raises `CheckpointError` for an address that is none, or where nothing answers, a model that is not served there,
    and a server that lacks what is needed.
    """
    must_be_address(str(subject.server))
    connection = Connection(f"{root_of(str(subject.server))}/v1")
    with connection.client:
        connection.must_answer()
        told = _find(connection, str(subject.ref))
        dialect = _dialect(connection, str(told["id"]), told)
        tokenizer = ServedTokenizer(dialect)
        _must_read_given_texts(dialect, connection.address)
        yield ServedModel(dialect, tokenizer, _provenance(subject, dialect, told), concurrency)


def _find(connection: Connection, name: str) -> dict[str, Any]:
    """What the server tells of the model of this name, or of its only one."""
    known: dict[str, dict[str, Any]] = {one["id"]: one for one in _models(connection)}
    if not known and name:
        return {"id": name}
    if name in known or (not name and len(known) == 1):
        return known.get(name) or next(iter(known.values()))
    if not known:
        raise CheckpointError(
            f"{connection.address} lists no models. Is it the address of an OpenAI-compatible server, as in "
            "http://localhost:8000/v1? If it is, name the model as BASE or TUNED."
        )
    asked = f"no model {name!r}" if name else f"{len(known)} models, and none was named"
    raise CheckpointError(
        f"{connection.address} has {asked}. It lists {listed(list(known))}. Give one of them as BASE or TUNED."
    )


def _models(connection: Connection) -> list[dict[str, Any]]:
    try:
        return connection.models()
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise connection.failure(error) from None
    except (openai.OpenAIError, ValueError):  # some list none
        return []


def _dialect(connection: Connection, model: str, told: dict[str, Any]) -> Dialect:
    properties = connection.tell("/props")
    if isinstance(properties, dict) and "default_generation_settings" in properties:
        return LlamaCpp(connection, model, properties, told)
    return Echo(connection, model, told)


def _must_read_given_texts(dialect: Dialect, address: str) -> None:
    """Raise `CheckpointError` if log probabilities of a given text don't come."""
    ids = [one.id for one in dialect.tokenize(PROBE, control=False, added=False)]
    try:
        dialect.log_p([ids[:2], ids[1:2]], ids[2:], tries=1)
    except CheckpointError as error:
        raise CheckpointError(
            f"{address} gives no log probabilities of a given text, which removal needs. llama.cpp's server gives them "
            f"by grammars of token ids, vLLM's by echo and logprobs. Asked for them, {str(error)[:400]}"
        ) from None


def _provenance(subject: Subject, dialect: Dialect, told: dict[str, Any]) -> Provenance:
    meta = mapping(told.get("meta"))
    identity = json.dumps([subject.server, dialect.model, _lasting(dialect.facts())], sort_keys=True, default=str)
    return Provenance(
        name=subject.name or PurePath(dialect.model).name.removesuffix(".gguf"),
        revision=None,
        adapter=None,
        architecture=UNKNOWN,
        n_parameters=count_or_none(meta.get("n_params")) or 0,
        dtype=text_or_none(meta.get("ftype")) or UNKNOWN,
        device=f"server ({dialect.name})",
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        versions={},
    )


def _lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """What stays the same when a server is started again, whatever it was given besides the model."""
    found: dict[str, Any] = {name: text_or_none(facts.get(name)) for name in ("id", "root", "template")}
    meta = mapping(facts.get("meta"))
    return found | {name: count_or_none(meta.get(name)) for name in ("n_params", "n_vocab", "n_embd", "size")}
