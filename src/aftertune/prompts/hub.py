"""Rows of a data set on the Hugging Face hub, through the optional `datasets` package.

The address is ``hub:NAME`` or ``hub:NAME:SPLIT`` (split "train" if left out). Rows are read like those of a file.
"""

from collections.abc import Iterator
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.jsonl import Row

PREFIX = "hub:"
DEFAULT_SPLIT = "train"


def read_hub_rows(address: str) -> Iterator[Row]:
    """The rows of ``hub:NAME[:SPLIT]``; raises `PromptError` if `datasets` is missing or the data cannot be had."""
    name, _, split = address.removeprefix(PREFIX).partition(":")
    if not name:
        raise PromptError(f"{address!r} names no data set. Write hub:NAME or hub:NAME:SPLIT.")
    for index, value in enumerate(_load(name, split or DEFAULT_SPLIT)):
        yield Row("row", index + 1, index, value)


def _load(name: str, split: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise PromptError(
            f'To read {name} from the hub the package datasets is needed: pip install "aftertune[datasets]". '
            "Or give a file."
        ) from None
    try:
        return load_dataset(name, split=split)
    except Exception as error:  # network, hub, formats and splits fail with unrelated types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PromptError(
            f"The split {split!r} of {name} could not be read from the hub: {reason} "
            "Check the name, the split and the connection, or give a file."
        ) from error
