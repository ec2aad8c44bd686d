"""Prompt files that cannot be used: each gives one message with the place, what was given and what is allowed."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import PromptError
from aftertune.prompts import read_prompts

GOOD = '{"prompt": "a"}\n'


def refusal(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(PromptError) as caught:
        read_prompts(path, strict=True)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text.removeprefix(str(path))


FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", " is empty. Give a file with one JSON object a line, one prompt each."),
    "byte order mark only": (b"\xef\xbb\xbf", " is empty. Give a file with one JSON object a line, one prompt each."),
    "blank": ("\n \r\n\n", " holds only blank lines. Give a file with one JSON object a line, one prompt each."),
    "line 7": (
        GOOD * 6 + "{prompt: 1}\n",
        ", line 7 is not JSON: expecting property name enclosed in double quotes, column 2. "
        "Each line must be one whole JSON object.",
    ),
    "text": ('"a"', ', line 1 is "a". Each must be a JSON object such as {"prompt": "..."}.'),
    "number": (GOOD + "5", ', line 2 is 5. Each must be a JSON object such as {"prompt": "..."}.'),
    "list in a line": (GOOD + "[1]", ', line 2 is [1]. Each must be a JSON object such as {"prompt": "..."}.'),
    "list of numbers": ("[1, 2]", ', item 1 is 1. Each must be a JSON object such as {"prompt": "..."}.'),
    "empty list": ("[]", " is an empty list. Give at least one prompt."),
    "zip": (b"PK\x03\x04abc", " is a zip archive or a spreadsheet. Unpack it, or save it as CSV."),
    "Zstandard": (b"\x28\xb5\x2f\xfdabc", " is packed by Zstandard. Unpack it, or pack it by gzip."),
    "turns": (
        '[{"role": "user", "content": "a"}]',
        ', item 1: it is one turn alone. Put the turns of a conversation into one row: {"messages": [...]}.',
    ),
    "broken list": (
        '[{"prompt": "a"},\n{"prompt" "b"}]',
        ", line 2 is not JSON: expecting ':' delimiter, column 11. "
        'A file that starts with "[" must be one JSON list.',
    ),
    "half a gzip file": (
        b"\x1f\x8b\x08\x00",
        " is no whole gzip file: Compressed file ended before the end-of-stream marker was reached. Download it again.",
    ),
    "other columns": (
        "frage;antwort\na;b\n",
        " is neither JSON nor a table whose first line, in commas or tabs, has one of the columns chosen, "
        "conversation, conversations, instruction, messages, prompt, question, text. It begins: 'frage;antwort'. Of "
        'texts make lines such as {"text": "..."}.',
    ),
    "table": (
        "prompt,id\na,1\nb\n",
        ", row 2 has other columns than the first line. Put texts that hold a separator or a line end in quotes.",
    ),
    "not UTF-8": (
        GOOD.encode() + b'{"prompt": "caf\xe9"}',
        " is not UTF-8: byte 0xE9 at position 31, on line 2. Save it as UTF-8.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    assert refusal(tmp_path / "p", content) == expected


def test_nesting_too_deep_for_a_parser_is_not_json(tmp_path: Path) -> None:
    assert ", line 1 is not JSON: " in refusal(tmp_path / "p", '{"prompt": ' + "[" * 200_000)


def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"^There is no file at .*none\.jsonl\. Give the path"):
        read_prompts(tmp_path / "none.jsonl")
    with pytest.raises(PromptError, match=r" is a folder\. Give the path of a prompt file\.$"):
        read_prompts(tmp_path)
    with pytest.raises(PromptError, match=r"nowhere://a could not be read: Protocol not known"):
        read_prompts("nowhere://a")


@pytest.mark.parametrize("limit", [0, -3])
def test_limits(tmp_path: Path, limit: int) -> None:
    with pytest.raises(PromptError, match=f"The limit is {limit}. Give at least 1"):
        read_prompts(tmp_path / "none", limit)


def spans(*given: Any) -> dict[str, Any]:
    return {"prompt": "Add 1 and 2.", "instruction_spans": list(given)}


def roles(*given: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": "a"} for role in given]}


KNOWN = (
    "A row must have one of: chosen or chosen_messages or completion (TRL); message_tree_id (OASST trees); prompt or "
    "messages (Aftertune's own); conversations or conversation (ShareGPT); conversations (LIMA); turns (MT-Bench); "
    "instances (Self-Instruct); instruction (Alpaca); question (OpenOrca); message_id (OASST); text (plain)."
)
RATING = " It must be 1, 2, 3 or 4, or null if unrated."
TEXT = " It must be a text that is not blank."
OUTSIDE = " does not lie in the prompt of 12 characters. Give 0 <= start < end <= 12."
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "empty prompt": ({"prompt": ""}, "\"prompt\" is ''." + TEXT),
    "blank prompt": ({"prompt": " \n\t"}, "\"prompt\" is ' \\n\\t'." + TEXT),
    "prompt of another kind": ({"prompt": ["a"]}, "\"prompt\" is ['a']." + TEXT),
    "half a character": ({"prompt": "a\ud800"}, "\"prompt\" is 'a\\ud800'." + TEXT),
    "both": (
        {"prompt": "b"} | roles("user"),
        'it has both "prompt" and "messages", which begin with another question. Keep one of them.',
    ),
    "no user": (
        roles("system", "assistant"),
        'the roles of "messages" are: system, assistant. One of them must be user.',
    ),
    "no turn": (
        {"messages": []},
        'no turn of "messages" says anything. One must be of the user, with a text.',
    ),
    "two answers": (
        roles("user", "assistant") | {"response": "b"},
        'its "messages" end with an answer, and it has a "response" as well. Keep one of them.',
    ),
    "role": (
        roles("user", "narrator"),
        "\"messages.1.role\" is 'narrator'. It must be one of system, developer, user, human, prompter, assistant, "
        "gpt, chatgpt, bot, bard, bing, model, function_call, tool_call, tool, function, observation, ipython, "
        "tool_response.",
    ),
    "picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "\"messages.0.content.0\" is a part of the kind 'image_url'. Only text can be read; leave the row out.",
    ),
    "pictures": (
        {"messages": [{"role": "user", "content": "<image>Who?"}], "images": ["a.jpg"]},
        'it has "images". Only text can be read; leave the row out.',
    ),
    "rows within": (
        {"version": 1, "data": [{"prompt": "a"}]},
        "it has neither prompt nor messages, nor a field of another known form. Its fields: version, data. Its rows "
        f"may be those of 'data': give a file that holds that list alone. {KNOWN}",
    ),
    "tokens": (
        {"input_ids": [1, 2], "labels": [1, 2]},
        "it has neither prompt nor messages, nor a field of another known form. Its fields: input_ids, labels. Tokens "
        f"(input_ids) are no prompt: give the texts that they were made from. {KNOWN}",
    ),
    "two systems": (
        {"system": "b", "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "a"}]},
        'its "system" and the system turn of its conversation differ. Keep one of them.',
    ),
    "turn that says nothing": (
        {
            "conversations": [
                {"from": "human", "value": "a"},
                {"from": "gpt", "value": ""},
                {"from": "human", "value": "b"},
            ]
        },
        "\"conversations.1.value\" is ''. It must be a text that is not blank.",
    ),
    "call without a name": (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"id": "c"}]}]},
        "\"messages.1.content\" calls {'id': 'c'}. A call must have the name of a function.",
    ),
    "call that is no JSON": (
        {"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "weather()"}]},
        "\"conversations.1.value\" is 'weather()'. It must be the call of a tool, as JSON.",
    ),
    "tools": (
        {"prompt": "a", "tools": "weather"},
        "\"tools\" is 'weather'. It must be a list of tools, or JSON of one.",
    ),
    "turn of text": ({"messages": ["a"]}, "\"messages.0\" is 'a'. It must be a turn with role and content."),
    "content of another kind": (
        {"messages": [{"role": "user", "content": 5}]},
        '"messages.0.content" is 5. It must be a text, or a list of parts.',
    ),
    "chosen": ({"prompt": "a", "chosen": 5}, '"chosen" is 5. It must be a list of turns with role and content.'),
    "turn without content": (
        {"messages": [{"role": "user"}]},
        'the field "messages.0.content" is missing. Give it: a text that is not blank.',
    ),
    "id": ({"prompt": "a", "id": 1.5}, '"id" is 1.5. It must be a text that is not blank, or a whole number.'),
    "truth as id": (
        {"prompt": "a", "id": True},
        '"id" is True. It must be a text that is not blank, or a whole number.',
    ),
    "rating 5": ({"prompt": "a", "helpfulness": 5}, '"helpfulness" is 5.' + RATING),
    "rating 0": ({"prompt": "a", "x_helpfulness": 0}, '"x_helpfulness" is 0.' + RATING),
    "rating good": ({"prompt": "a", "vicuna_helpfulness": "good"}, "\"vicuna_helpfulness\" is 'good'." + RATING),
    "rating 2.5": ({"prompt": "a", "helpfulness": 2.5}, '"helpfulness" is 2.5.' + RATING),
    "rating true": ({"prompt": "a", "helpfulness": True}, '"helpfulness" is True.' + RATING),
    "response": (
        {"prompt": "a", "response": ""},
        "\"response\" is ''. It must be a text that is not blank; leave it out to have it generated.",
    ),
    "foreign span": (
        spans("Add 1", "Add 3"),
        "the span 'Add 3' does not stand in the prompt. A span must be copied from the prompt letter by letter; "
        "correct it, or give [start, end] in characters.",
    ),
    "empty span": (spans(""), "the span '' is empty. Take it out, or give a piece of the prompt."),
    "span beyond": (spans([0, 13]), "the span [0, 13]" + OUTSIDE),
    "span before": (spans([-1, 3]), "the span [-1, 3]" + OUTSIDE),
    "span reversed": (spans([5, 2]), "the span [5, 2]" + OUTSIDE),
    "span of nothing": (spans([5, 5]), "the span [5, 5]" + OUTSIDE),
    "span of another kind": (
        spans([0, 1, 0, 0]),
        "the span [0, 1, 0, 0] is neither a text nor a pair. Each of instruction_spans must be a piece of the prompt, "
        "or [start, end] in characters.",
    ),
    "span of another message": (
        spans([0, 1, 2]),
        "the span [0, 1, 2] names message 2, not a user's. Messages count from 0; the user's: [0].",
    ),
    "no span": (
        spans(),
        '"instruction_spans" is []. '
        "It must be a list of at least one piece of the prompt; leave it out to mean all of it.",
    ),
    "unknown form": (
        {"id": 1, "title": "a", "prompt": None},
        "it has neither prompt nor messages, nor a field of another known form. Its fields: id, title. " + KNOWN,
    ),
    "history": (
        {"instruction": "a", "history": [["b"]]},
        "\"history.0\" is ['b']. It must be a list of [question, answer].",
    ),
    "alpaca input": ({"instruction": "a", "input": 5}, '"input" is 5. It must be a text.'),
    "self-instruct": (
        {"id": "a", "instances": [{"input": "b"}]},
        'the field "instruction" is missing. Give it: a text that is not blank.',
    ),
    "mt-bench": (
        {"question_id": 1, "category": "c", "turns": []},
        '"turns" is []. It must be a list of at least one text that is not blank.',
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "a"}, {"value": "b"}]},
        'the field "conversations.1.role" is missing. Give it: who says it.',
    ),
    "long": ({"prompt": ["x" * 100]}, f'"prompt" is [\'{"x" * 58}....' + TEXT),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(tmp_path: Path, name: str) -> None:
    row, expected = ROWS[name]
    assert refusal(tmp_path / "p", "\n" + json.dumps(row)) == f", line 2: {expected}"


def test_ids_that_are_not_unique(tmp_path: Path) -> None:
    lines = [{"id": "a", "prompt": "x"}, {"id": 1, "prompt": "x"}, {"id": "1", "prompt": "x"}]
    assert refusal(tmp_path / "p", "\n\n".join(map(json.dumps, lines))) == (
        ", line 5: the id '1' stands on line 3 as well. Ids must be unique; change one."
    )


def test_forms_that_are_mixed(tmp_path: Path) -> None:
    assert refusal(tmp_path / "p", GOOD + '{"instruction": "a"}') == (
        ", line 2: its form is Alpaca, that of line 1 is Aftertune's own. Put each form into a file of its own."
    )
