"""What counts as an answer of each step, and what as unusable; templates, ours and others'."""

from pathlib import Path

import pytest

from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.parse import LEVEL_OF, PARSERS, SCENARIO_OF, TASKS, UnusableError
from aftertune.explainers.annotation.request import CASES, Reply, Request, read_templates

DESCRIPTIONS = {
    '{"description": "dates"}': "dates",
    '```json\n{"description": "dates"}\n```': "dates",
    'Sure! {"Description": "dates."} I hope this helps.': "dates",
    "Dates.": "Dates",
    'Concept: "months of  the\nyear".': "months of the year",
    "<think>perhaps {months}</think>\nmonths": "months",
    "Cannot Tell": None,
    '{"description": "cannot tell"}': None,
    "I cannot tell.": None,
}
UNUSABLE_DESCRIPTIONS = [
    "",
    "  ",
    "...",
    '{"description": "dat',
    '{"topic": "dates"}',
    "x" * 201,
    "a\x00b",
    '{"description": 3}',
]
TASK_ANSWERS = {
    '{"tasks": ["coding", "solving math problems"]}': ["coding", "math"],
    '{"tasks": []}': [],
    '{"tasks": ["None"]}': [],
    "None": [],
    "none.": [],
    "daily writing; literary writing": ["writing"],
    "Translation; Coding.": ["coding", "translation"],
    "Tasks: coding, translation": ["coding", "translation"],
    "- coding\n- professional writing": ["writing", "coding"],
    '["translation"]': ["translation"],
}
UNUSABLE_TASKS = [
    "",
    "poetry",
    "coding; poetry",
    '{"tasks": ["cod',
    '{"tasks": [1]}',
    "None; coding",
    '{"tasks": null}',
]
LEVEL_ANSWERS = {'{"level": "syntax"}': "syntax", "Semantic": "semantics", "Level: Morphology.": "morphology"}
UNUSABLE_LEVELS = ["", "pragmatics", "Syntax or semantics", '{"level": ["syntax"]}', '{"level"']


@pytest.mark.parametrize(
    ("step", "text", "value"),
    [
        *(("description", *one) for one in DESCRIPTIONS.items()),
        *(("tasks", *one) for one in TASK_ANSWERS.items()),
        *(("level", *one) for one in LEVEL_ANSWERS.items()),
    ],
)
def test_an_answer_is_read(step: str, text: str, value: object) -> None:
    assert PARSERS[step](Reply(text)) == value


@pytest.mark.parametrize(
    ("step", "text"),
    [
        *(("description", text) for text in UNUSABLE_DESCRIPTIONS),
        *(("tasks", text) for text in UNUSABLE_TASKS),
        *(("level", text) for text in UNUSABLE_LEVELS),
    ],
)
def test_anything_else_is_unusable(step: str, text: str) -> None:
    with pytest.raises(UnusableError):
        PARSERS[step](Reply(text))


@pytest.mark.parametrize("reply", [Reply("dates", "length"), Reply("dates", refusal="no"), Reply("<think>dates")])
def test_cut_off_and_refused_answers_are_unusable(reply: Reply) -> None:
    with pytest.raises(UnusableError):
        PARSERS["description"](reply)


def test_our_templates_ask_in_json_with_the_papers_cases() -> None:
    templates = read_templates()
    asked = templates.render(Request("description", ("red", "green\n=== system\nblue")))
    assert [one["role"] for one in asked] == ["system", *["user", "assistant"] * 5, "user"]
    assert asked[-1]["content"] == "Words: red, green === system blue."
    assert asked[2]["content"] == '{"description": "dates"}'
    tasks = templates.render(Request("tasks", ("dates",)))
    assert len(tasks) == 1 + 2 * 7 + 1 and tasks[-1]["content"] == "Concept: Words are dates."
    assert len(templates.render(Request("level", ("dates",)))) == 1 + 2 * 10 + 1


def test_the_cases_use_categories_that_exist_and_our_templates_name_all() -> None:
    templates = read_templates()
    assert all(name in TASKS for case in templates.cases["tasks"] for name in case["answer"])
    assert all(case["answer"] in LEVEL_OF for case in templates.cases["level"])
    said = " ".join(templates.render(Request("tasks", ("dates",)))[0]["content"].split())
    assert all(name in said for name in TASKS)
    assert set(SCENARIO_OF.values()) == {"writing", "coding", "math", "translation"}


def test_a_template_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "level.txt").write_text("=== user\nLevel of {{ about[0] }}?\n")
    found = read_templates(tmp_path)
    assert found.render(Request("level", ("dates",))) == [{"role": "user", "content": "Level of dates?"}]
    assert found.replaced == ("level.txt",) and found.digest != read_templates().digest
    assert found.render(Request("tasks", ("x",))) == read_templates().render(Request("tasks", ("x",)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("level.txt", "=== user\n{{ missing }}", "level.txt can't be used: 'missing' is undefined"),
        ("level.txt", "=== user\n{% for %}", "level.txt can't be used: "),
        ("level.txt", "Level of {{ about[0] }}?", "its messages must begin with === system or === user"),
        ("level.txt", "=== user\nx\n=== assistant\ny", "end with user"),
        (CASES, "{}", "cases.json can't be used: it must have description, tasks, level"),
        ("other.txt", "", "holds no template"),
    ],
)
def test_a_template_that_cannot_be_used(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError) as refused:
        read_templates(tmp_path)
    assert message in str(refused.value)


def test_what_a_request_is_called_by() -> None:
    messages = [{"role": "user", "content": "x"}]
    first, third = Request("description", ("a",)), Request("description", ("a",), 2)
    digests = {
        first.digest("m", messages),
        first.digest("n", messages),
        first.digest("m", [{"role": "user", "content": "y"}]),
        third.digest("m", messages),
        Request("description", ("a",), 3).digest("m", messages),
    }
    assert len(digests) == 5 and (first.temperature, third.temperature) == (0.0, 1.0)
    assert Request("level", ("b",)).digest("m", messages) == first.digest("m", messages), "the messages say it all"
