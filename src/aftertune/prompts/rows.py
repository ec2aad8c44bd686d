"""The rows that prompt files consist of, and what prompt each of them means.

One model and one function a form; those of conversations are in `conversations`. The description of a field is the
sentence that its error message ends with.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from aftertune.errors import PromptError
from aftertune.prompts.conversations import Conversation, read_turns
from aftertune.prompts.files import Row
from aftertune.prompts.instruction import locate_spans
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
Turn = Annotated[list[AnyText], Field(min_length=2, max_length=2)]
Rating = Annotated[int, Field(ge=1, le=4)]


class RowModel(BaseModel):
    """Fields that a form does not know are ignored; nothing is converted silently."""

    model_config = ConfigDict(extra="ignore", strict=True)


class OwnRow(RowModel):
    """Aftertune's own form."""

    id: Id = Field(None, description=ID)
    prompt: Text | None = Field(None, description=TEXT)
    messages: list[Any] | None = Field(None, description="a list of turns with role and content")
    system: Text | None = Field(None, description=f"{TEXT}; leave it out for none")
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
    """Alpaca's form, also without an input; with Dolly's context, and LLaMA-Factory's system and history."""

    id: Id = Field(None, description=ID)
    instruction: Text = Field(description=TEXT)
    input: AnyText = Field("", description="a text")
    context: AnyText = Field("", description="a text")
    system: AnyText = Field("", description="a text")
    history: list[Turn] = Field([], description="a list of [question, answer]")


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


class QuestionRow(RowModel):
    """A question, with the system's message of OpenOrca where there is one, and its answer."""

    id: Id = Field(None, description=ID)
    question: Text = Field(description=TEXT)
    system_prompt: AnyText = Field("", description="a text")
    answer: AnyText = Field("", description="a text")
    response: AnyText = Field("", description="a text")


class TextRow(RowModel):
    """A text alone."""

    id: Id = Field(None, description=ID)
    text: Text = Field(description=TEXT)


class ConversationRow(RowModel):
    """A conversation as ShareGPT, WildChat and others have it."""

    id: Id = Field(None, description=ID)
    conversations: list[Any] | None = Field(None, description="a list of turns")
    conversation: list[Any] | None = Field(None, description="a list of turns")
    system: AnyText = Field("", description="a text")


class PreferenceRow(RowModel):
    """TRL's preferences and completions: what was preferred, or completes the prompt, is the response."""

    id: Id = Field(None, description=ID)
    prompt: Any = Field(None, description="a text, or a list of turns")
    chosen: Any = Field(None, description="a text, or a list of turns")
    completion: Any = Field(None, description="a text, or a list of turns")


class OasstRow(RowModel):
    """A message of OASST's trees."""

    message_id: Id = Field(description=ID)
    parent_id: Any = Field(None, description="the id of the message that it answers, null for the first")
    text: Text = Field(description=TEXT)


class LimaRow(RowModel):
    """A conversation of LIMA, turns of user and assistant by turns."""

    conversations: list[Text] = Field(min_length=1, description="a list of at least one text that is not blank")


def from_own(row: Row, given: OwnRow) -> list[Prompt]:
    """One prompt; raises `PromptError` for both or wrong messages and for a span that is not in the prompt.

    The answer that ends the messages is the response.
    """
    found = _conversation(given)
    if found.answer and given.response is not None:
        raise PromptError('its "messages" end with an answer, and it has a "response" as well. Keep one of them.')
    messages, response = found.messages, given.response or found.answer
    spans = None if given.instruction_spans is None else locate_spans(given.instruction_spans, messages)
    ratings = {name.removesuffix("helpfulness").removesuffix("_"): rating for name, rating in given.ratings.items()}
    return [Prompt(_name(row, given.id), messages, given.dataset, spans, given.context, response, ratings)]


def from_alpaca(row: Row, given: AlpacaRow) -> list[Prompt]:
    """One prompt; the expected output is not taken as a response."""
    before = [*_system(given.system)]
    for question, answer in given.history:
        before += [Message("user", question), Message("assistant", answer)]
    dataset = "dolly" if given.context.strip() and not given.input.strip() else "alpaca"
    return [_task(_name(row, given.id), dataset, given.instruction, given.input or given.context, before)]


def from_question(row: Row, given: QuestionRow) -> list[Prompt]:
    """The question; its answer is the response."""
    messages = (*_system(given.system_prompt), Message("user", given.question))
    answer = given.response.strip() and given.response
    return [Prompt(_name(row, given.id), messages, "questions", response=answer or given.answer.strip() or None)]


def from_text(row: Row, given: TextRow) -> list[Prompt]:
    """The text as it stands."""
    return [Prompt(_name(row, given.id), (Message("user", given.text),), "texts")]


def from_conversation(row: Row, given: ConversationRow) -> list[Prompt]:
    """The conversation up to the last turn of the user; the answer to it is the response."""
    field = "conversations" if given.conversations is not None else "conversation"
    found = read_turns(getattr(given, field), field)
    return [
        Prompt(_name(row, given.id), (*_system(given.system), *found.messages), "conversations", response=found.answer)
    ]


def from_preference(row: Row, given: PreferenceRow) -> list[Prompt]:
    """The prompt with what was preferred, or what completes it, as the response."""
    field = "chosen" if given.chosen is not None else "completion"
    asked, answer = given.prompt, getattr(given, field)
    begun = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked or ())
    said = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
    has_all = isinstance(said, list) and any(isinstance(one, dict) and one.get("role") == "user" for one in said)
    found = read_turns(said if has_all else [*begun, *said] if isinstance(said, list) else said, field)
    return [Prompt(_name(row, given.id), found.messages, "preferences", response=found.answer)]


def from_oasst(_: Row, given: OasstRow) -> list[Prompt]:
    """The first message of a tree; none for the others, which answer one."""
    first = Prompt(given.message_id, (Message("user", given.text),), "oasst")
    return [first] if given.parent_id is None else []


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


def _system(text: str) -> tuple[Message, ...]:
    """What the system says, where it says anything."""
    return (Message("system", text),) if text.strip() else ()


def _name(row: Row, id: str | None) -> str:
    return f"{row.kind}-{row.number:04d}" if id is None else id


def _task(id: str, dataset: str, instruction: str, context: str, before: Sequence[Message] = ()) -> Prompt:
    text = f"{instruction}\n\nInput: {context}\n\nOutput:" if context.strip() else instruction
    spans = ((0, len(instruction), len(before)),)
    return Prompt(id, (*before, Message("user", text)), dataset, spans, context if context.strip() else "")


def _conversation(given: OwnRow) -> Conversation:
    before = _system(given.system or "")
    if given.messages is None:
        return Conversation((*before, Message("user", given.prompt or "")), None)
    found = read_turns(given.messages, "messages")
    if given.prompt is not None and given.prompt.strip() != found.first_question.strip():
        raise PromptError('it has both "prompt" and "messages", which begin with another question. Keep one of them.')
    return Conversation((*before, *found.messages), found.answer)
