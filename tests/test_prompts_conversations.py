"""Chat data as it is: conversations, preferences, tools, tables and packed files, and what is taken from each."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.prompts import Message, Prompt, read_prompts
from aftertune.prompts.prompt import to_row

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
    "question about a context": (
        {"question": "When?", "context": "It was opened in 1898.", "answers": {"text": ["1898"]}},
        (Message("user", "When?\n\nInput: It was opened in 1898.\n\nOutput:"),),
        None,
    ),
    "text": ({"text": "Name a river."}, (RIVER,), None),
    "system that says nothing": ({"messages": turns(Message("system", " "), RIVER, RHINE)}, (RIVER,), "Rhine"),
    "answer that says nothing": ({"messages": turns(RIVER, Message("assistant", ""))}, (RIVER,), None),
    "assistant first": ({"conversations": turns(RHINE, MORE, ELBE, **SHAREGPT)}, (RHINE, MORE), "Elbe"),
    "turns written as JSON": ({"messages": json.dumps(turns(RIVER, RHINE))}, (RIVER,), "Rhine"),
    "turns written by Python": ({"messages": repr(turns(RIVER, RHINE))}, (RIVER,), "Rhine"),
    "no calls": ({"messages": [{"role": "user", "content": "Name a river.", "tool_calls": []}]}, (RIVER,), None),
    "system beside and within": ({"system": "Be short.", "messages": turns(SYSTEM, RIVER)}, (SYSTEM, RIVER), None),
    "OASST tree": ({"message_tree_id": "t", "prompt": {"text": "Name a river.", "replies": [{}]}}, (RIVER,), None),
    # the sample files of LLaMA-Factory
    "LLaMA-Factory, SFT": ({"instruction": "Name a river.", "input": "", "output": "Rhine"}, (RIVER,), None),
    "LLaMA-Factory, DPO": (
        {"conversations": turns(RIVER, **SHAREGPT), "chosen": {"from": "gpt", "value": "Rhine"}, "rejected": {}},
        (RIVER,),
        "Rhine",
    ),
    "LLaMA-Factory, Alpaca DPO": (
        {"instruction": "Sum up.", "input": "a b", "chosen": "c", "rejected": "d"},
        (Message("user", "Sum up.\n\nInput: a b\n\nOutput:"),),
        "c",
    ),
    "LLaMA-Factory, KTO": ({"messages": turns(RIVER, RHINE), "label": True}, (RIVER,), "Rhine"),
    "LLaMA-Factory 1, SFT": (
        {"messages": [{**one, "content": [{"type": "text", "value": one["content"]}]} for one in turns(RIVER, RHINE)]},
        (RIVER,),
        "Rhine",
    ),
    "LLaMA-Factory 1, DPO": (
        {"chosen_messages": turns(SYSTEM, RIVER, RHINE), "rejected_messages": turns(SYSTEM, RIVER, ELBE)},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "system beside a preference": (
        {"system": "Be short.", "prompt": "Name a river.", "chosen": "Rhine"},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "Orca's preferences": (
        {"system": "Be short.", "question": "Name a river.", "chosen": "Rhine", "rejected": "Bonn"},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "system as a turn": (
        {"system": [{"role": "user", "content": "Be short."}], "prompt": turns(RIVER), "chosen": turns(RHINE)},
        (SYSTEM, RIVER),
        "Rhine",
    ),
    "preference of several turns": (
        {"chosen": turns(RIVER, RHINE, MORE, ELBE), "rejected": turns(RIVER, RHINE, MORE, RHINE)},
        (RIVER, RHINE, MORE),
        "Elbe",
    ),
    "Anthropic's transcript": (
        {"chosen": "\n\nHuman: Name a river.\n\nAssistant: Rhine\n\nHuman: And another?\n\nAssistant: Elbe"},
        (RIVER, RHINE, MORE),
        "Elbe",
    ),
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


CALL = {"name": "weather", "arguments": {"city": "Bonn"}}
CALLED = {"tool_calls": [{"type": "function", "function": CALL}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    "tools", [TOOLS, json.dumps(TOOLS), [TOOLS[0]["function"]], json.dumps([TOOLS[0]["function"]])]
)
@pytest.mark.parametrize(
    "turn",
    [
        {"from": "function_call", "value": json.dumps(CALL)},
        {"role": "assistant", "content": "", "tool_calls": [{"function": CALL}]},
        {"role": "assistant", "function_call": CALL, "content": None, "tool_calls": None},
        {"role": "assistant", "content": [{"type": "tool_call", "value": json.dumps(CALL)}]},
    ],
)
def test_every_way_to_write_a_call(tmp_path: Path, tools: Any, turn: dict[str, Any]) -> None:
    given = {"from": "observation", "value": "21 degrees"}
    row = {"conversations": [{"from": "human", "value": "How warm is it?"}, turn, given], "tools": tools}
    found = only(tmp_path, row)
    assert found.messages[1].content == "" and json.loads(found.messages[1].more) == CALLED
    assert (json.loads(found.tools), found.response) == (TOOLS, None)


def test_what_is_written_as_a_row_is_read_the_same(tmp_path: Path) -> None:
    calls = [{"id": "c1", "type": "function", "function": CALL}]
    turn = {"role": "assistant", "content": "", "reasoning": "Rivers.", "tool_calls": calls}
    given = {"role": "tool", "name": "weather", "tool_call_id": "c1", "content": "21"}
    for row in ({"messages": [*turns(RIVER), turn, given], "tools": TOOLS}, {"prompt": "Name a river."}):
        found = only(tmp_path, row)
        assert only(tmp_path, to_row(found)) == found


def test_reasoning_is_kept_for_the_template(tmp_path: Path) -> None:
    parts = [{"type": "reasoning", "value": "Rivers."}, {"type": "text", "value": "Rhine"}]
    for turn in ({"content": parts}, {"content": "Rhine", "reasoning": "Rivers."}):
        found = only(tmp_path, {"messages": [*turns(RIVER), {"role": "assistant", **turn}, *turns(MORE)]})
        assert found.messages[1] == Message("assistant", "Rhine", '{"reasoning_content": "Rivers."}')


def test_columns_of_parquet_have_every_key(tmp_path: Path) -> None:
    """What is null in a row is not there: other rows have it."""
    file = io.BytesIO()
    calls = [{"function": {"name": name, "arguments": {name: "x"}}} for name in ("a", "b")]
    rows = [{"messages": [*turns(RIVER), {"role": "assistant", "tool_calls": [call]}, *turns(MORE)]} for call in calls]
    pl.DataFrame(rows).write_parquet(file)
    found = [json.loads(one.messages[1].more)["tool_calls"][0]["function"] for one in read(tmp_path, file.getvalue())]
    assert [one["arguments"] for one in found] == [{"a": "x"}, {"b": "x"}]


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
SPREAD = "\n".join(json.dumps(row, indent=1) for row in ROWS)
FILES = {
    "csv, semicolons": table(";"),
    "bzip2": bz2.compress(LINES.encode()),
    "xz": lzma.compress(LINES.encode()),
    "utf-32": LINES.encode("utf-32"),
    "objects over several lines": SPREAD.encode(),
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


def test_a_list_of_turns_is_a_conversation(tmp_path: Path) -> None:
    """On each line, or in each item of a list."""
    lines = [json.dumps(turns(RIVER, RHINE)), json.dumps(turns(MORE, ELBE))]
    for content in ("\n".join(lines), f"[{','.join(lines)}]"):
        assert [(one.messages, one.response) for one in read(tmp_path, content.encode())] == [
            ((RIVER,), "Rhine"),
            ((MORE,), "Elbe"),
        ]


def test_a_table_of_texts_holds_ratings_and_lists(tmp_path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["Prompt", "instruction_spans", "response", "helpfulness"])
    writer.writeheader()
    writer.writerow(
        {"Prompt": "Name a river.", "instruction_spans": '["Name"]', "response": "Rhine", "helpfulness": "4"}
    )
    assert read(tmp_path, text.getvalue().encode()) == [
        Prompt("row-0001", (RIVER,), spans=((0, 4, 0),), response="Rhine", ratings={"": 4})
    ]
