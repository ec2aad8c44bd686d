"""What the rows of each form of prompt file must hold.

One model a form. The description of a field is the sentence that its error message ends with. What a model does not
name is not used, and is counted (`account`).
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from aftertune.prompts.conversations import written_list

RATING_SUFFIX = "_helpfulness"
TEXT = "a text that is not blank"
ID = "a text that is not blank, or a whole number"
LISTED = "a list of turns"


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
Listed = Annotated[list[Any] | None, BeforeValidator(written_list)]
Round = Annotated[list[AnyText], Field(min_length=2, max_length=2)]
Rating = Annotated[int, Field(ge=1, le=4)]


class RowModel(BaseModel):
    """Nothing is converted silently, but for lists that are written as text."""

    model_config = ConfigDict(extra="ignore", strict=True)
    id: Id = Field(None, description=ID)


class OwnRow(RowModel):
    """Aftertune's own form."""

    prompt: Text | None = Field(None, description=TEXT)
    messages: Listed = Field(None, description="a list of turns with role and content")
    system: AnyText | None = Field(None, description="a text; leave it out for none")
    tools: Any = Field(None, description="a list of tools, or JSON of one")
    dataset: Text = Field("prompts", description=TEXT)
    instruction_spans: Listed = Field(
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


class TaskRow(RowModel):
    """An instruction with what it is about, and what stands before it (LLaMA-Factory's system and history)."""

    instruction: Text = Field(description=TEXT)
    input: AnyText = Field("", description="a text")
    context: AnyText = Field("", description="a text")
    system: AnyText = Field("", description="a text")
    history: Annotated[list[Round], BeforeValidator(written_list)] = Field(
        [], description="a list of [question, answer]"
    )


class InstanceRow(BaseModel):
    """One input of a Self-Instruct task."""

    model_config = ConfigDict(extra="ignore", strict=True)
    input: AnyText = Field("", description="a text")


class SelfInstructRow(RowModel):
    """A task of Self-Instruct with its instances."""

    instruction: Text = Field(description=TEXT)
    instances: list[InstanceRow] = Field(min_length=1, description="a list of at least one object with an input")


class MtBenchRow(RowModel):
    """A question of MT-Bench with its turns."""

    question_id: Id = Field(description=ID)
    category: Text = Field(description=TEXT)
    turns: list[Text] = Field(min_length=1, description="a list of at least one text that is not blank")


class QuestionRow(RowModel):
    """A question, with what it is about, the system's message of OpenOrca where there is one, and its answer."""

    question: Text = Field(description=TEXT)
    context: AnyText = Field("", description="a text")
    system: AnyText = Field("", description="a text")
    system_prompt: AnyText = Field("", description="a text")
    answer: Any = Field("", description="a text")
    response: AnyText = Field("", description="a text")


class TextRow(RowModel):
    """A text alone."""

    text: Text = Field(description=TEXT)


class ConversationRow(RowModel):
    """A conversation as ShareGPT, WildChat and others have it."""

    conversations: Listed = Field(None, description=LISTED)
    conversation: Listed = Field(None, description=LISTED)
    system: AnyText = Field("", description="a text")
    tools: Any = Field(None, description="a list of tools, or JSON of one")


class PreferenceRow(RowModel):
    """TRL's preferences and completions, those of LLaMA-Factory and of Anthropic among them."""

    prompt: Any = Field(None, description="a text, or a list of turns")
    question: AnyText = Field("", description="a text")
    instruction: AnyText = Field("", description="a text")
    input: AnyText = Field("", description="a text")
    conversations: Listed = Field(None, description=LISTED)
    chosen: Any = Field(None, description="a text, or a list of turns")
    chosen_messages: Listed = Field(None, description=LISTED)
    completion: Any = Field(None, description="a text, or a list of turns")
    system: Any = Field(None, description="a text")
    system_prompt: AnyText = Field("", description="a text")
    tools: Any = Field(None, description="a list of tools, or JSON of one")


class OasstRow(RowModel):
    """A message of OASST's trees."""

    message_id: Id = Field(description=ID)
    parent_id: Any = Field(None, description="the id of the message that it answers, null for the first")
    text: Text = Field(description=TEXT)
    role: Any = Field(None, description="who says it")


class TreeRow(RowModel):
    """A whole tree of OASST, begun by its prompt."""

    message_tree_id: Id = Field(description=ID)
    prompt: dict[str, Any] = Field(description="an object with a text")


class LimaRow(RowModel):
    """A conversation of LIMA, turns of user and assistant by turns."""

    conversations: list[Text] = Field(min_length=1, description="a list of at least one text that is not blank")
