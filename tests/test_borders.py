"""What comes from outside: read up to a stated size, and whatever goes wrong there is said in one line of ours."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aftertune.errors import (
    LONGEST_MESSAGE,
    AttributionError,
    CheckpointError,
    PromptError,
    RunError,
    WordError,
    reason_of,
    shortened,
    translated,
)
from aftertune.explainers.attribution.importance import routes
from aftertune.explainers.attribution.importance.chunks import in_chunks
from aftertune.labelling.store import open_labels
from aftertune.models.files.limits import must_be_buildable, must_not_exceed
from aftertune.places import read_bytes, unpacked
from aftertune.prompts.formats import read_prompts
from aftertune.runs.identity import text_of
from aftertune.runs.run import RunFolder
from aftertune.study.saved import open_comparison
from aftertune.words import load_vectors, load_words
from aftertune.written import parse_yaml
from command_line import CommandLine, edit_json

pytest_plugins = ("cli_fixtures",)


def told(error: BaseException) -> str:
    with pytest.raises(RunError) as found, translated(RunError, "It is damaged", "Make it again."):
        raise error
    assert found.value.__cause__ is error
    return str(found.value)


def test_whatever_is_raised_becomes_ours() -> None:
    class PanicException(BaseException):
        pass

    assert told(ValueError("bad.\nmore")) == "It is damaged: bad. Make it again."
    assert told(PanicException("index out of range")) == "It is damaged: index out of range. Make it again."
    assert told(RecursionError()) == "It is damaged: it is nested too deeply. Make it again."
    assert told(MemoryError()) == "It is damaged: there is not enough memory for it. Make it again."
    assert told(KeyError("Validation error for field 'x':\n  it is odd")).count("it is odd") == 1
    for passes in (KeyboardInterrupt(), WordError("ours")):
        with pytest.raises(type(passes)), translated(RunError, "It is damaged", "Make it again."):
            raise passes


def test_a_heading_is_told_with_its_reason() -> None:
    assert reason_of(ValueError("Validation error for field 'x':\n    TypeError: it must be int.")) == (
        "Validation error for field 'x': TypeError: it must be int"
    )


def test_a_long_value_loses_its_middle() -> None:
    assert len(str(RunError(f"The name {'x' * 50_000} is long. Shorten it."))) < 400
    text = str(RunError(f"{'a b ' * 5_000} End."))
    assert len(text) <= LONGEST_MESSAGE + 1 and text.endswith(" End.")
    assert shortened("short") == "short"


@pytest.mark.parametrize("place", ["device", "pipe", "folder", "none"])
def test_only_files_are_read(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == "device":
        path.symlink_to("/dev/zero")
    if place == "pipe":
        os.mkfifo(path)
    if place == "folder":
        path.mkdir()
    with pytest.raises(RunError, match=f"no file at .*{place}|{place} is a {place}"):
        read_bytes(str(path), RunError)


def test_no_more_is_read_than_is_stated(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    with pytest.raises(RunError, match="holds more than 1 MiB"):
        read_bytes(str(tmp_path / "large"), RunError, most=2**20)
    with pytest.raises(PromptError, match="holds more than 1 MiB"):
        unpacked("a.gz", gzip.compress(bytes(2**20 + 1)), PromptError, most=2**20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: " + "9" * 6000, "digits"),
        ("a: 2024-13-45", "month must be in"),
        ("a: !!python/object:os.system {}", "no YAML"),
        ("a: &a [*a]", "nested more than 50"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"{n}: &{n} [{','.join(f'*{m}' for _ in range(10))}]\n"
         for m, n in zip("abcde", "bcdef", strict=True)), "more than 100,000 values"),
    ],
)  # fmt: skip
def test_yaml_that_is_too_much(text: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        parse_yaml(text, "a.yaml", RunError, "Mend it.")


def test_words_and_vectors_that_announce_too_much(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("9" * 5000 + " 300\ncat 1 2\n")
    with pytest.raises(WordError, match="line 1 says"):
        load_vectors(tmp_path / "v.txt")
    (tmp_path / "w.txt").write_text("cat\ndog\n" + "a" * 2000 + "\n")
    with pytest.raises(WordError, match="a word of 2,000 characters"):
        load_words(tmp_path / "w.txt")
    packed = io.BytesIO()
    np.savez_compressed(packed, words=np.array(["a"] * 3_000_000), vectors=np.zeros((3_000_000, 4), np.float32))
    (tmp_path / "v.npz").write_bytes(packed.getvalue())
    with pytest.raises(WordError, match="unpacks to more than 100 times"):
        load_vectors(tmp_path / "v.npz")


def test_vectors_of_bfloat16_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"vectors": torch.ones(2, 3, dtype=torch.bfloat16)}, tmp_path / "v.safetensors", {"words": '["a", "b"]'})
    with pytest.raises(WordError, match=r"of type BF16\. Save them as float32"):
        load_vectors(tmp_path / "v.safetensors")


def test_a_prompt_of_twenty_million_characters(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"prompt": "a" * 20_000_000}))
    with pytest.raises(PromptError, match="it has 20,000,000 characters"):
        read_prompts(tmp_path / "p.jsonl")


def test_layers_that_no_model_has(cli: CommandLine, broken: Path, tuned: Path) -> None:
    edit_json(broken / "config.json", num_hidden_layers=200_000)
    said = "The configuration of {} says num_hidden_layers = 200000. It must be 1 to 1,500."
    assert cli.refuses("compare", broken, tuned).startswith(said.format(broken))
    edit_json(broken / "config.json", num_hidden_layers=300)
    assert "says 300 layers, its weights have " in cli.refuses("compare", broken, tuned)


def test_a_model_that_is_larger_than_its_files(base: Path) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base)
    must_not_exceed(config, base, "base", "")
    config.vocab_size = 10**7
    with pytest.raises(CheckpointError, match=r"describes a model of .* weights, its files hold"):
        must_not_exceed(config, base, "base", "")
    with pytest.raises(CheckpointError, match=r"text_config|num_experts = 10000000"):
        must_be_buildable({"text_config": {"num_experts": 10**7}}, "base", "")


def _edit(run: Path, file: str, record: dict[str, Any]) -> None:
    found = json.loads((run / file).read_text())
    (run / file).write_text(text_of(found["identity"], found["record"] | record))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("base.json", "name", 3),
        ("names.json", "base", ["a"]),
        ("prompts.json", "prompts", [{"id": 3}]),
        ("prompts.json", "prompts", None),
        ("made.json", "prompts", 5),
        ("rows.json", "left_out", []),
        ("template.json", "lent_to", 3),
    ],
)
def test_a_record_of_another_type_is_named(run: Path, name: str, field: str, value: Any) -> None:
    _edit(run, name, {field: value})
    with pytest.raises(RunError, match=rf"{name} is damaged: record\.{field}"):
        open_comparison(run)
        from aftertune.study.saved import write_report

        write_report(run)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"prompt": "p0", "role": ["base"], "helpfulness": 3}, "role is"),
        ({"prompt": "p0", "spans": [[0, 10**9, 0]]}, "spans.0.1 is 1000000000"),
        ({"prompt": "p0", "spans": [[0, "x", 0]]}, "spans.0.1 is 'x'"),
    ],
)
def test_labels_of_another_type_are_named(run: Path, line: dict[str, Any], said: str) -> None:
    (run / "labels").mkdir(exist_ok=True)
    (run / "labels" / "ann.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(RunError, match=f"line 1 is damaged: {said}"):
        open_labels(run)


def test_labels_beyond_the_text_are_named(run: Path) -> None:
    (run / "labels").mkdir(exist_ok=True)
    (run / "labels" / "ann.jsonl").write_text(json.dumps({"prompt": "p0", "spans": [[0, 9_999, 0]]}) + "\n")
    with pytest.raises(RunError, match="The labels of 'p0' do not fit its text"):
        open_comparison(run)


@pytest.mark.parametrize(
    "place", ["http://localhost:1/run", "nowhere://run", "zip://a", "x" * 300, "~nobody_there/a", "/"]
)
def test_places_where_no_run_can_be(place: str) -> None:
    with pytest.raises(RunError, match="The run's folder"):
        RunFolder.start(place, {}, {})


def test_all_of_a_home_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.runs.run.remove_strays", lambda _: pytest.fail("looked through"))
    (tmp_path / "letters").mkdir()
    with pytest.raises(RunError, match="is not empty and holds no run"):
        RunFolder.start(tmp_path, {}, {})


def test_a_chunk_is_halved_until_it_fits() -> None:
    def compute(start: int, stop: int) -> int:
        if stop - start > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return stop - start

    assert [found for _, _, found in in_chunks(7, 7, compute)] == [1] * 7
    with pytest.raises(AttributionError, match="one direction at a time"):
        list(in_chunks(1, 1, lambda *_: compute(0, 9)))


def test_memory_that_runs_out_outside_of_chunks_is_one_line(
    cli: CommandLine, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr(routes, "make_batch", full)
    assert cli.refuses("attribute", base, "--prompt", "the cat", "--response", "sat", "--device", "cpu") == (
        "Memory ran out while prompts were attributed. Give a shorter prompt or response, or more memory."
    )


def test_sigterm_ends_as_ctrl_c_does() -> None:
    code = """
import sys, threading, os, signal, time
import typer
from aftertune.cli import app as module
@module.app.callback(invoke_without_command=True)
def wait():
    print("ready", flush=True)
    time.sleep(20)
sys.argv = ["aftertune"]
module.main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        late = threading.Timer(20, one.kill)
        late.start()
        assert one.stdout.readline() == "ready\n"
        one.send_signal(signal.SIGTERM)
        _, said = one.communicate()
        late.cancel()
    assert (one.returncode, said) == (
        143,
        "aftertune: interrupted. Run the same command again; it goes on where it stopped.\n",
    )


def test_a_gguf_header_that_announces_more_than_its_file(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    from aftertune.models.files.gguf_header import must_fit_its_file

    file = tmp_path / "m.gguf"
    writer = GGUFWriter(str(file), "llama")
    writer.add_block_count(1)
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((2, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    must_fit_its_file(file)
    whole = file.read_bytes()
    for at in (8, 16, whole.index(b"tokenizer.ggml.tokens") + 29):  # tensors, fields, tokens
        file.write_bytes(whole[:at] + (2**60).to_bytes(8, "little") + whole[at + 8 :])
        with pytest.raises(ValueError, match=r"ends too early|announces|unknown type|dimensions"):
            must_fit_its_file(file)
