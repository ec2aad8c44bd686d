"""From a file to rows: JSON lines or one JSON list, each row with the place it stands at, for error messages.

1. The file is read whole, from any fsspec address, as UTF-8 (a byte order mark is skipped).
2. A file whose first character is "[" is one JSON list; any other holds one JSON object a line, blank lines skipped.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec

from aftertune.errors import PromptError


@dataclass(frozen=True)
class Row:
    """One row: ``kind`` is line, item or row; ``number`` counts from 1; ``index`` counts the rows before it."""

    kind: str
    number: int
    index: int
    value: Any

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.kind} {self.number}"


def read_rows(address: str) -> Iterator[Row]:
    """The rows of a file; raises `PromptError` where it cannot be read, is empty, not UTF-8 or not JSON."""
    text = _decode(address, _read_bytes(address))
    if not text.strip():
        what = "holds only blank lines" if text else "is empty"
        raise PromptError(f"{address} {what}. Give a file with one JSON object a line, one prompt each.")
    rows = _rows_of_list(address, text) if text.lstrip().startswith("[") else _rows_of_lines(address, text)
    for row in rows:
        if not isinstance(row.value, dict):
            given = json.dumps(row.value, ensure_ascii=False)[:60]
            raise PromptError(
                f'{address}, {row.place} is {given}. Each must be a JSON object such as {{"prompt": "..."}}.'
            )
        yield row


def _read_bytes(address: str) -> bytes:
    try:
        with fsspec.open(address, "rb") as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError:
        raise PromptError(f"There is no file at {address}. Give the path of a prompt file.") from None
    except IsADirectoryError:
        raise PromptError(f"{address} is a folder. Give one prompt file of it.") from None
    except (OSError, ValueError, ImportError) as error:
        raise PromptError(f"{address} could not be read: {error}. Give a file that can be opened.") from error


def _decode(address: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = error.object[error.start]
        line = error.object[: error.start].count(b"\n") + 1
        raise PromptError(
            f"{address} is not UTF-8: byte 0x{bad:02X} at position {error.start}, on line {line}. Save it as UTF-8."
        ) from None


def _rows_of_lines(address: str, text: str) -> Iterator[Row]:
    # Only "\n" ends a line: JSON texts may hold U+2028 and others that str.splitlines would cut at.
    filled = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    for index, (number, line) in enumerate(filled):
        try:
            yield Row("line", number, index, json.loads(line))
        except (ValueError, RecursionError) as error:
            raise PromptError(
                f"{address}, line {number} is not JSON: {_reason(error)}. Each line must be one whole JSON object."
            ) from None


def _rows_of_list(address: str, text: str) -> Iterator[Row]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise PromptError(
            f'{address}{line} is not JSON: {_reason(error)}. A file that starts with "[" must be one JSON list.'
        ) from None
    if not items:
        raise PromptError(f"{address} is an empty list. Give at least one prompt.")
    for index, value in enumerate(items):
        yield Row("item", index + 1, index, value)


def _reason(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[0].lower()}{error.msg[1:]}, column {error.colno}"
    return str(error)
