"""The rows that prompt files consist of, and what prompt each of them means.

One model and one function a form. The description of a field is the sentence that its error message ends with.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from aftertune.errors import PromptError
from aftertune.prompts.instruction import locate_spans
from aftertune.prompts.jsonl import Row
from aftertune.prompts.prompt import Message, Prompt

RATING_SUFFIX = "_helpfulness"
TEXT = "a text that is not blank"
ID = "a text that is not blank, or a whole number"


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
