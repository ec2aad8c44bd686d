"""A GGUF file is parsed once; what changed on disk is read again, and what is given out is a copy."""

from pathlib import Path

import pytest
import torch

from aftertune.models.files import gguf


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "_kept", {})


def test_a_file_is_read_once_and_copies_are_given(tmp_path: Path) -> None:
    file, read = tmp_path / "a.gguf", []
    file.write_text("one")

    def model() -> tuple[torch.nn.Linear, dict[str, int]]:
        read.append(file.read_text())
        return torch.nn.Linear(3, 2), {"missing": 0}

    first, _ = gguf.read_once(file, "weights", torch.float32, read=model)
    kept = first.weight.clone()
    with torch.no_grad():
        first.weight.zero_()
    second, about = gguf.read_once(file, "weights", torch.float32, read=model)
    assert read == ["one"] and torch.equal(second.weight, kept) and about == {"missing": 0}
    gguf.read_once(file, "weights", torch.bfloat16, read=model)
    assert gguf.read_once(file, "tokenizer", read=lambda: ["x"]) == ["x"] and len(read) == 2
    file.write_text("another")
    gguf.read_once(file, "weights", torch.float32, read=model)
    assert read == ["one", "one", "another"] and len(gguf._kept) == 1


def test_large_weights_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "is_small", lambda _: False)
    file, read = tmp_path / "a.gguf", []
    file.write_text("one")
    for _ in range(2):
        gguf.read_once(file, "weights", read=lambda: (torch.nn.Linear(3, 2), read.append(1)))
    assert len(read) == 2
