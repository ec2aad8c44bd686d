"""A chat model behind any OpenAI-compatible address: vLLM, llama.cpp, Ollama, transformers serve, OpenAI.

The key comes from the environment (OPENAI_API_KEY) and goes nowhere but into the request's header; a server that
echoes it does not get it into a file or a message.

What a server takes of a request is learned from its refusals, since the newest models fix sampling and rename limits:
1. An error that names a parameter as one it does not take: that one is left out, or sent under its newer name.
2. An error that names none: the response format, the one that servers most often lack.
"""

import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.parse import RESPONSE_FORMATS
from aftertune.explainers.annotation.request import MAX_TOKENS, TOP_P, ChatModel, Messages, Reply, Request
from aftertune.explainers.annotation.result import server_folder

# The openai package tries again after 408, 409, 429, 5xx, time-outs and cut connections: with back-off and jitter, or
# when Retry-After says. All tries together wait about 40 seconds.
RETRIES = 8
TIMEOUT_SECONDS = 300.0
CHECK_SECONDS = 30.0
# An answer with status 200 that is no chat completion, which that package takes as it is, is asked for again by us.
TRIES_OF_BROKEN = 4
BROKEN_DELAY_SECONDS = 0.5
NO_KEY = "no-key"
BLOCKED = ("content_filter", "content_policy_violation")
N_LISTED = 8
GO_ON = "All answers so far are kept: the same command goes on where it stopped."
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
    key: str = field(default_factory=lambda: os.environ.get("OPENAI_API_KEY") or NO_KEY, repr=False)

    def __post_init__(self) -> None:
        self.left_out = {FORMAT} if self.structured == "off" else set()
        self.client = openai.OpenAI(
            base_url=self.address, api_key=self.key, max_retries=RETRIES, timeout=TIMEOUT_SECONDS
        )

    def check(self) -> None:
        """Raise `AnnotationError` if nothing answers at the address: at once, since nobody waits for it there yet."""
        try:
            self._listed()
        except openai.APIConnectionError:
            raise AnnotationError(
                f"Nothing answers at {self.address}. Start the server, or correct the address (as in "
                "http://localhost:8000/v1). Nothing was asked."
            ) from None
        except (openai.OpenAIError, ValueError):  # many a server lists no models
            pass

    def ask(self, request: Request, messages: Messages) -> Reply:
        """The answer to ``messages``; raises `AnnotationError` if there is none after the last try."""
        try:
            return self._ask(request, messages)
        except openai.BadRequestError as error:
            if error.code in BLOCKED:  # it would be refused again
                return Reply("", "content_filter", refusal=str(error.code))
            raise self._failure(error) from None
        except openai.OpenAIError as error:
            raise self._failure(error) from None

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
        for number in range(TRIES_OF_BROKEN):
            if number:
                time.sleep(BROKEN_DELAY_SECONDS * 2**number)
            try:
                found = self.client.chat.completions.create(**asked)
            except (ValueError, openai.APIResponseValidationError):  # a body that is no JSON
                continue
            if isinstance(found, ChatCompletion) and found.choices and found.choices[0].message:
                return self._reply(found)
        raise AnnotationError(
            f"{self.address} answered {TRIES_OF_BROKEN} times with something that is no chat completion."
            f"{self._advice()} {GO_ON}"
        )

    def _reply(self, found: ChatCompletion) -> Reply:
        choice, usage = found.choices[0], found.usage
        return Reply(
            self._hide(choice.message.content or ""),
            choice.finish_reason or "stop",
            None if choice.message.refusal is None else self._hide(choice.message.refusal),
            usage.prompt_tokens or 0 if usage else 0,
            usage.completion_tokens or 0 if usage else 0,
        )

    def _failure(self, error: openai.OpenAIError) -> AnnotationError:
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return AnnotationError(
                f"{self.address} refused the key. Set OPENAI_API_KEY to one that may use {self.model}."
            )
        if isinstance(error, openai.APITimeoutError):
            reason = f"did not answer within {TIMEOUT_SECONDS:g} seconds, {RETRIES + 1} times"
        elif isinstance(error, openai.APIConnectionError):
            reason = f"could not be reached, or cut the connection, {RETRIES + 1} times"
        else:
            reason = f"answered: {self._hide(what_was_said(error))[:300].rstrip('.')}"
        return AnnotationError(f"{self.address} {reason}.{self._advice()} {GO_ON}")

    def _advice(self) -> str:
        """What is probably wrong: the model where the server lists others, else the address."""
        try:
            names = self._listed()
        except (openai.OpenAIError, ValueError):
            names = []
        if names and self.model not in names:
            more = f" and {len(names) - N_LISTED} more" if len(names) > N_LISTED else ""
            return f" It lists no model {self.model!r}, but {', '.join(names[:N_LISTED])}{more}."
        root = re.sub(r"(/v1)?(/chat/completions|/completions|/chat)?/*$", "", self.address)
        if not names and self.address.rstrip("/") != f"{root}/v1":
            return f" Is its address {root}/v1?"
        return " Check the address and the model."

    def _listed(self) -> list[str]:
        """The models that the server names; asked once, without another try."""
        found = self.client.with_options(max_retries=0, timeout=CHECK_SECONDS).models.list()
        return [self._hide(str(one.id)) for one in getattr(found, "data", None) or []]

    def _hide(self, text: str) -> str:
        return text if self.key == NO_KEY else text.replace(self.key, "***")


@contextmanager
def serve(address: str, model: str, structured: str) -> Iterator[ChatModel]:
    """The chat model ``model`` behind ``address``, connected; ``structured`` is that of `AnnotationSettings`."""
    server = Server(address, model, structured)
    with server.client:
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


def what_was_said(error: openai.OpenAIError) -> str:
    """The error with what the server said of it, also where that is not in OpenAI's form, on one line."""
    text, body = str(error), getattr(error, "body", None)
    if body and " - " not in text:
        text += f" - {body.get('detail', body) if isinstance(body, dict) else body}"
    return " ".join(text.split())


def refused_parameter(error: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """Which of the parameters ``sent`` is to be left out after ``error``; None where none can help."""
    text = what_was_said(error)
    named = [name for name in REFUSED if name in sent and re.search(rf"\b{name}\b", text)]
    if error.param in named:
        named = [str(error.param)]
    if named and SAYS_SO.search(text):
        return named[0]
    return FORMAT if FORMAT in sent else None
