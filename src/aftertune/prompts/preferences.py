"""A row with a preference, or a completion -> its prompt, with what was chosen as the response.

What is asked is, in this order: the conversation that what was chosen holds as a whole; ``prompt``, ``conversations``,
``question`` or ``instruction`` with ``input``; the transcript of Anthropic's sets, which begins with "Human:".
"""

import re
from typing import Any

from aftertune.errors import PromptError
from aftertune.prompts.conversations import ROLES, USER, read_turns, written_list
from aftertune.prompts.files import Row
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.row_models import PreferenceRow
from aftertune.prompts.rows import Made, name_of, task, with_system
from aftertune.prompts.turns import read_tools

TRANSCRIPT = re.compile(r"\s*(?:\n\n|\A)(Human|Assistant):\s*")
Turns = list[Any]


def from_preference(row: Row, given: PreferenceRow) -> Made:
    """The prompt, with what was preferred, or completes it, as the response."""
    field = next(name for name in ("chosen", "chosen_messages", "completion") if getattr(given, name) is not None)
    said = _turns(getattr(given, field), "assistant")
    asked = [] if _holds_question(said) else _asked(given)
    if not asked and isinstance(getattr(given, field), str):
        said = _transcript(getattr(given, field))
    found = read_turns([*asked, *said] if isinstance(said, list) else said, field)
    messages = with_system(_system(given), found.messages)
    tools, id = read_tools(given.tools), name_of(row, given.id)
    prompt = Prompt(id, messages, "preferences", response=found.answer, tools=tools)
    return Made([prompt], (*found.unused, *_second_questions(given, asked)))


def _asked(given: PreferenceRow) -> Turns:
    """The turns that the answer is to."""
    for asked in (given.prompt, given.conversations, given.question):
        turns = _turns(asked, "user") if asked else []
        if turns:
            return turns if isinstance(turns, list) else [turns]
    if not given.instruction.strip():
        return []
    made = task("", "", given.instruction, given.input)
    return [{"role": "user", "content": made.text}]


def _turns(given: Any, role: str) -> Any:
    """A text as a turn of a role, and one turn as a list."""
    given = written_list(given)
    if isinstance(given, str):
        return [{"role": role, "content": given}] if given.strip() else []
    return [given] if isinstance(given, dict) else given


def _holds_question(turns: Any) -> bool:
    listed = [one for one in turns if isinstance(one, dict)] if isinstance(turns, list) else []
    return USER in [ROLES.get(str(one.get("role", one.get("from"))).lower()) for one in listed]


def _transcript(text: str) -> Turns:
    """The turns of a text in which Human and Assistant speak by turns."""
    _, *pieces = TRANSCRIPT.split(text)
    names = {"Human": "user", "Assistant": "assistant"}
    return [{"role": names[name], "content": said} for name, said in zip(pieces[::2], pieces[1::2], strict=True)]


def _system(given: PreferenceRow) -> str:
    """What the system says: a text, or one turn (some write it as such)."""
    system = given.system if given.system is not None else given.system_prompt
    if isinstance(system, list) and len(system) == 1 and isinstance(system[0], dict):
        system = system[0].get("content")
    if not isinstance(system, str):
        raise PromptError(f'"system" is {system!r:.60}. It must be a text.')
    return system


def _second_questions(given: PreferenceRow, asked: Turns) -> list[str]:
    """Fields with a question that another one stands in place of; a whole conversation says what its prompt says."""
    filled = [name for name in ("conversations", "question", "instruction") if getattr(given, name)]
    return filled[1:] if asked and not given.prompt else filled
