"""Chat data as it is: conversations, preferences, tools, tables and packed files, and what is taken from each."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.prompts import Message, Prompt, read_prompts

SYSTEM, RIVER, RHINE = Message("system", "Be short."), Message("user", "Name a river."), Message("assistant", "Rhine")
MORE = Message("user", "And another?")


def only(folder: Path, row: Any) -> Prompt:
    (prompt,) = read(folder, json.dumps(row).encode())
    return prompt


def read(folder: Path, content: bytes) -> list[Prompt]:
    (folder / "rows").write_bytes(content)
    return read_prompts(folder / "rows")


def turns(*messages: Message, role: str = "role", content: str = "content", **names: str) -> list[dict[str, str]]:
    return [{role: names.get(one.role, one.role), content: one.content} for one in messages]


SHAREGPT = {"role": "from", "content": "value", "user": "human", "assistant": "gpt"}
ELBE = Message("assistant", "Elbe")
CASES: dict[str, tuple[dict[str, Any], tuple[Message, ...], str | None]] = {
    "ShareGPT": (
        {"conversations": turns(SYSTEM, RIVER, RHINE, MORE, ELBE, **SHAREGPT)},
        (SYSTEM, RIVER, RHINE, MORE),
        "Elbe",
    ),
    "ShareGPT with the system beside": (
        {"system": "Be short.", "conversations": turns(RIVER, RHINE, **SHAREGPT)},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "ShareGPT that ends with a question": ({"conversations": turns(RIVER, **SHAREGPT)}, (RIVER,), None),
    "WildChat": ({"conversation": turns(RIVER, RHINE), "model": "x"}, (RIVER,), "Rhine"),
    "OpenAI": ({"messages": turns(SYSTEM, RIVER, RHINE)}, (SYSTEM, RIVER), "Rhine"),
    "developer": ({"messages": turns(SYSTEM, RIVER, system="developer")}, (SYSTEM, RIVER), None),
    "parts": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Name a river."}]}]}, (RIVER,), None),
    "UltraChat": ({"prompt": "Name a river.", "messages": turns(RIVER, RHINE)}, (RIVER,), "Rhine"),
    "system beside the prompt": ({"prompt": "Name a river.", "system": "Be short."}, (SYSTEM, RIVER), None),
    "TRL conversation": ({"prompt": turns(RIVER), "chosen": turns(RHINE), "rejected": turns(ELBE)}, (RIVER,), "Rhine"),
    "TRL texts": ({"prompt": "Name a river.", "chosen": "Rhine", "rejected": "Bonn"}, (RIVER,), "Rhine"),
    "TRL whole": ({"chosen": turns(RIVER, RHINE), "rejected": turns(RIVER, ELBE)}, (RIVER,), "Rhine"),
    "UltraFeedback": ({"prompt": "Name a river.", "chosen": turns(RIVER, RHINE)}, (RIVER,), "Rhine"),
    "TRL completion": ({"prompt": "Name a river.", "completion": "Rhine"}, (RIVER,), "Rhine"),
    "OpenOrca": (
        {"system_prompt": "Be short.", "question": "Name a river.", "response": "Rhine"},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "question": ({"question": "Name a river.", "answer": "Rhine"}, (RIVER,), "Rhine"),
    "text": ({"text": "Name a river."}, (RIVER,), None),
    "history": (
        {"instruction": "And another?", "input": "", "system": "Be short.", "history": [["Name a river.", "Rhine"]]},
        (SYSTEM, RIVER, RHINE, MORE),
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_form_of_conversation(tmp_path: Path, name: str) -> None:
    row, messages, response = CASES[name]
    found = only(tmp_path, row)
    assert (found.messages, found.response) == (messages, response)


def test_tools_are_read_as_their_calls_and_what_they_give(tmp_path: Path) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    asked = {"role": "user", "content": "How warm is it?"}
    called = {"role": "assistant", "content": None, "tool_calls": calls}
    given = {"role": "tool", "tool_call_id": "c1", "content": "21 degrees"}
    found = only(tmp_path, {"messages": [asked, called, given, {"role": "assistant", "content": "It is 21 degrees."}]})
    assert [one.role for one in found.messages] == ["user", "assistant", "tool"]
    assert json.loads(found.messages[1].more) == {"tool_calls": calls} and found.response == "It is 21 degrees."
    assert json.loads(found.messages[2].more) == {"tool_call_id": "c1"}


def test_the_context_of_dolly_is_part_of_the_prompt(tmp_path: Path) -> None:
    row = {"instruction": "When was it built?", "context": "It was opened in 1898.", "response": "1898"}
    found = only(tmp_path, row | {"category": "closed_qa"})
    assert found.text == "When was it built?\n\nInput: It was opened in 1898.\n\nOutput:"
    assert (found.spans, found.context, found.dataset) == (((0, 18, 0),), "It was opened in 1898.", "dolly")


def test_the_instruction_of_a_task_with_a_history_is_the_last_turn(tmp_path: Path) -> None:
    found = only(tmp_path, {"instruction": "Again.", "input": "x", "history": [["a", "b"]]})
    assert found.spans == ((0, 6, 2),) and found.text.startswith("Again.")


def test_of_trees_the_first_messages_are_prompts(tmp_path: Path) -> None:
    first = {"message_id": "m1", "parent_id": None, "role": "prompter", "text": "Name a river."}
    reply = {"message_id": "m2", "parent_id": "m1", "role": "assistant", "text": "Rhine"}
    rows = read(tmp_path, "\n".join(map(json.dumps, (first, reply))).encode())
    assert rows == [Prompt("m1", (RIVER,), "oasst")]


ROWS = [{"id": "a", "prompt": 'Say "hi", please.\nNow.'}, {"id": "b", "prompt": "Name a river."}]


def table(separator: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "prompt"], delimiter=separator)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(file)
    return file.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
FILES = {
    "csv": table(","),
    "tsv": table("\t"),
    "parquet": parquet(),
    "gzip": gzip.compress(LINES.encode()),
    "csv, gzip": gzip.compress(table(",")),
    "utf-16": LINES.encode("utf-16"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_prompts(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, FILES[name]) == read(tmp_path, LINES.encode())


def test_turns_in_parquet(tmp_path: Path) -> None:
    file = io.BytesIO()
    pl.DataFrame([{"messages": turns(SYSTEM, RIVER, RHINE)}]).write_parquet(file)
    (found,) = read(tmp_path, file.getvalue())
    assert (found.messages, found.response) == ((SYSTEM, RIVER), "Rhine")
