"""From a file to rows, each with the place it stands at, for error messages.

1. The file is read whole, from any fsspec address, and unpacked (gzip, bzip2, xz): at most 1 GiB of it.
2. Text is UTF-8, or UTF-16 or UTF-32 with its byte order mark.
3. What it holds is told by its first signs, never by its name: Parquet; JSON lines; one JSON list; JSON objects that go
   over several lines; else a table whose first line names a field of a known form.
4. A row that is a list of turns is a conversation.
5. A row that is none does not stop the others: it carries what is wrong with it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aftertune.errors import PromptError, reason_of
from aftertune.places import read_bytes, unpacked
from aftertune.prompts.tables import NAMING, rows_of_parquet, rows_of_table, separator_of

PARQUET = b"PAR1"
ENCODINGS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# What is no text and can't be read, by its first bytes, and what to do.
OTHER = {
    b"PK": "a zip archive or a spreadsheet. Unpack it, or save it as CSV",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard. Unpack it, or pack it by gzip",
    b"ARROW1": "an Arrow file. Save it as Parquet",
    b"SQLite": "a database. Save its table as CSV or Parquet",
    b"\x80\x04": "a pickle. Save it as JSON lines or Parquet",
}
WHITE_SPACE = re.compile(r"\s*")
OBJECT = 'Each must be a JSON object such as {"prompt": "..."}.'


@dataclass(frozen=True)
class Row:
    """One row: ``kind`` is line, item or row; ``number`` counts from 1; ``index`` counts the rows before it.

    ``wrong`` says, beginning with the place, why there is no row; "" where there is one.
    """

    kind: str
    number: int
    index: int
    value: Any = field(default_factory=dict)
    wrong: str = ""

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.kind} {self.number}"


def read_rows(address: str) -> Iterator[Row]:
    """The rows of a file; raises `PromptError` where it cannot be read, is empty, or of no kind that is known."""
    content = _unpacked(address, read_bytes(address, PromptError, "Give the path of a prompt file."))
    if content.startswith(PARQUET):
        yield from _numbered(rows_of_parquet(address, content))
    else:
        yield from (_whole(row) for row in _rows_of_text(address, _decode(address, content)))


def _rows_of_text(address: str, text: str) -> Iterator[Row]:
    begin = text.lstrip()[:1]
    if not begin:
        what = "holds only blank lines" if text else "is empty"
        raise PromptError(f"{address} {what}. Give a file with one JSON object a line, one prompt each.")
    if begin == "[":
        return _rows_of_list(address, text)
    separator = separator_of(text) if begin != "{" else None
    if separator is not None:
        return _numbered(rows_of_table(address, text, separator))
    spread = _spread_objects(text) if begin == "{" else []
    return iter(spread) if spread else _rows_of_lines(address, text)


def _numbered(values: Iterator[Any]) -> Iterator[Row]:
    for index, value in enumerate(values):
        wrong = str(value) if isinstance(value, PromptError) else ""
        yield Row("row", index + 1, index, {} if wrong else value, wrong)


def _whole(row: Row) -> Row:
    """The row, a list of turns as a conversation; with what is wrong with it where it is neither that nor an object."""
    value = row.value
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        value = {"messages": value}
    if row.wrong or isinstance(value, dict):
        return Row(row.kind, row.number, row.index, value, row.wrong)
    given = json.dumps(value, ensure_ascii=False)[:60]
    return Row(row.kind, row.number, row.index, wrong=f"{row.place} is {given}. {OBJECT}")


def _unpacked(address: str, content: bytes) -> bytes:
    for begin, what in OTHER.items():
        if content.startswith(begin):
            raise PromptError(f"{address} is {what}.")
    return unpacked(address, content, PromptError)


def _decode(address: str, content: bytes) -> str:
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise PromptError(f"{address} is no whole {encoding.upper()}: {error.reason}. Save it as UTF-8.") from None
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
            if not index and not line.lstrip().startswith(("{", '"', "[")):
                raise PromptError(
                    f"{address} is neither JSON nor a table whose first line, in commas or tabs, has one of the "
                    f"columns {', '.join(sorted(NAMING))}. It begins: {line.strip()[:60]!r}. Of texts make lines such "
                    'as {"text": "..."}.'
                ) from None
            wrong = f"line {number} is not JSON: {_reason(error)}. Each line must be one whole JSON object."
            yield Row("line", number, index, wrong=wrong)


def _spread_objects(text: str) -> list[Row]:
    """JSON objects one after the other, the first over several lines; nothing if that is not what it is."""
    decoder, rows, cursor, number = json.JSONDecoder(), list[Row](), 0, 1
    if _is_json(text.lstrip().split("\n", 1)[0]):
        return []
    try:
        while (start := _filled(text, cursor)) < len(text):
            number += text.count("\n", cursor, start)
            value, cursor = decoder.raw_decode(text, start)
            rows.append(Row("line", number, len(rows), value))
            number += text.count("\n", start, cursor)
    except (ValueError, RecursionError):
        return []
    return rows


def _filled(text: str, start: int) -> int:
    """The place of the first character from ``start`` that is no white space."""
    gap = WHITE_SPACE.match(text, start)
    return gap.end() if gap else start


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _rows_of_list(address: str, text: str) -> Iterator[Row]:
    if _is_json(text.lstrip().split("\n", 1)[0]) and "\n" in text.strip():
        yield from _rows_of_lines(address, text)  # a list of turns on each line
        return
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
    return reason_of(error)
