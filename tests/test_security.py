"""SECURITY.md promises nothing that no test holds; and code that comes with a checkpoint does not run."""

import ast
import os
import pickle
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import CommandLine, edit_json
from pages import ROOT

pytest_plugins = ("cli_fixtures",)
DOCUMENT = (ROOT / "SECURITY.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/\w+\.py)::(test_\w+)`")
PROMISES = [
    line for line in DOCUMENT.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| Promise"))
]
RUNS = "import pathlib; pathlib.Path({place!r}).write_text('ran')\n"


@cache
def named_in(file: str) -> set[str]:
    """The names of the tests in a file, those in classes too."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_names_a_test_that_exists(promise: str) -> None:
    found = NAMED.findall(promise)
    assert found and all(name in named_in(file) for file, name in found), promise


def test_every_sender_has_promises_and_the_document_names_no_address() -> None:
    senders = DOCUMENT.split("\n### ")[1:]
    assert len(senders) >= 6 and all(NAMED.search(one) for one in senders)
    assert not re.search(r"\w@\w", DOCUMENT)


def test_code_of_a_checkpoint_is_not_run(cli: CommandLine, broken: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (broken / "own.py").write_text(RUNS.format(place=str(ran)) + "class Own: pass\n")
    places = {name: "own.Own" for name in ("AutoConfig", "AutoModelForCausalLM")}
    edit_json(broken / "config.json", model_type="own-model", architectures=["Own"], auto_map=places)
    edit_json(broken / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own")
    assert cli.run("attribute", broken, "--prompt", "the cat").code == 2 and not ran.exists()
    cli.run("attribute", broken, "--prompt", "the cat", "--trust-remote-code")
    assert ran.exists(), "it would have run"


class Planted:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("save", [torch.save, lambda held, file: Path(file).write_bytes(pickle.dumps(held))])
def test_pickled_weights_run_nothing(cli: CommandLine, broken: Path, tmp_path: Path, save: Any) -> None:
    (broken / "model.safetensors").unlink()
    save({"model.norm.weight": Planted(tmp_path / "ran")}, broken / "pytorch_model.bin")
    ended = cli.run("attribute", broken, "--prompt", "the cat")
    assert ended.code == 2 and not (tmp_path / "ran").exists()
