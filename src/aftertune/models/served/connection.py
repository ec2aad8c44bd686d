"""How is a server spoken to?  Patiently, and with a key that goes nowhere but into the request's header.

1. The openai package tries again after 408, 409, 429, 5xx, time-outs and cut connections: with back-off and jitter, or
   when Retry-After says. All tries together wait about 40 seconds.
2. An answer with status 200 that can't be used (cut, or no JSON) is asked for again by us. None is read further than
   `LARGEST_ANSWER` bytes.
3. What can't be had is said in a sentence, with what is probably wrong; a key that a server echoes is not in it.

The key is OPENAI_API_KEY of the environment.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import openai

from aftertune.errors import AftertuneError, CheckpointError
from aftertune.models.served.address import root_of
from aftertune.models.served.bounded import BoundedClient
from aftertune.models.served.checked import UnusableAnswerError, mapping, parse, text, text_or_none

RETRIES = 8
TIMEOUT_SECONDS = 300.0
CHECK_SECONDS = 30.0
TRIES_OF_BROKEN = 4
BROKEN_DELAY_SECONDS = 0.5
NO_KEY = "no-key"
N_LISTED = 8
LARGEST_ANSWER = 64_000_000  # all log probabilities of the largest vocabularies are half of it
GO_ON = "All answers so far are kept: the same command goes on where it stopped."

Answer = TypeVar("Answer")


class AnswerTooLargeError(UnusableAnswerError):
    """An answer that was read only in part, since it is larger than any that was asked for."""


@dataclass(eq=False)
class Connection:
    """One server; errors are raised as ``error``. Close its ``client`` in the end.

    No answer may have more than ``largest`` bytes.
    """

    address: str
    error: type[AftertuneError] = CheckpointError
    largest: int = LARGEST_ANSWER
    key: str = field(default_factory=lambda: os.environ.get("OPENAI_API_KEY") or NO_KEY, repr=False)

    def __post_init__(self) -> None:
        self.client = openai.OpenAI(
            base_url=self.address,
            api_key=self.key,
            max_retries=RETRIES,
            timeout=TIMEOUT_SECONDS,
            http_client=BoundedClient(self.largest),
        )

    @property
    def root(self) -> str:
        """The address without its path: where servers put what OpenAI has not."""
        return root_of(self.address)

    def must_answer(self) -> None:
        """Raise an error if nothing answers at the address: at once, since nobody waits for it there yet."""
        try:
            self.models()
        except openai.APIConnectionError:
            raise self.error(
                f"Nothing answers at {self.address}. Start the server, or correct the address (as in "
                "http://localhost:8000/v1). Nothing was asked."
            ) from None
        except (openai.OpenAIError, ValueError):  # many a server lists no models
            pass

    def models(self) -> list[dict[str, Any]]:
        """What the server tells of each of its models, at least an ``id``; asked once, without another try."""
        client = self.client.with_options(max_retries=0, timeout=CHECK_SECONDS)
        told = mapping(self._read(client.get("/models", cast_to=bytes))).get("data")
        found = [mapping(one) for one in told] if isinstance(told, list) else []
        return [one | {"id": text(one["id"])} for one in found if text_or_none(one.get("id"))]

    def names(self) -> list[str]:
        """The names of its models; none where it lists none."""
        try:
            return [self.hide(one["id"]) for one in self.models()]
        except (openai.OpenAIError, ValueError):
            return []

    def tell(self, place: str) -> Any:
        """What the server says at a place below its root (``/props``); None where there is no such place."""
        try:
            client = self.client.with_options(timeout=CHECK_SECONDS)
            return self._read(client.get(f"{self.root}{place}", cast_to=bytes))
        except (openai.APIStatusError, ValueError):
            return None
        except openai.OpenAIError as error:
            raise self.failure(error) from None

    def ask(
        self, place: str, body: dict[str, Any], read: Callable[[Any], Answer], tries: int = TRIES_OF_BROKEN
    ) -> Answer:
        """What ``read`` finds in the answer to ``body`` at a place below the root.

        ``read`` raises a ValueError, KeyError, TypeError or IndexError for an answer that lacks something; it is asked
        for again, ``tries`` times in all. Raises ``error`` after the last, and `openai.BadRequestError` and its like
        for a request that the server does not take.
        """
        try:
            return self.patiently(
                lambda: read(self.post(f"{self.root}{place}", body)),
                f"an answer at {place} that can't be used",
                tries=tries,
            )
        except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError):
            raise
        except openai.OpenAIError as error:
            raise self.failure(error) from None

    def post(self, place: str, body: dict[str, Any]) -> Any:
        """What is answered to ``body`` at an address, or at a place below that of the server, whatever it is.

        Raises `UnusableAnswerError` for what is no JSON, `AnswerTooLargeError`, and errors of the openai package.
        """
        return self._read(self.client.post(place, cast_to=bytes, body=body))

    def _read(self, content: bytes) -> Any:
        if len(content) > self.largest:
            raise AnswerTooLargeError(f"more than {self.largest / 1e6:g} MB")
        return parse(content)

    def patiently(
        self, call: Callable[[], Answer], what: str, model: str | None = None, tries: int = TRIES_OF_BROKEN
    ) -> Answer:
        """What ``call`` returns, tried again where the answer is no JSON or lacks something.

        Raises ``error`` after the last try, and errors of the openai package as they are.
        """
        lacks = ""
        for number in range(tries):
            if number:
                time.sleep(BROKEN_DELAY_SECONDS * 2**number)
            try:
                return call()
            except AnswerTooLargeError as error:  # it would be as large again
                raise self.error(f"{self.address} answered with {error}, which is no answer. {GO_ON}") from None
            except (
                ValueError,
                KeyError,
                TypeError,
                IndexError,
                AttributeError,
                ArithmeticError,
                RecursionError,
            ) as error:
                lacks = f" ({error})" if isinstance(error, UnusableAnswerError) else ""
        times = f" {tries} times" if tries > 1 else ""
        raise self.error(f"{self.address} answered{times} with {what}{self.hide(lacks)}.{self.advice(model)} {GO_ON}")

    def failure(self, error: openai.OpenAIError, model: str | None = None) -> AftertuneError:
        """The error in a sentence, with what to do."""
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            may = f"one that may use {model}" if model else "one that it takes"
            return self.error(f"{self.address} refused the key. Set OPENAI_API_KEY to {may}.")
        if isinstance(error, openai.APITimeoutError):
            reason = f"did not answer within {TIMEOUT_SECONDS:g} seconds, {RETRIES + 1} times"
        elif isinstance(error, openai.APIConnectionError):
            reason = f"could not be reached, or cut the connection, {RETRIES + 1} times"
        else:
            reason = f"answered: {self.hide(what_was_said(error))[:300].rstrip('.')}"
        return self.error(f"{self.address} {reason}.{self.advice(model)} {GO_ON}")

    def advice(self, model: str | None = None) -> str:
        """What is probably wrong: the model where the server lists others, else the address."""
        names = self.names()
        if names and model is not None and model not in names:
            return f" It lists no model {model!r}, but {listed(names)}."
        if not names and self.address.rstrip("/") != f"{self.root}/v1":
            return f" Is its address {self.root}/v1?"
        return " Check the address and the model."

    def hide(self, said: str) -> str:
        """A text without the key."""
        return said if self.key == NO_KEY else said.replace(self.key, "***")


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - N_LISTED} more" if len(names) > N_LISTED else ""
    return ", ".join(names[:N_LISTED]) + more


def what_was_said(error: openai.OpenAIError) -> str:
    """The error with what the server said of it, also where that is not in OpenAI's form, on one line."""
    said, body = str(error), getattr(error, "body", None)
    if body and " - " not in said:
        said += f" - {body.get('detail', body) if isinstance(body, dict) else body}"
    return " ".join(said.split())
