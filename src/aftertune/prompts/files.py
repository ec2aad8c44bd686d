"""From a file to rows, each with the place it stands at, for error messages.

1. The file is read whole, from any fsspec address; gzip is unpacked. Text is UTF-8 or UTF-16 with its byte order mark.
2. What it holds is told by its first signs, never by its name: Parquet; one JSON list ("["); JSON lines ("{"), blank
   lines skipped; else a table of texts separated by commas or tabs whose first line names a field of a known form.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fsspec

from aftertune.errors import PromptError

GZIP, PARQUET, UTF_16 = b"\x1f\x8b", b"PAR1", (b"\xff\xfe", b"\xfe\xff")
NAMING = {"prompt", "instruction", "question", "text"}  # fields by which the first line of a table is told


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
    content = _unpacked(address, _read_bytes(address))
    rows = _rows_of_parquet(address, content) if content.startswith(PARQUET) else _rows_of_text(address, content)
    for row in rows:
        if not isinstance(row.value, dict):
            given = json.dumps(row.value, ensure_ascii=False)[:60]
            raise PromptError(
                f'{address}, {row.place} is {given}. Each must be a JSON object such as {{"prompt": "..."}}.'
            )
        yield row


def _rows_of_text(address: str, content: bytes) -> Iterator[Row]:
    text = _decode(address, content)
    if not text.strip():
        what = "holds only blank lines" if text else "is empty"
        raise PromptError(f"{address} {what}. Give a file with one JSON object a line, one prompt each.")
    begin = text.lstrip()[:1]
    if begin == "[":
        return _rows_of_list(address, text)
    separator = _separator(text) if begin != "{" else None
    return _rows_of_lines(address, text) if separator is None else _rows_of_table(address, text, separator)


def _separator(text: str) -> str | None:
    """What separates the columns of a table; None where the first line names no field."""
    header = text.lstrip().split("\n", 1)[0]
    for separator in ("\t", ","):
        names = {name.strip().strip('"').lower() for name in header.split(separator)}
        if NAMING & names:
            return separator
    return None


def _rows_of_table(address: str, text: str, separator: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # texts may be longer than the module's default allows
    try:
        lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for index, value in enumerate(lines):
            if None in value or None in value.values():
                raise PromptError(
                    f"{address}, row {index + 1} has other columns than the first line. Put texts that hold a "
                    "separator or a line end in quotes."
                )
            yield Row("row", index + 1, index, {name.strip(): text or None for name, text in value.items()})
    except csv.Error as error:
        raise PromptError(f"{address} is no table: {error}. Save it as JSON lines, or with texts in quotes.") from error


def _rows_of_parquet(address: str, content: bytes) -> Iterator[Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise PromptError(f"{address} is no whole Parquet file: {reason}. Download it again.") from error
    for index, value in enumerate(frame.iter_rows(named=True)):
        yield Row("row", index + 1, index, value)


def _unpacked(address: str, content: bytes) -> bytes:
    if not content.startswith(GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, ValueError) as error:
        raise PromptError(f"{address} is no whole gzip file: {error}. Download it again.") from error


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
    if content.startswith(UTF_16):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise PromptError(f"{address} is no whole UTF-16: {error.reason}. Save it as UTF-8.") from None
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
            if not index and not line.lstrip().startswith(("{", '"')):
                raise PromptError(
                    f"{address} is neither JSON nor a table whose first line, in commas or tabs, has one of the "
                    f"columns {', '.join(sorted(NAMING))}. It begins: {line.strip()[:60]!r}."
                ) from None
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
