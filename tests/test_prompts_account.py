"""Nothing is dropped in silence: rows that are skipped, rows that are no prompts, fields that nobody reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftertune.errors import PromptError
from aftertune.prompts import read_prompts
from aftertune.prompts.account import Account
from aftertune.prompts.formats import read_with_account

TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def account(folder: Path, *rows: Any, n_prompts: int = 1) -> Account:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    prompts, found = read_with_account(file, None, strict=False)
    assert len(prompts) == n_prompts
    return found


UNUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "Alpaca": ({"instruction": "a", "output": "b"}, ["output"]),
    "Dolly": ({"instruction": "a", "context": "b", "response": "c", "category": "d"}, ["category", "response"]),
    "Alpaca and Dolly": ({"instruction": "a", "input": "b", "context": "c"}, []),
    "own": (
        {"prompt": "a", "helpfulness": 4, "x_helpfulness": 1, "vicuna_response": "b", "n": 0},
        ["n", "vicuna_response"],
    ),
    "blank": ({"prompt": "a", "note": "", "topics": [], "none": None}, []),
    "context elsewhere": ({"prompt": "a", "context": "b"}, ["context"]),
    "context within": ({"prompt": "a b", "context": "b"}, []),
    "turns": ({"messages": [{**TURNS[0], "weight": 1, "name": "x"}]}, ["messages.name", "messages.weight"]),
    "turns after the answer": (
        {"messages": [*TURNS, {"role": "assistant", "content": "c"}]},
        ["messages after the last question"],
    ),
    "answer that thinks": (
        {"messages": [TURNS[0], {**TURNS[1], "reasoning_content": "c"}]},
        ["messages (what the answer thinks or calls)"],
    ),
    "preference": ({"prompt": "a", "chosen": "b", "rejected": "c", "score": 1.5}, ["rejected", "score"]),
    "two questions": ({"prompt": "a", "question": "b", "chosen": "c"}, ["question"]),
    "LIMA": ({"conversations": ["a", "b"]}, ["conversations after the first"]),
    "MT-Bench": ({"question_id": 1, "category": "c", "turns": ["a", "b"]}, ["turns after the first"]),
    "Self-Instruct": ({"instruction": "a", "instances": [{"input": "b", "output": "c"}]}, ["instances.output"]),
    "OASST tree": ({"message_tree_id": "t", "prompt": {"text": "a", "replies": [{}]}}, ["prompt.replies"]),
    "question": ({"question": "a", "answer": 3, "choices": ["b"]}, ["answer", "choices"]),
}


@pytest.mark.parametrize("name", UNUSED)
def test_fields_that_are_not_used_are_named(tmp_path: Path, name: str) -> None:
    row, unused = UNUSED[name]
    assert sorted(account(tmp_path, row).unused) == unused


def test_how_many_rows_have_them(tmp_path: Path) -> None:
    found = account(tmp_path, *({"prompt": str(n), "a": 1} | ({"b": 1} if n else {}) for n in range(3)), n_prompts=3)
    assert found.unused == {"a": 3, "b": 2} and found.sentences == ["Not used of the rows: a, b (2 rows)."]
    many = account(tmp_path, {"prompt": "a"} | {f"f{n}": 1 for n in range(10)})
    assert many.sentences[0].endswith("f6, f7, and 2 more.")


def test_rows_that_are_skipped_are_counted_with_the_first_reasons(tmp_path: Path) -> None:
    bad = ["{", {"prompt": ""}, {"title": "a"}, 5, {"instruction": "a"}]
    found = account(tmp_path, {"prompt": "a"}, *bad)
    assert (found.n_rows, found.n_skipped, len(found.reasons)) == (6, 5, 3)
    assert [one.split(" ")[1].rstrip(":") for one in found.reasons] == ["2", "3", "4"]
    assert found.sentences[0].startswith("5 of 6 rows were skipped: line 2 is not JSON: ")
    assert found.sentences[0].endswith("; and 2 more.")
    assert found.to_dict()["reasons"] == list(found.reasons)


def test_a_reader_is_warned_and_strict_refuses(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a"}\n{"prompt": ""}\n{"prompt": "b"}\n')
    with pytest.warns(UserWarning, match="1 of 3 rows was skipped: line 2: "):
        assert [one.text for one in read_prompts(file)] == ["a", "b"]
    with pytest.raises(PromptError, match="line 2: "):
        read_prompts(file, strict=True)
    assert [one.text for one in read_prompts(file, limit=1)] == ["a"]


def test_where_no_row_can_be_used_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r'line 1: "prompt" is .*\. None of its 2 rows can be used\.$'):
        account(tmp_path, {"prompt": ""}, {"prompt": 3})


def test_answers_of_trees_are_no_prompts(tmp_path: Path) -> None:
    rows = [{"message_id": str(n), "parent_id": "0" if n else None, "text": "a", "role": "x"} for n in range(3)]
    found = account(tmp_path, *rows)
    assert (found.n_replies, found.n_skipped) == (2, 0)
    assert found.sentences == ["2 rows answer another: no prompts."]
