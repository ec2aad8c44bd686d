"""Tiny checkpoints on disk, and the command line called in this process (fixtures of them: `cli_fixtures`)."""

import contextlib
import hashlib
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.utils import logging

from tiny import make_model, make_tokenizer

PROMPTS = (
    "the cat sat",
    "rewrite the text",
    "answer the question on the mat",
    "the mat",
    "sat on the cat",
    "Input: the text. Output:",
)
SHORT = ("--max-new-tokens", "4", "--device", "cpu")
QUICK = (*SHORT, "--check", "1", "--skip", "outputs", "--skip", "location", "--skip", "heads", "--skip", "concepts")
CHECKSUM = re.compile(rb',\s*"sha256": "[0-9a-f]{64}"(?=\s*\}\s*$)')
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class CommandLine:
    """``aftertune`` in this process, in an empty folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys

    def run(self, *arguments: str | Path) -> Ended:
        """Run it to its end; an exception that would be a traceback fails the test."""
        from aftertune.cli import main

        self._monkeypatch.setattr("sys.argv", ["aftertune", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended, third_party_warnings():
            main()
        captured = self._capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    def succeeds(self, *arguments: str | Path) -> str:
        """Run it; it must end well. Returns standard output."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended.err
        return ended.out

    def refuses(self, *arguments: str | Path) -> str:
        """Run it; it must end with 2, one message on one line, and nothing written. Returns the message."""
        before = snapshot(self.folder)
        ended = self.run(*arguments)
        assert (ended.code, ended.out) == (2, ""), ended
        *told, message = ended.err.splitlines()
        assert not told or told[0].startswith("base  "), "what a comparison chose, if it was refused after that"
        assert message.startswith("aftertune: ") and message.endswith((".", "?")), ended
        assert snapshot(self.folder) == before
        return message.removeprefix("aftertune: ")

    def refuses_usage(self, *arguments: str | Path) -> str:
        """Run it; it must end with 2 and say in one line what it can't understand. Returns the message."""
        return self.refuses(*arguments)


def snapshot(folder: Path) -> dict[str, str]:
    """Every file and folder below ``folder`` with its content's digest, wherever the folder lies."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(content(path)).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def content(path: Path) -> bytes:
    """What a file holds; places of tests, which the commands to copy name, are all the same one."""
    found = re.sub(re.escape(tempfile.gettempdir().encode()) + rb"/[^\s\"'<>\\&]*", b"PLACE", path.read_bytes())
    return CHECKSUM.sub(b"", found) if path.suffix == ".json" else found  # it is of the places too


def save_checkpoint(folder: Path, seed: int = 0, family: str = "llama") -> Path:
    """A tiny model with its tokenizer, as a folder."""
    logging.disable_progress_bar()
    make_model(family, seed=seed).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def save_prompts(path: Path, prompts: Sequence[str | dict[str, Any]] = PROMPTS) -> Path:
    """A prompt file with the ids p0, p1, ..."""
    rows = [
        {"id": f"p{index}", **(row if isinstance(row, dict) else {"prompt": row})} for index, row in enumerate(prompts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def edit_weights(file: Path, edit: Callable[[Weights], Weights | None]) -> None:
    """Change a safetensors file; ``edit`` changes the dictionary or returns another."""
    weights = load_file(file)
    save_file(edit(weights) or weights, file, {"format": "pt"})


def doubled(part: str) -> Callable[[Weights], Weights]:
    """An edit that doubles the weights with ``part`` in their names."""
    return lambda weights: {name: weight * (2 if part in name else 1) for name, weight in weights.items()}


def edit_json(file: Path, **fields: Any) -> None:
    """Set fields of a JSON file; None takes a field out."""
    content = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@contextlib.contextmanager
def third_party_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="(torch|transformers|peft|altair)")
        yield
