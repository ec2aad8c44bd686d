"""Prompt files of every known form -> prompts.

1. Rows come from a file (`files`), or from the hub (`hub`).
2. The form is told by the fields of the rows, never by the file's name; all rows must have the same.
3. Each row is checked field by field; ids must be unique.
4. A row that can't be used is skipped and counted (`account`), with strict refused. Where none can, the first reason is
   told.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aftertune.errors import PromptError, translated
from aftertune.prompts import row_models as models
from aftertune.prompts import rows
from aftertune.prompts.account import Account, Tally
from aftertune.prompts.conversations import written_list
from aftertune.prompts.files import Row, read_rows
from aftertune.prompts.hub import PREFIX, read_hub_rows
from aftertune.prompts.preferences import from_preference
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.rows import Made

# No model reads so many; to cut a single word of a million into tokens takes a tokenizer minutes.
MOST_CHARACTERS = 400_000
PICTURES = ("images", "image", "videos", "video", "audios", "audio")


@dataclass(frozen=True)
class Form:
    """A form of row: the fields that tell it, the model that checks it, the function that makes prompts of it."""

    name: str
    telling: tuple[str, ...]
    model: type[BaseModel]
    make: Callable[[Row, Any], Made]
    fits: Callable[[Mapping[str, Any]], bool] = lambda _: True


def _has_turns(filled: Mapping[str, Any]) -> bool:
    """Whether a row's conversation has turns that say whose they are."""
    given = written_list(filled.get("conversations", filled.get("conversation")))
    return isinstance(given, list) and all(isinstance(one, dict) for one in given)


FORMS = (
    Form("TRL", ("chosen", "chosen_messages", "completion"), models.PreferenceRow, from_preference),
    Form("OASST trees", ("message_tree_id",), models.TreeRow, rows.from_tree, lambda row: "prompt" in row),
    Form("Aftertune's own", ("prompt", "messages"), models.OwnRow, rows.from_own),
    Form("ShareGPT", ("conversations", "conversation"), models.ConversationRow, rows.from_conversation, _has_turns),
    Form("LIMA", ("conversations",), models.LimaRow, rows.from_lima),
    Form("MT-Bench", ("turns",), models.MtBenchRow, rows.from_mt_bench),
    Form("Self-Instruct", ("instances",), models.SelfInstructRow, rows.from_self_instruct),
    Form("Alpaca", ("instruction",), models.TaskRow, rows.from_task),
    Form("OpenOrca", ("question",), models.QuestionRow, rows.from_question),
    Form("OASST", ("message_id",), models.OasstRow, rows.from_oasst),
    Form("plain", ("text",), models.TextRow, rows.from_text),
)


def read_prompts(source: str | Path, limit: int | None = None, *, strict: bool = False) -> list[Prompt]:
    """The prompts of a file at a path or any fsspec address, or of ``hub:NAME``; the first ``limit`` of them.

    JSON lines, a JSON list, CSV, TSV or Parquet. Forms, told by their fields: our own (``prompt`` or ``messages``; see
    `aftertune.prompts.row_models.OwnRow`), conversations (ShareGPT, OpenAI, UltraChat, WildChat), preferences and
    completions, Alpaca, Dolly, Self-Instruct, MT-Bench, LIMA, OpenOrca, OASST, ``question`` and ``text``. A row without
    an id is named after its place, such as line-0007. The answer that ends a conversation is its response; expected
    outputs of tasks are not taken, nor is a response named after a model (``vicuna_response``). Ratings are taken from
    our own form only.

    A row that can't be used is skipped, and a warning tells how many were and why; with ``strict`` it is refused.
    Raises `PromptError`, naming the place and the field, for that, and where no row can be used.
    """
    prompts, account = read_with_account(source, limit, strict)
    if account.n_skipped:
        warnings.warn(f"{source}: {account.skipped}", stacklevel=2)
    return prompts


def read_with_account(source: str | Path, limit: int | None, strict: bool) -> tuple[list[Prompt], Account]:
    """What `read_prompts` gives, and what became of the rows."""
    if limit is not None and limit < 1:
        raise PromptError(f"The limit is {limit}. Give at least 1, or leave it out to read all prompts.")
    address, tally = str(source), Tally()
    found = read_hub_rows(address) if address.startswith(PREFIX) else read_rows(address)
    prompts = list(islice(_usable(address, found, tally, strict), limit))
    if not prompts and tally.reasons:
        others = f" None of its {tally.n_rows:,} rows can be used." if tally.n_rows > 1 else ""
        raise PromptError(f"{address}, {tally.reasons[0]}{others}")
    if not prompts:
        raise PromptError(f"{address} has no rows. Give a source with at least one prompt.")
    return prompts, tally.account()


def _usable(address: str, found: Iterator[Row], tally: Tally, strict: bool) -> Iterator[Prompt]:
    """The prompts of the rows that can be used; the others are counted, or refused."""
    places: dict[str, str] = {}
    first: list[tuple[Row, Form]] = []
    for row in found:
        tally.n_rows += 1
        try:
            made = _made(row, first)
            for prompt in made.prompts:
                _must_be_new(prompt, row, places)
        except PromptError as error:
            if strict:
                raise PromptError(f"{address}, {error}") from None
            tally.skip(str(error))
            continue
        tally.unused.update(dict.fromkeys(made.unused, 1))
        tally.n_replies += not made.prompts
        yield from made.prompts


def _made(row: Row, first: list[tuple[Row, Form]]) -> Made:
    """The prompts of a row; raises `PromptError`, beginning with the place, if it can't be used."""
    if row.wrong:
        raise PromptError(row.wrong)
    try:
        # null means the same as leaving the field out: tables have every column in every row
        filled = {name: value for name, value in row.value.items() if value is not None}
        form = _form(filled)
        _must_be_same(form, *(first[0] if first else (row, form)))
        _must_have_no_pictures(filled)
        with translated(PromptError, "it can't be used", "Give the conversation in one of the known forms."):
            made = form.make(row, _check(filled, form.model))
        _must_be_usable(made)
    except PromptError as error:
        raise PromptError(f"{row.place}: {error}") from None
    first += [] if first else [(row, form)]
    return Made(made.prompts, (*made.unused, *_unknown(filled, form.model)))


def _must_be_usable(made: Made) -> None:
    for prompt in made.prompts:
        with translated(PromptError, "its id or data set is no Unicode text", "Take half surrogate pairs out."):
            "".join((prompt.id, prompt.dataset, *prompt.ratings)).encode("utf-8")
        n = sum(len(one.content) for one in prompt.messages) + len(prompt.response or "")
        if n > MOST_CHARACTERS:
            raise PromptError(f"it has {n:,} characters; at most {MOST_CHARACTERS:,} are read of a prompt. Shorten it.")


def _unknown(filled: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """The fields that a row carries and its form does not know."""
    rated = "ratings" in model.model_fields
    for name, value in filled.items():
        known = name in model.model_fields or (rated and f"_{name}".endswith(models.RATING_SUFFIX))
        if not known and value not in ("", [], {}):
            yield str(name)


def _must_be_new(prompt: Prompt, row: Row, places: dict[str, str]) -> None:
    if prompt.id in places:
        raise PromptError(
            f"{row.place}: the id {prompt.id!r} stands on {places[prompt.id]} as well. Ids must be unique; change one."
        )
    places[prompt.id] = row.place


def _form(filled: dict[str, Any]) -> Form:
    for form in FORMS:
        if any(field in filled for field in form.telling) and form.fits(filled):
            return form
    if {"role", "content"} <= filled.keys() or {"from", "value"} <= filled.keys():
        raise PromptError('it is one turn alone. Put the turns of a conversation into one row: {"messages": [...]}.')
    known = "; ".join(f"{' or '.join(form.telling)} ({form.name})" for form in FORMS)
    fields = ", ".join(map(str, filled)) or "none"
    raise PromptError(
        f"it has neither prompt nor messages, nor a field of another known form. Its fields: {fields}."
        f"{_nested(filled)}{_tokenised(filled)} A row must have one of: {known}."
    )


def _nested(filled: Mapping[str, Any]) -> str:
    """That the rows stand in a field, where they do."""
    lists = [name for name, value in filled.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return f" Its rows may be those of {lists[0]!r}: give a file that holds that list alone." if lists else ""


def _tokenised(filled: Mapping[str, Any]) -> str:
    """That the row holds tokens in place of a text, where it does."""
    return (
        " Tokens (input_ids) are no prompt: give the texts that they were made from." if "input_ids" in filled else ""
    )


def _must_be_same(form: Form, first: Row, expected: Form) -> None:
    if form is not expected:
        raise PromptError(
            f"its form is {form.name}, that of {first.place} is {expected.name}. Put each form into a file of its own."
        )


def _must_have_no_pictures(filled: Mapping[str, Any]) -> None:
    name = next((name for name in PICTURES if filled.get(name)), None)
    if name is not None:
        raise PromptError(f'it has "{name}". Only text can be read; leave the row out.')


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
    fields = {name: field for one in (models.InstanceRow, model) for name, field in one.model_fields.items()}
    return {name: field.description or "" for name, field in fields.items()}
