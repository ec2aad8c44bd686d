"""How does text reach the terminal, or whatever reads the output?  As text, whatever a model wrote.

1. Control characters and direction marks are shown as signs, in JSON as escapes: none of them is sent.
2. A stream that can't write a character writes its number.
3. Where nobody reads on (``| head -1``) the program ends quietly; a full disk is an error like others.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from rich.console import Console
from rich.segment import Segment

from aftertune.addresses import without_secrets
from aftertune.errors import RunError
from aftertune.runs.readable import SHOWN, visible

CLOSED_PIPE = 141  # what a shell says of a program that SIGPIPE ended
JSON_ESCAPES = {code: f"\\u{code:04x}" for code in SHOWN if code >= 0x20}  # those below are escaped anyway


def take_any_text() -> None:
    """Let both streams write text of any language, also where they are set to ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, err: bool = False) -> None:
    """A line on standard output, or on standard error, without the secrets of addresses in it.

    Raises `RunError` if standard output can't be written.
    """
    say_whole(without_secrets(text), err)


def say_whole(text: str, err: bool = False) -> None:
    """The same with all that it holds: JSON, and addresses of our own pages."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:
        with writing(stream):
            stream.write(f"{visible(text)}\n")
            stream.flush()


def say_json(data: Any) -> None:
    """Data as one line of JSON on standard output; raises `RunError` if that can't be written."""
    is_utf8 = str(getattr(sys.stdout, "encoding", "utf-8")).lower().replace("-", "") == "utf8"
    say_whole(json.dumps(data, ensure_ascii=not is_utf8).translate(JSON_ESCAPES))


@contextmanager
def writing(stream: IO[str]) -> Iterator[None]:
    """What is written to ``stream`` within, with an end where it can't be; what can't be told of an error is let go."""
    try:
        yield
    except BrokenPipeError:
        _end_quietly(stream)
    except OSError as error:
        _drop(stream)
        if stream is not sys.stderr:
            raise RunError(
                f"Standard output can't be written: {error.strerror or error}. Free some space, or send it elsewhere."
            ) from None


class TextConsole(Console):
    """A console of rich whose text is shown as `say` shows it; its own styles and movements are sent."""

    def render(self, *given: Any, **options: Any) -> Iterable[Segment]:
        """The segments of whatever is printed."""
        for one in super().render(*given, **options):
            yield one if one.control else one._replace(text=visible(one.text))

    def print(self, *given: Any, **options: Any) -> None:
        """As `rich.console.Console.print`; raises `RunError` if standard output can't be written."""
        with writing(self.file):
            super().print(*given, **options)

    def on_broken_pipe(self) -> None:
        """Called by rich."""
        _end_quietly(self.file)


def _end_quietly(stream: IO[str]) -> NoReturn:
    _drop(stream)
    raise SystemExit(CLOSED_PIPE) from None


def _drop(stream: IO[str]) -> None:
    """Let go of what was not written yet: else Python tries again when it ends, and complains."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
