"""Rows of tables: texts separated by commas, semicolons or tabs, and Parquet.

The first line of a table of texts names its columns, one of them that of a known form. A table of texts has no types:
ratings are read as whole numbers, and whatever is a list in a form may be written as JSON (`conversations`, `rows`).
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

from aftertune.errors import PromptError

# Fields by which the first line of a table is told.
NAMING = {"prompt", "instruction", "question", "text", "messages", "conversations", "conversation", "chosen"}
RATING = "helpfulness"


def separator_of(text: str) -> str | None:
    """What separates the columns of a table; None where the first line names no field."""
    header = text.lstrip().split("\n", 1)[0]
    for separator in ("\t", ",", ";"):
        if NAMING & {_name(name) for name in header.split(separator)}:
            return separator
    return None


def rows_of_table(address: str, text: str, separator: str) -> Iterator[dict[str, Any] | PromptError]:
    """The rows of a table of texts, an empty text as None; a `PromptError` in place of a row that has other columns."""
    csv.field_size_limit(2**31 - 1)  # texts may be longer than the module's default allows
    try:
        for index, value in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)):
            yield _row(index, value)
    except csv.Error as error:
        raise PromptError(f"{address} is no table: {error}. Save it as JSON lines, or with texts in quotes.") from error


def _row(index: int, value: dict[Any, Any]) -> dict[str, Any] | PromptError:
    if None in value or None in value.values():
        return PromptError(
            f"row {index + 1} has other columns than the first line. Put texts that hold a separator or a "
            "line end in quotes."
        )
    return {_name(name): _typed(_name(name), text) for name, text in value.items()}


def _typed(name: str, text: str) -> Any:
    if name.endswith(RATING) and text.strip().isdigit():
        return int(text)
    return text or None


def _name(given: str) -> str:
    """A column's name, in small letters where that is a known one."""
    name = given.strip().strip('"').strip()
    return name.lower() if name.lower() in NAMING else name


def rows_of_parquet(address: str, content: bytes) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file."""
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise PromptError(f"{address} is no whole Parquet file: {reason}. Download it again.") from error
    yield from frame.iter_rows(named=True)
