"""Rows of a data set on the Hugging Face hub, through the optional `datasets` package.

The address is ``hub:NAME``, ``hub:NAME:SPLIT``, ``hub:NAME:CONFIGURATION`` or ``hub:NAME:CONFIGURATION:SPLIT`` (split
"train" if left out); NAME may be a folder, too. Rows are read like those of a file.
"""

from collections.abc import Iterator
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.files import Row

PREFIX = "hub:"
DEFAULT_SPLIT = "train"


def read_hub_rows(address: str) -> Iterator[Row]:
    """The rows of a data set; raises `PromptError` if `datasets` is missing or the data cannot be had."""
    name, *more = address.removeprefix(PREFIX).split(":")
    if not name or len(more) > 2:
        raise PromptError(f"{address!r} names no data set. Write hub:NAME, hub:NAME:SPLIT or hub:NAME:CONFIG:SPLIT.")
    for index, value in enumerate(_load(name, more)):
        yield Row("row", index + 1, index, value)


def _load(name: str, more: list[str]) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise PromptError(
            f'To read {name} from the hub the package datasets is needed: pip install "aftertune[datasets]". '
            "Or give a file."
        ) from None
    split, reasons = (more[-1] if more and more[-1] else DEFAULT_SPLIT), []
    # One word after the name may be a split or a configuration; which of them, only the data set knows.
    ways = [(split, more[:-1])] + ([(DEFAULT_SPLIT, more)] if len(more) == 1 and more[0] else [])
    for asked, config in ways:
        try:
            return load_dataset(name, *config, split=asked)
        except Exception as error:  # network, hub, formats and splits fail with unrelated types
            reasons.append(_reason(error))
    raise PromptError(
        f"The split {split!r} of {name} could not be read from the hub: {reasons[0]} "
        "Check the name, the split and the connection, or give a file."
    )


def _reason(error: Exception) -> str:
    """The first line of what is said, with the second where that says what there is to choose from."""
    first, *more = (str(error) or type(error).__name__).splitlines()
    return f"{first} {more[0]}." if more and more[0].startswith("Please pick") else first
