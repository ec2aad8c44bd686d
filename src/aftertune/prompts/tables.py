"""Rows of tables: texts separated by commas, semicolons or tabs, and Parquet.

The first line of a table of texts names its columns, one of them that of a known form. A table of texts has no types:
ratings are read as whole numbers, and whatever is a list in a form may be written as JSON (`conversations`, `rows`).
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

from aftertune.errors import PromptError, translated

# Fields by which the first line of a table is told.
NAMING = {"prompt", "instruction", "question", "text", "messages", "conversations", "conversation", "chosen"}
RATING = "helpfulness"
ROWS_AT_A_TIME = 1_000
MOST_UNPACKED = 2**32


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
    """The rows of a Parquet file; raises `PromptError` for a damaged one, or one that unpacks to more than 4 GiB."""
    import pyarrow.parquet as pq  # polars ends the process where a damaged file claims more memory than there is

    with translated(PromptError, f"{address} is no whole Parquet file", "Download it again."):
        file = pq.ParquetFile(io.BytesIO(content))
        about = file.metadata
        size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        if size > MOST_UNPACKED:
            raise PromptError(f"{address} unpacks to more than 4 GiB. Give a part of it.")
        batches = file.iter_batches(ROWS_AT_A_TIME)
    while True:
        with translated(PromptError, f"{address} is no whole Parquet file", "Download it again."):
            batch = next(batches, None)
            rows = [] if batch is None else batch.to_pylist()
        if batch is None:
            return
        yield from rows
