"""How is a server spoken to?  Patiently, and with a key that goes nowhere but into the request's header.

1. The openai package tries again after 408, 409, 429, 5xx, time-outs and cut connections: with back-off and jitter, or
   when Retry-After says. All tries together wait about 40 seconds.
2. An answer with status 200 that can't be used (cut, or no JSON) is asked for again by us.
3. What can't be had is said in a sentence, with what is probably wrong; a key that a server echoes is not in it.

The key is OPENAI_API_KEY of the environment.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from aftertune.errors import AftertuneError, CheckpointError, translated

RETRIES = 8
TIMEOUT_SECONDS = 300.0
CHECK_SECONDS = 30.0
TRIES_OF_BROKEN = 4
BROKEN_DELAY_SECONDS = 0.5
NO_KEY = "no-key"
N_LISTED = 8
GO_ON = "All answers so far are kept: the same command goes on where it stopped."
ADDRESS = re.compile(r"https?://[^\s/@?#]+(/[^\s@?#]*)?")
ENDINGS = re.compile(r"(/v1)?(/chat/completions|/completions|/chat)?/*$")

Answer = TypeVar("Answer")


class UnusableAnswerError(ValueError):
    """An answer that came whole as far as HTTP goes, and lacks what was asked for."""


@dataclass(eq=False)
class Connection:
    """One server; errors are raised as ``error``. Close its ``client`` in the end."""

    address: str
    error: type[AftertuneError] = CheckpointError
    key: str = field(default_factory=lambda: os.environ.get("OPENAI_API_KEY") or NO_KEY, repr=False)

    def __post_init__(self) -> None:
        self.client = openai.OpenAI(
            base_url=self.address, api_key=self.key, max_retries=RETRIES, timeout=TIMEOUT_SECONDS
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

    def models(self) -> list[Any]:
        """What the server tells of each of its models; asked once, without another try."""
        found = self.client.with_options(max_retries=0, timeout=CHECK_SECONDS).models.list()
        return list(getattr(found, "data", None) or [])

    def names(self) -> list[str]:
        """The names of its models; none where it lists none."""
        try:
            return [self.hide(str(one.id)) for one in self.models()]
        except (openai.OpenAIError, ValueError):
            return []

    def tell(self, place: str) -> Any:
        """What the server says at a place below its root (``/props``); None where there is no such place."""
        try:
            return self.client.with_options(timeout=CHECK_SECONDS).get(f"{self.root}{place}", cast_to=object)
        except (openai.APIStatusError, ValueError, openai.APIResponseValidationError):
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
                lambda: read(self.client.post(f"{self.root}{place}", cast_to=object, body=body)),
                f"an answer at {place} that can't be used",
                tries=tries,
            )
        except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError):
            raise
        except openai.OpenAIError as error:
            raise self.failure(error) from None

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
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                lacks = f" ({error})" if isinstance(error, UnusableAnswerError) else ""
            except openai.APIResponseValidationError:
                lacks = ""
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

    def hide(self, text: str) -> str:
        """The text without the key."""
        return text if self.key == NO_KEY else text.replace(self.key, "***")


def root_of(address: str) -> str:
    """An address without the path below which OpenAI's places lie."""
    return ENDINGS.sub("", address)


def must_be_address(address: str, error: type[AftertuneError] = CheckpointError) -> None:
    """Raise ``error`` for what is no address of a server; it is not shown, since it may hold a password."""
    with translated(error, "The address of the server can't be read", "Give one such as http://host:8000/v1."):
        parts = urlsplit(address)
        named = bool(parts.hostname) and parts.port != 0
    if not ADDRESS.fullmatch(address) or not named:
        raise error(
            "The address of the server must be a scheme, a host and a path, as http://host:8000/v1. A name, a password "
            "or a key does not belong in it: set OPENAI_API_KEY in the environment."
        )


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - N_LISTED} more" if len(names) > N_LISTED else ""
    return ", ".join(names[:N_LISTED]) + more


def what_was_said(error: openai.OpenAIError) -> str:
    """The error with what the server said of it, also where that is not in OpenAI's form, on one line."""
    text, body = str(error), getattr(error, "body", None)
    if body and " - " not in text:
        text += f" - {body.get('detail', body) if isinstance(body, dict) else body}"
    return " ".join(text.split())
