"""A GGUF file is parsed once; what changed on disk is read again, and what is given out is a copy."""

from pathlib import Path

import gguf as package
import numpy as np
import pytest
import torch

from aftertune.models.files import gguf, gguf_parsed


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


def test_a_header_is_parsed_once_as_long_as_its_file_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    for number, name in enumerate(("one", "another")):
        writer = package.GGUFWriter(file, "llama")
        writer.add_name(name)
        writer.add_tensor("w", np.full((2, 32), number, dtype=np.float32))
        for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
            write()
        writer.close()
        found, before = gguf_parsed.parsed(file), (package.GGUFReader, package.get_tensor_name_map)
        assert found.get_field("general.name").contents() == name and found.tensors[0].data.max() == number
        with gguf_parsed.for_transformers():
            assert package.GGUFReader(str(file)) is found
            maps = [package.get_tensor_name_map(package.MODEL_ARCH.LLAMA, 2) for _ in range(2)]
            assert maps[0] is maps[1]
        assert (package.GGUFReader, package.get_tensor_name_map) == before
