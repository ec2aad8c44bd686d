"""A real server, a real chat model: `transformers serve` with SmolLM2 annotates a few concepts by the command line."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from aftertune.demo import find_demo_base
from aftertune.errors import CheckpointError
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS, recall_annotations
from aftertune.models import load
from aftertune.runs.run import RunFolder
from annotation_samples import save_concepts

pytestmark = pytest.mark.slow

MONTHS, CODE = ["January", "April", "July", "March"], ["python", "java", "javascript", "html"]
START_SECONDS = 900
LONGEST_ANSWER_SECONDS = 8.0
# One example for each step in place of ours: a fifth of the tokens to read, which is what takes the time.
CASES = {
    "description": [{"about": ["red", "blue", "green"], "answer": "colours"}],
    "tasks": [{"about": ["foreign names"], "answer": ["translation"]}],
    "level": [{"about": ["colours"], "answer": "semantics"}],
}


@contextmanager
def transformers_serve(model: str, log: Path) -> Iterator[str]:
    """The address of `transformers serve` with ``model``, in a process of its own that ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model, "--host", "127.0.0.1"]
    with log.open("w") as said:
        offline = os.environ | {"HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen([*command, "--port", str(port)], stdout=said, stderr=said, env=offline)
    try:
        wait_until_it_answers(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # an answer that nobody waits for any more
            process.kill()
            process.wait()


def wait_until_it_answers(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    started = time.monotonic()
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() - started < START_SECONDS, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.2)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SmolLM2 as a folder that the server can read: of its GGUF file it does not know the architecture.

    The server draws at random only where the model's own settings say so.
    """
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi (the group test)")
    try:
        checkpoint = load(find_demo_base())
    except CheckpointError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("smollm2")
    model: Any = checkpoint.model
    model.generation_config.do_sample = True
    model.generation_config.max_time = LONGEST_ANSWER_SECONDS  # so small a model may never end of itself
    model.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    return str(folder)


def answers(run: Path) -> dict[str, dict[str, object]]:
    return {one.name: json.loads(one.read_text()) for one in run.rglob("answers/*/*.json")}


def test_a_real_server_annotates_and_is_asked_nothing_twice(smollm2: str, tmp_path: Path) -> None:
    run = save_concepts(tmp_path / "run", {"base": [[MONTHS, CODE]], "tuned": [[MONTHS]]})
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "cases.json").write_text(json.dumps(CASES))
    log = tmp_path / "log"
    with transformers_serve(smollm2, log) as address:
        command = [sys.executable, "-m", "aftertune", "annotate", str(run), "--server", address, "--model", smollm2]
        command += ["--repeats", "2", "--templates", str(tmp_path / "cases")]
        first = subprocess.run(command, capture_output=True, text=True, check=False)
        assert first.returncode == 0, first.stderr + log.read_text()
    asked, kept = log.read_text().count("POST /v1/chat/completions"), answers(run)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, "no server is needed where everything is answered"
    assert again.stdout == first.stdout and answers(run) == kept

    about = recall_annotations(RunFolder.open(run))
    assert about is not None and sum(about["counts"]["requests"].values()) == asked == len(kept)
    assert about["counts"]["requests"]["description"] == 4, "two lists of words, twice"
    assert all(int(str(answer["output_tokens"])) > 0 for answer in kept.values())
    must_be_allowed(pl.read_parquet(next(run.rglob("annotations.parquet"))))


def must_be_allowed(found: pl.DataFrame) -> None:
    """Every category is one of those allowed, or its step is counted as unusable, or there was nothing to ask of."""
    assert found.height == 3 * 2
    for row in found.iter_rows(named=True):
        for column, step, allowed in (("scenarios", "tasks", SCENARIOS), ("level", "level", LEVELS)):
            given = row[column]
            if row["description"] is None or step in row["unparsed"]:
                assert given is None
            else:
                assert set(given if step == "tasks" else [given]) <= set(allowed)
