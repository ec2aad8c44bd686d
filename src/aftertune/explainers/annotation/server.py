"""A chat model behind any OpenAI-compatible address: vLLM, llama.cpp, Ollama, transformers serve, OpenAI.

How it is spoken to, and what becomes of the key: `aftertune.models.served.connection`.

What a server takes of a request is learned from its refusals, since the newest models fix sampling and rename limits:
1. An error that names a parameter as one it does not take: that one is left out, or sent under its newer name.
2. An error that names none: the response format, the one that servers most often lack.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import openai

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.completion import read_completion
from aftertune.explainers.annotation.parse import RESPONSE_FORMATS
from aftertune.explainers.annotation.request import MAX_TOKENS, TOP_P, ChatModel, Messages, Reply, Request
from aftertune.explainers.annotation.result import server_folder
from aftertune.models.served.connection import Connection, what_was_said

LARGEST_ANSWER = 4_000_000  # bytes; an answer is a line, and a thousand tokens of thinking are a few thousand
BLOCKED = ("content_filter", "content_policy_violation")
FORMAT = "response_format"
# Models that want the newer name count thinking that nobody sees towards it; they pay for what they use only.
MAX_TOKENS_WITH_THINKING = 8 * MAX_TOKENS
# In the order in which they are given up: where a server takes one of two, the temperature matters more than top-p.
REFUSED = ("max_tokens", "max_completion_tokens", "top_p", "temperature", FORMAT)
SAYS_SO = re.compile(
    r"support|unexpected|unknown|unrecogni[sz]ed|not (?:be |both )?(?:allowed|permitted|specified)|cannot both|instead"
    r"|deprecated|extra",
    re.IGNORECASE,
)


@dataclass(eq=False)
class Server:
    """One server and model; ``left_out`` grows by what the server refuses of a request."""

    address: str
    model: str
    structured: str

    def __post_init__(self) -> None:
        self.left_out = {FORMAT} if self.structured == "off" else set()
        self.connection = Connection(self.address, AnnotationError, LARGEST_ANSWER)
        self.check = self.connection.must_answer

    def ask(self, request: Request, messages: Messages) -> Reply:
        """The answer to ``messages``; raises `AnnotationError` if there is none after the last try."""
        try:
            return self._ask(request, messages)
        except openai.BadRequestError as error:
            if error.code in BLOCKED:  # it would be refused again
                return Reply("", "content_filter", refusal=str(error.code))
            raise self.connection.failure(error, self.model) from None
        except openai.OpenAIError as error:
            raise self.connection.failure(error, self.model) from None

    def about(self) -> dict[str, object]:
        """What annotations.json keeps of it."""
        return {"kind": "server", "weak": False, "server": self.address, "structured": self.structured}

    def _ask(self, request: Request, messages: Messages) -> Reply:
        left_out = set(self.left_out)
        while True:
            sent = parameters(request, left_out)
            try:
                reply = self._complete({"model": self.model, "messages": messages, **sent})
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                refused = refused_parameter(error, sent)
                if error.code in BLOCKED or refused is None or (refused == FORMAT and self.structured == "on"):
                    raise
                left_out.add(refused)
            else:
                self.left_out |= left_out  # only now is it known that these were what it refused
                return replace(reply, left_out=tuple(sorted(left_out)))

    def _complete(self, asked: dict[str, Any]) -> Reply:
        def call() -> Reply:
            found, hide = read_completion(self.connection.post("/chat/completions", asked)), self.connection.hide
            return replace(found, text=hide(found.text), refusal=None if found.refusal is None else hide(found.refusal))

        return self.connection.patiently(call, "something that is no chat completion", self.model)


@contextmanager
def serve(address: str, model: str, structured: str) -> Iterator[ChatModel]:
    """The chat model ``model`` behind ``address``, connected; ``structured`` is that of `AnnotationSettings`."""
    server = Server(address, model, structured)
    with server.connection.client:
        yield ChatModel(server_folder(model), model, server.about, server.ask, check=server.check)


def parameters(request: Request, left_out: Collection[str]) -> dict[str, Any]:
    """How the answer to ``request`` is to be made, less what is ``left_out``."""
    every = {
        "temperature": request.temperature,
        "top_p": TOP_P,
        "max_completion_tokens" if "max_tokens" in left_out else "max_tokens": (
            MAX_TOKENS_WITH_THINKING if "max_tokens" in left_out else MAX_TOKENS
        ),
        FORMAT: RESPONSE_FORMATS[request.step],
    }
    return {name: value for name, value in every.items() if name not in left_out}


def refused_parameter(error: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """Which of the parameters ``sent`` is to be left out after ``error``; None where none can help."""
    text = what_was_said(error)
    named = [name for name in REFUSED if name in sent and re.search(rf"\b{name}\b", text)]
    if error.param in named:
        named = [str(error.param)]
    if named and SAYS_SO.search(text):
        return named[0]
    return FORMAT if FORMAT in sent else None
