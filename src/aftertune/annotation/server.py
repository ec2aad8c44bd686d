"""A chat model behind any OpenAI-compatible address: vLLM, llama.cpp, Ollama, transformers serve, OpenAI.

The key comes from the environment (OPENAI_API_KEY) and goes nowhere but into the request's header; a server that
echoes it does not get it into a file or a message.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from aftertune.annotation.categories import RESPONSE_FORMATS
from aftertune.annotation.request import MAX_TOKENS, TOP_P, ChatModel, Messages, Reply, Request
from aftertune.errors import AnnotationError
from aftertune.results.annotation_parts import folder_name

# The openai package tries again after 408, 409, 429, 5xx, time-outs and cut connections: with back-off and jitter, or
# when Retry-After says. All tries together wait about 40 seconds.
RETRIES = 8
TIMEOUT_SECONDS = 300.0
# An answer with status 200 that is no chat completion, which that package takes as it is, is asked for again by us.
TRIES_OF_BROKEN = 4
BROKEN_DELAY_SECONDS = 0.5
NO_KEY = "no-key"
BLOCKED = ("content_filter", "content_policy_violation")
GO_ON = "All answers so far are kept: the same command goes on where it stopped."


@dataclass(eq=False)
class Server:
    """One server and model; ``structured`` is "auto" until the server refuses a response format, then "off"."""

    address: str
    model: str
    structured: str
    key: str = field(default_factory=lambda: os.environ.get("OPENAI_API_KEY") or NO_KEY, repr=False)

    def __post_init__(self) -> None:
        self.client = openai.OpenAI(
            base_url=self.address, api_key=self.key, max_retries=RETRIES, timeout=TIMEOUT_SECONDS
        )

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
        asked = {"model": self.model, "messages": messages, "temperature": request.temperature, "top_p": TOP_P}
        asked["max_tokens"] = MAX_TOKENS
        if self.structured == "off":
            return self._complete(asked)
        try:
            return self._complete(asked | {"response_format": RESPONSE_FORMATS[request.step]})
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if self.structured == "on" or getattr(error, "code", None) in BLOCKED:
                raise
        reply = self._complete(asked)
        self.structured = "off"  # only now is it known that the response format was what it refused
        return reply

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
            f"{self.address} answered {TRIES_OF_BROKEN} times with something that is no chat "
            f"completion. Give the address of an OpenAI-compatible server, such as http://localhost:8000/v1. {GO_ON}"
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
            reason = f"answered: {self._hide(' '.join(str(error).split()))[:300].rstrip('.')}"
        return AnnotationError(
            f"{self.address} {reason}. Check the address (as in http://host/v1) and the model. {GO_ON}"
        )

    def _hide(self, text: str) -> str:
        return text if self.key == NO_KEY else text.replace(self.key, "***")


@contextmanager
def serve(address: str, model: str, structured: str) -> Iterator[ChatModel]:
    """The chat model ``model`` behind ``address``, connected; ``structured`` is that of `AnnotationPlan`."""
    server = Server(address, model, structured)
    with server.client:
        yield ChatModel(folder_name(model), model, server.about, server.ask)
