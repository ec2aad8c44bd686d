"""The rows that prompt files consist of, and what prompt each of them means.

One model and one function a form. The description of a field is the sentence that its error message ends with.

From a file to rows: JSON lines or one JSON list, each row with the place it stands at, for error messages.

1. The file is read whole, from any fsspec address, as UTF-8 (a byte order mark is skipped).
2. A file whose first character is "[" is one JSON list; any other holds one JSON object a line, blank lines skipped.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import fsspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from aftertune.errors import PromptError
from aftertune.prompts.instruction import locate_spans
from aftertune.prompts.prompt import Message, Prompt

RATING_SUFFIX = "_helpfulness"
TEXT = "a text that is not blank"
ID = "a text that is not blank, or a whole number"


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


def _is_unicode(text: str) -> str:
    text.encode("utf-8")  # half a surrogate pair, which JSON can spell and no tokenizer reads, raises ValueError
    return text


def _is_filled(text: str) -> str:
    if not text.strip():
        raise ValueError("blank")
    return text


def _as_id(id: Any) -> str:
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise ValueError("neither a text nor a whole number")
    return _is_filled(_is_unicode(str(id)))


AnyText = Annotated[str, AfterValidator(_is_unicode)]
Text = Annotated[AnyText, AfterValidator(_is_filled)]
Id = Annotated[Any, AfterValidator(_as_id)]
Rating = Annotated[int, Field(ge=1, le=4)]


class RowModel(BaseModel):
    """Fields that a form does not know are ignored; nothing is converted silently."""

    model_config = ConfigDict(extra="ignore", strict=True)


class MessageRow(RowModel):
    """One turn."""

    role: Literal["system", "user", "assistant"] = Field(description='"system", "user" or "assistant"')
    content: Text = Field(description=TEXT)


class OwnRow(RowModel):
    """Aftertune's own form."""

    id: Id = Field(None, description=ID)
    prompt: Text | None = Field(None, description=TEXT)
    messages: list[MessageRow] | None = Field(None, description="a list of turns with role and content")
    dataset: Text = Field("prompts", description=TEXT)
    instruction_spans: list[Any] | None = Field(
        None, min_length=1, description="a list of at least one piece of the prompt; leave it out to mean all of it"
    )
    context: AnyText = Field("", description="a text")
    response: Text | None = Field(None, description="a text that is not blank; leave it out to have it generated")
    ratings: dict[str, Rating] = Field(default={}, description="1, 2, 3 or 4, or null if unrated")

    @model_validator(mode="before")
    @classmethod
    def _collect_ratings(cls, value: dict[str, Any]) -> dict[str, Any]:
        rated = {name: given for name, given in value.items() if f"_{name}".endswith(RATING_SUFFIX)}
        return {**value, "ratings": rated}


class AlpacaRow(RowModel):
    """Alpaca's form, also without an input."""

    id: Id = Field(None, description=ID)
    instruction: Text = Field(description=TEXT)
    input: AnyText = Field("", description="a text")


class InstanceRow(RowModel):
    """One input of a Self-Instruct task."""

    input: AnyText = Field("", description="a text")


class SelfInstructRow(RowModel):
    """A task of Self-Instruct with its instances."""

    id: Id = Field(None, description=ID)
    instruction: Text = Field(description=TEXT)
    instances: list[InstanceRow] = Field(min_length=1, description="a list of at least one object with an input")


class MtBenchRow(RowModel):
    """A question of MT-Bench with its turns."""

    question_id: Id = Field(description=ID)
    category: Text = Field(description=TEXT)
    turns: list[Text] = Field(min_length=1, description="a list of at least one text that is not blank")


class LimaRow(RowModel):
    """A conversation of LIMA, turns of user and assistant by turns."""

    conversations: list[Text] = Field(min_length=1, description="a list of at least one text that is not blank")


def from_own(row: Row, given: OwnRow) -> list[Prompt]:
    """One prompt; raises `PromptError` for both or wrong messages and for a span that is not in the prompt."""
    messages = _messages(given)
    spans = None if given.instruction_spans is None else locate_spans(given.instruction_spans, messages)
    ratings = {name.removesuffix("helpfulness").removesuffix("_"): rating for name, rating in given.ratings.items()}
    prompt = Prompt(_name(row, given.id), messages, given.dataset, spans, given.context, given.response, ratings)
    return [prompt]


def from_alpaca(row: Row, given: AlpacaRow) -> list[Prompt]:
    """One prompt; the expected output is not taken as a response."""
    return [_task(_name(row, given.id), "alpaca", given.instruction, given.input)]


def from_self_instruct(row: Row, given: SelfInstructRow) -> list[Prompt]:
    """One prompt an instance; the second has the task's id with "-2", and so on."""
    name = _name(row, given.id)
    names = [name if number == 1 else f"{name}-{number}" for number in range(1, len(given.instances) + 1)]
    tasks = zip(names, given.instances, strict=True)
    return [_task(name, "self_instruct", given.instruction, instance.input) for name, instance in tasks]


def from_mt_bench(_: Row, given: MtBenchRow) -> list[Prompt]:
    """The first turn, with an id such as mtbench_writing_81."""
    id = f"mtbench_{given.category}_{given.question_id}"
    return [Prompt(id, (Message("user", given.turns[0]),), "mt_bench")]


def from_lima(row: Row, given: LimaRow) -> list[Prompt]:
    """The first turn, with an id such as lima_0 for the first row."""
    return [Prompt(f"lima_{row.index}", (Message("user", given.conversations[0]),), "lima")]


def _name(row: Row, id: str | None) -> str:
    return f"{row.kind}-{row.number:04d}" if id is None else id


def _task(id: str, dataset: str, instruction: str, context: str) -> Prompt:
    text = f"{instruction}\n\nInput: {context}\n\nOutput:" if context.strip() else instruction
    spans = ((0, len(instruction), 0),)
    return Prompt(id, (Message("user", text),), dataset, spans, context if context.strip() else "")


def _messages(given: OwnRow) -> tuple[Message, ...]:
    if given.messages is None:
        return (Message("user", given.prompt or ""),)
    if given.prompt is not None:
        raise PromptError('it has both "prompt" and "messages". Keep one of them.')
    messages = tuple(Message(turn.role, turn.content) for turn in given.messages)
    if not messages or messages[-1].role != "user":
        roles = ", ".join(message.role for message in messages) or "none"
        raise PromptError(
            f'the roles of "messages" are: {roles}. The last must be user; what answers it goes into "response".'
        )
    return messages
