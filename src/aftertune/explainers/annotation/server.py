"""A chat model behind any OpenAI-compatible address: vLLM, llama.cpp, Ollama, transformers serve, OpenAI.

The key comes from the environment (OPENAI_API_KEY) and goes nowhere but into the request's header; a server that
echoes it does not get it into a file or a message.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.parts import server_folder
from aftertune.explainers.annotation.refusals import FORMAT, parameters, refused_parameter, what_was_said
from aftertune.explainers.annotation.request import ChatModel, Messages, Reply, Request

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
            return f" It lists no model {self.model!r}, but {', '.join(names[:N_LISTED])}{more} (--model)."
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
    """The chat model ``model`` behind ``address``, connected; ``structured`` is that of `AnnotationPlan`."""
    server = Server(address, model, structured)
    with server.client:
        yield ChatModel(server_folder(model), model, server.about, server.ask, check=server.check)
