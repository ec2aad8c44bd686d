"""Prompt files of every known form -> prompts.

1. Rows come from a file (`files`), or from the hub.
2. The form is told by the fields of the rows, never by the file's name; all rows must have the same.
3. Each row is checked field by field; ids must be unique.

Rows of a data set on the Hugging Face hub, through the optional `datasets` package.

The address is ``hub:NAME``, ``hub:NAME:SPLIT`` or ``hub:NAME:CONFIGURATION:SPLIT`` (split "train" if left out). Rows
are read like those of a file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aftertune.errors import PromptError
from aftertune.prompts import rows
from aftertune.prompts.files import Row, read_rows
from aftertune.prompts.prompt import Prompt


@dataclass(frozen=True)
class Form:
    """A form of row: the field that tells it, the model that checks it, the function that makes prompts of it."""

    name: str
    telling: tuple[str, ...]
    model: type[BaseModel]
    make: Callable[[Row, Any], list[Prompt]]
    fits: Callable[[Mapping[str, Any]], bool] = lambda _: True


def _has_turns(filled: Mapping[str, Any]) -> bool:
    """Whether a row's conversation has turns that say whose they are."""
    given = filled.get("conversations", filled.get("conversation"))
    return isinstance(given, list) and all(isinstance(one, dict) for one in given)


FORMS = (
    Form("TRL", ("chosen", "completion"), rows.PreferenceRow, rows.from_preference),
    Form("Aftertune's own", ("prompt", "messages"), rows.OwnRow, rows.from_own),
    Form("ShareGPT", ("conversations", "conversation"), rows.ConversationRow, rows.from_conversation, _has_turns),
    Form("LIMA", ("conversations",), rows.LimaRow, rows.from_lima),
    Form("MT-Bench", ("turns",), rows.MtBenchRow, rows.from_mt_bench),
    Form("Self-Instruct", ("instances",), rows.SelfInstructRow, rows.from_self_instruct),
    Form("Alpaca", ("instruction",), rows.AlpacaRow, rows.from_alpaca),
    Form("OpenOrca", ("question",), rows.QuestionRow, rows.from_question),
    Form("OASST", ("message_id",), rows.OasstRow, rows.from_oasst),
    Form("plain", ("text",), rows.TextRow, rows.from_text),
)


def read_prompts(source: str | Path, limit: int | None = None) -> list[Prompt]:
    """The prompts of a file at a path or any fsspec address, or of ``hub:NAME[:SPLIT]``; the first ``limit`` of them.

    JSON lines, a JSON list, CSV, TSV or Parquet. Forms, told by their fields: our own (``prompt`` or ``messages``; see
    `aftertune.prompts.rows.OwnRow`), conversations (ShareGPT, OpenAI, UltraChat, WildChat), TRL's preferences and
    completions, Alpaca, Dolly, Self-Instruct, MT-Bench, LIMA, OpenOrca, OASST, ``question`` and ``text``. A row without
    an id is named after its place, such as line-0007. The answer that ends a conversation is its response; expected
    outputs of tasks are not taken, nor is a response named after a model (``vicuna_response``). Ratings are taken from
    our own form only.
    Raises `PromptError`, naming the place and the field, for everything that cannot be used.
    """
    if limit is not None and limit < 1:
        raise PromptError(f"The limit is {limit}. Give at least 1, or leave it out to read all prompts.")
    address = str(source)
    found = read_hub_rows(address) if address.startswith(PREFIX) else read_rows(address)
    prompts = list(islice(_unique(address, found), limit))
    if not prompts:
        raise PromptError(f"{address} has no rows. Give a source with at least one prompt.")
    return prompts


def _unique(address: str, found: Iterator[Row]) -> Iterator[Prompt]:
    places: dict[str, str] = {}
    for prompt, row in _convert(address, found):
        if prompt.id in places:
            raise PromptError(
                f"{address}: the id {prompt.id!r} stands on {places[prompt.id]} and on {row.place}. "
                "Ids must be unique; change one of them."
            )
        places[prompt.id] = row.place
        yield prompt


def _convert(address: str, found: Iterator[Row]) -> Iterator[tuple[Prompt, Row]]:
    first: tuple[Row, Form] | None = None
    for row in found:
        try:
            # null means the same as leaving the field out: tables have every column in every row
            filled = {name: value for name, value in row.value.items() if value is not None}
            form = _form(filled)
            first = first or (row, form)
            _must_be_same(form, *first)
            prompts = form.make(row, _check(filled, form.model))
        except PromptError as error:
            raise PromptError(f"{address}, {row.place}: {error}") from None
        yield from ((prompt, row) for prompt in prompts)


def _form(filled: dict[str, Any]) -> Form:
    for form in FORMS:
        if any(field in filled for field in form.telling) and form.fits(filled):
            return form
    known = "; ".join(f"{' or '.join(form.telling)} ({form.name})" for form in FORMS)
    raise PromptError(
        f"it has neither prompt nor messages, nor a field of another known form. Its fields: "
        f"{', '.join(map(str, filled)) or 'none'}. A row must have one of: {known}."
    )


def _must_be_same(form: Form, first: Row, expected: Form) -> None:
    if form is not expected:
        raise PromptError(
            f"its form is {form.name}, that of {first.place} is {expected.name}. Put each form into a file of its own."
        )


def _check(filled: dict[str, Any], model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate(filled)
    except ValidationError as error:
        raise PromptError(_explain(error, model)) from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with the first field that is: its path, what was given, what is allowed."""
    first = error.errors()[0]
    names, known = [str(part) for part in first["loc"]], _descriptions(model)
    allowed = next(known[name] for name in reversed(names) if name in known)
    field = ".".join(names[1:] if names[0] == "ratings" else names)
    if first["type"] == "missing":
        return f'the field "{field}" is missing. Give it: {allowed}.'
    given = repr(first["input"])
    return f'"{field}" is {given[:60]}{"..." if len(given) > 60 else ""}. It must be {allowed}.'


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    models = (model, rows.InstanceRow)
    fields = {name: field for one in reversed(models) for name, field in one.model_fields.items()}
    return {name: field.description or "" for name, field in fields.items()}


PREFIX = "hub:"
DEFAULT_SPLIT = "train"


def read_hub_rows(address: str) -> Iterator[Row]:
    """The rows of ``hub:NAME[:SPLIT]``; raises `PromptError` if `datasets` is missing or the data cannot be had."""
    name, *more = address.removeprefix(PREFIX).split(":")
    if not name or len(more) > 2:
        raise PromptError(f"{address!r} names no data set. Write hub:NAME, hub:NAME:SPLIT or hub:NAME:CONFIG:SPLIT.")
    split = more[-1] if more and more[-1] else DEFAULT_SPLIT
    for index, value in enumerate(_load(name, split, *more[:-1])):
        yield Row("row", index + 1, index, value)


def _load(name: str, split: str, *config: str) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise PromptError(
            f'To read {name} from the hub the package datasets is needed: pip install "aftertune[datasets]". '
            "Or give a file."
        ) from None
    try:
        return load_dataset(name, *config, split=split)
    except Exception as error:  # network, hub, formats and splits fail with unrelated types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PromptError(
            f"The split {split!r} of {name} could not be read from the hub: {reason} "
            "Check the name, the split and the connection, or give a file."
        ) from error
