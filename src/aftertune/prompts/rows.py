"""A row of each form -> the prompts that it means.

Each function takes the row's place and what its model has checked (`row_models`), and gives prompts; `Made` names what
of the row was not used besides the fields that the model does not know. Preferences are in `preferences`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aftertune.errors import PromptError
from aftertune.prompts.conversations import Conversation, read_turns
from aftertune.prompts.files import Row
from aftertune.prompts.instruction import locate_spans
from aftertune.prompts.prompt import Message, Prompt
from aftertune.prompts.row_models import (
    ConversationRow,
    LimaRow,
    MtBenchRow,
    OasstRow,
    OwnRow,
    QuestionRow,
    SelfInstructRow,
    TaskRow,
    TextRow,
    TreeRow,
)
from aftertune.prompts.turns import read_tools


class Made(NamedTuple):
    """The prompts of a row, and the names of what it carries and nobody reads."""

    prompts: list[Prompt]
    unused: tuple[str, ...] = ()


def from_own(row: Row, given: OwnRow) -> Made:
    """One prompt; raises `PromptError` for both or wrong messages and for a span that is not in the prompt.

    The answer that ends the messages is the response.
    """
    found = _conversation(given)
    if found.answer and given.response is not None:
        raise PromptError('its "messages" end with an answer, and it has a "response" as well. Keep one of them.')
    messages, response = found.messages, given.response or found.answer
    spans = None if given.instruction_spans is None else locate_spans(given.instruction_spans, messages)
    ratings = {name.removesuffix("helpfulness").removesuffix("_"): rating for name, rating in given.ratings.items()}
    prompt = Prompt(
        name_of(row, given.id),
        messages,
        given.dataset,
        spans,
        given.context,
        response,
        ratings,
        read_tools(given.tools),
    )
    said = any(given.context in one.content for one in messages if one.role == "user")
    return Made([prompt], (*found.unused, *(() if said else ("context",))))


def from_task(row: Row, given: TaskRow) -> Made:
    """One prompt; the expected output is not taken as a response."""
    before = [*system_of(given.system)]
    for question, answer in given.history:
        before += [Message("user", question), Message("assistant", answer)]
    about = [one for one in (given.input, given.context) if one.strip()]
    dataset = "dolly" if given.context.strip() and len(about) == 1 else "alpaca"
    return Made([task(name_of(row, given.id), dataset, given.instruction, "\n\n".join(about), before)])


def from_question(row: Row, given: QuestionRow) -> Made:
    """The question; its answer is the response."""
    before = [*system_of(given.system_prompt or given.system)]
    answer = given.answer if isinstance(given.answer, str) else ""
    response = (given.response.strip() and given.response) or answer.strip() or None
    made = task(name_of(row, given.id), "questions", given.question, given.context, before, response)
    # Of a question alone all is the instruction, as of any text.
    prompt = made if given.context.strip() else Prompt(made.id, made.messages, made.dataset, response=response)
    return Made([prompt], () if answer or not given.answer else ("answer",))


def from_text(row: Row, given: TextRow) -> Made:
    """The text as it stands."""
    return Made([Prompt(name_of(row, given.id), (Message("user", given.text),), "texts")])


def from_conversation(row: Row, given: ConversationRow) -> Made:
    """The conversation up to the last turn of the user; the answer to it is the response."""
    field = "conversations" if given.conversations is not None else "conversation"
    found = read_turns(getattr(given, field), field)
    messages = with_system(given.system, found.messages)
    tools, id = read_tools(given.tools), name_of(row, given.id)
    return Made([Prompt(id, messages, "conversations", response=found.answer, tools=tools)], found.unused)


def from_oasst(_: Row, given: OasstRow) -> Made:
    """The first message of a tree; none for the others, which answer one."""
    first = Prompt(given.message_id, (Message("user", given.text),), "oasst")
    return Made([first] if given.parent_id is None else [])


def from_tree(_: Row, given: TreeRow) -> Made:
    """The prompt that a tree begins with."""
    text = given.prompt.get("text")
    if not isinstance(text, str) or not text.strip():
        raise PromptError('the field "prompt.text" is missing. Give it: a text that is not blank.')
    unused = ("prompt.replies",) if given.prompt.get("replies") else ()
    return Made([Prompt(given.message_tree_id, (Message("user", text),), "oasst")], unused)


def from_self_instruct(row: Row, given: SelfInstructRow) -> Made:
    """One prompt an instance; the second has the task's id with "-2", and so on."""
    name = name_of(row, given.id)
    names = [name if number == 1 else f"{name}-{number}" for number in range(1, len(given.instances) + 1)]
    tasks = zip(names, given.instances, strict=True)
    outputs = any(one.get("output") for one in row.value["instances"])
    made = [task(name, "self_instruct", given.instruction, instance.input) for name, instance in tasks]
    return Made(made, ("instances.output",) if outputs else ())


def from_mt_bench(_: Row, given: MtBenchRow) -> Made:
    """The first turn, with an id such as mtbench_writing_81."""
    id = f"mtbench_{given.category}_{given.question_id}"
    return Made([Prompt(id, (Message("user", given.turns[0]),), "mt_bench")], _later("turns", given.turns))


def from_lima(row: Row, given: LimaRow) -> Made:
    """The first turn, with an id such as lima_0 for the first row."""
    first = Prompt(f"lima_{row.index}", (Message("user", given.conversations[0]),), "lima")
    return Made([first], _later("conversations", given.conversations))


def system_of(text: str) -> tuple[Message, ...]:
    """What the system says, where it says anything."""
    return (Message("system", text),) if text.strip() else ()


def with_system(text: str, messages: Sequence[Message]) -> tuple[Message, ...]:
    """Messages after what the system says; raises `PromptError` where they begin with something else of the system."""
    before = system_of(text)
    if before and messages[0].role == "system":
        if messages[0].content.strip() != text.strip():
            raise PromptError('its "system" and the system turn of its conversation differ. Keep one of them.')
        return tuple(messages)
    return (*before, *messages)


def name_of(row: Row, id: str | None) -> str:
    """The id of a row's prompt."""
    return f"{row.kind}-{row.number:04d}" if id is None else id


def task(
    id: str,
    dataset: str,
    instruction: str,
    context: str,
    before: Sequence[Message] = (),
    response: str | None = None,
) -> Prompt:
    """An instruction with what it is about, the instruction marked."""
    text = f"{instruction}\n\nInput: {context}\n\nOutput:" if context.strip() else instruction
    spans = ((0, len(instruction), len(before)),)
    return Prompt(id, (*before, Message("user", text)), dataset, spans, context if context.strip() else "", response)


def _later(field: str, turns: Sequence[str]) -> tuple[str, ...]:
    return (f"{field} after the first",) if len(turns) > 1 else ()


def _conversation(given: OwnRow) -> Conversation:
    system = given.system or ""
    if given.messages is None:
        return Conversation((*system_of(system), Message("user", given.prompt or "")), None)
    found = read_turns(given.messages, "messages")
    if given.prompt is not None and given.prompt.strip() != found.first_question.strip():
        raise PromptError('it has both "prompt" and "messages", which begin with another question. Keep one of them.')
    return Conversation(with_system(system, found.messages), found.answer, found.unused)
