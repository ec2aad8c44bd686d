"""Prompt files that can be read: every known form, and what is taken from it."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aftertune.demo import QUICK
from aftertune.errors import PromptError
from aftertune.prompts import Message, Prompt, read_prompts


def write_lines(folder: Path, *rows: Any) -> Path:
    path = folder / "prompts.txt"  # the name tells nothing: the content decides
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_all_fields_of_our_own_form(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "prompt": "Add them.\n\nInput: 1, 2\n\nOutput:",
        "dataset": "sums",
        "instruction_spans": ["Add them.", [18, 19]],
        "context": "1, 2",
        "response": "3",
        "helpfulness": 4,
        "vicuna_helpfulness": 1,
        "vicuna_response": "12",
        "llama_helpfulness": None,
        "reference": {"anything": "else"},
    }
    (prompt,) = read_prompts(write_lines(tmp_path, row))
    assert prompt == Prompt(
        id="7",
        messages=(Message("user", row["prompt"]),),
        dataset="sums",
        spans=((0, 9, 0), (18, 19, 0)),
        context="1, 2",
        response="3",
        ratings={"": 4, "vicuna": 1},
    )
    assert (prompt.rating("vicuna_7b"), prompt.rating("other")) == (1, 4)


def test_fields_left_out_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text('\n{"prompt": "a", "helpfulness": null, "messages": null}\r\n  \n{"prompt": "b"}', encoding="utf-8")
    first, second = read_prompts(path)
    assert first == Prompt(id="line-0002", messages=(Message("user", "a"),))
    assert second.id == "line-0004"


def test_messages_with_spans_in_the_user_turns(tmp_path: Path) -> None:
    turns = [("system", "Add."), ("user", "Add 1."), ("assistant", "Add 1."), ("user", "Now add 2.")]
    messages = [{"role": role, "content": content, "name": "x"} for role, content in turns]
    spans = ["Add", "add 2", [0, 3]]
    (prompt,) = read_prompts(write_lines(tmp_path, {"messages": messages, "instruction_spans": spans}))
    assert prompt.messages == tuple(Message(*turn) for turn in turns)
    assert prompt.spans == ((0, 3, 1), (4, 9, 3), (0, 3, 3))
    assert prompt.text == "Now add 2."


@pytest.mark.parametrize("as_list", [True, False])
def test_alpaca(tmp_path: Path, as_list: bool) -> None:
    rows = [
        {"instruction": "Sum up.", "input": "a b", "output": "c"},
        {"instruction": "Greet me.", "input": " ", "output": "Hi"},
        {"instruction": "Greet us.", "output": "Hi"},
    ]
    path = tmp_path / "p"
    path.write_text(json.dumps(rows, indent=1) if as_list else "\n".join(map(json.dumps, rows)), encoding="utf-8")
    first, second, third = read_prompts(path)
    kind = "item" if as_list else "line"
    text = Message("user", "Sum up.\n\nInput: a b\n\nOutput:")
    assert first == Prompt(f"{kind}-0001", (text,), "alpaca", ((0, 7, 0),), "a b")
    assert second == Prompt(f"{kind}-0002", (Message("user", "Greet me."),), "alpaca", ((0, 9, 0),))
    assert (third.text, third.response) == ("Greet us.", None)


def test_self_instruct_gives_one_prompt_an_instance(tmp_path: Path) -> None:
    instances = [{"input": "a", "output": "x"}, {"input": "", "output": "y"}]
    row = {"id": "user_oriented_task_3", "motivation_app": "Mail", "instruction": "Do it.", "instances": instances}
    first, second = read_prompts(write_lines(tmp_path, row))
    text = Message("user", "Do it.\n\nInput: a\n\nOutput:")
    assert first == Prompt("user_oriented_task_3", (text,), "self_instruct", ((0, 6, 0),), "a")
    assert second == Prompt("user_oriented_task_3-2", (Message("user", "Do it."),), "self_instruct", ((0, 6, 0),))


def test_mt_bench_and_lima_give_the_first_turn(tmp_path: Path) -> None:
    row = {"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."], "reference": []}
    assert read_prompts(write_lines(tmp_path, row)) == [
        Prompt("mtbench_writing_81", (Message("user", "Write."),), "mt_bench")
    ]
    rows = [{"conversations": [text, "answer"], "source": "wiki"} for text in ("a", "b")]
    assert read_prompts(write_lines(tmp_path, *rows)) == [
        Prompt(f"lima_{index}", (Message("user", text),), "lima") for index, text in enumerate("ab")
    ]


def test_byte_order_mark_and_line_separators_inside_a_text(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"\xef\xbb\xbf" + '{"prompt": "a\u2028b\u0085c"}\n'.encode())
    assert read_prompts(path)[0].text == "a\u2028b\u0085c"


def test_any_fsspec_address(tmp_path: Path) -> None:
    path = write_lines(tmp_path, {"prompt": "a"})
    assert read_prompts(f"file://{path}") == read_prompts(str(path)) == read_prompts(path)


def test_limit_reads_no_further_than_it_needs(tmp_path: Path) -> None:
    path = write_lines(tmp_path, {"prompt": "a"}, {"prompt": "b"}, {"prompt": ""})
    assert [prompt.text for prompt in read_prompts(path, limit=2)] == ["a", "b"]
    with pytest.raises(PromptError, match="line 3"):
        read_prompts(path, limit=3, strict=True)


class FakeHub:
    """Stands in for the package datasets: one data set with one split."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def load_dataset(self, name: str, *config: str, split: str) -> list[dict[str, Any]]:
        self.asked.append((name, *config, split))
        if split == "english":
            raise ValueError("Unknown split")
        if name == "org/several" and not config:
            raise ValueError(
                "Config name is missing.\nPlease pick one among the available configs: ['a', 'b']\nExample"
            )
        if name not in ("org/set", "org/several"):
            raise ConnectionError("no route to host\nand much more")
        return [{"prompt": "a", "id": None, "helpfulness": 2}, {"prompt": "b", "id": "x", "helpfulness": None}]


def test_hub_rows_go_through_the_same_parsers(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub()
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=hub.load_dataset))
    first, second = read_prompts("hub:org/set:test")
    assert first == Prompt("row-0001", (Message("user", "a"),), ratings={"": 2})
    assert second == Prompt("x", (Message("user", "b"),))
    read_prompts("hub:org/set", limit=1)
    read_prompts("hub:org/set:english:test")
    read_prompts("hub:org/set:english")  # a configuration, since it is no split
    asked = [("test",), ("train",), ("english", "test"), ("english",), ("english", "train")]
    assert hub.asked == [("org/set", *one) for one in asked]
    with pytest.raises(PromptError, match=r"split 'train' of org/none .*: no route to host Check the name"):
        read_prompts("hub:org/none")
    with pytest.raises(PromptError, match=r"Config name is missing\. Please pick one among .*: \['a', 'b'\]\. Check"):
        read_prompts("hub:org/several")
    assert read_prompts("hub:org/several:a")[1] == second
    with pytest.raises(PromptError, match="names no data set"):
        read_prompts("hub:")


def test_hub_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PromptError, match=r'pip install "aftertune\[datasets\]"'):
        read_prompts("hub:org/set")


def test_import_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, aftertune.prompts; sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_prompts_of_ours() -> None:
    short = read_prompts(QUICK["prompts"])
    assert len(short) == 2 and all(prompt.spans and len(prompt.text.split()) < 20 for prompt in short)
    prompts = read_prompts(str(files("aftertune") / "demo" / "prompts.jsonl"))
    assert len(prompts) == 12
    forms = [
        prompt.text.endswith("\n\nOutput:") and f"\n\nInput: {prompt.context}\n\n" in prompt.text for prompt in prompts
    ]
    assert sum(forms) == 7
    for prompt in prompts:
        assert prompt.dataset == "demo" and prompt.response is None and not prompt.ratings
        assert prompt.spans and not any("put:" in prompt.text[start:end] for start, end, _ in prompt.spans)
        assert prompt.context in prompt.text


def test_released_prompts(shared_data: Path) -> None:
    path = shared_data / "annotated_prompts.jsonl"
    prompts, rows = read_prompts(path), [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(prompts) == len(rows) == 332
    for prompt, row in zip(prompts, rows, strict=True):
        assert (prompt.id, prompt.text, prompt.context) == (row["id"], row["prompt"], row["context"])
        assert [prompt.text[start:end] for start, end, _ in prompt.spans or ()] == row["instruction_spans"]
        assert prompt.rating("vicuna_7b") == row.get("vicuna_helpfulness")
    assert len(read_prompts(shared_data / "instructions.jsonl")) == 2273
