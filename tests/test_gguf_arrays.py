"""Arrays of a GGUF file are read quickly: nothing that comes out is another than what the gguf package reads."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from transformers.modeling_gguf_pytorch_utils import read_field

from aftertune.models.files.gguf_arrays import QuickReader

KINDS: dict[str, tuple[gguf.GGUFValueType, list[Any]]] = {
    "uint8": (gguf.GGUFValueType.UINT8, [0, 255]),
    "int8": (gguf.GGUFValueType.INT8, [-128, 127]),
    "uint16": (gguf.GGUFValueType.UINT16, [0, 65535]),
    "int16": (gguf.GGUFValueType.INT16, [-3, 300]),
    "uint32": (gguf.GGUFValueType.UINT32, [0, 2**32 - 1]),
    "int32": (gguf.GGUFValueType.INT32, [-(2**31), 7]),
    "uint64": (gguf.GGUFValueType.UINT64, [2**64 - 1]),
    "int64": (gguf.GGUFValueType.INT64, [-(2**63), 1]),
    "float32": (gguf.GGUFValueType.FLOAT32, [0.1, float("-inf"), 3.0]),
    "float64": (gguf.GGUFValueType.FLOAT64, [0.1]),
    "bool": (gguf.GGUFValueType.BOOL, [True, False]),
    "string": (gguf.GGUFValueType.STRING, ["Ġword", "", "日本", "a\nb", "end"]),
}


def written(path: Path, order: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE) -> Path:
    """A file with an array of each kind, one of arrays, single values, and a tensor."""
    writer = gguf.GGUFWriter(path, "llama", endianess=order)
    for name, (kind, values) in KINDS.items():
        writer.add_key_value(f"a.{name}", values, gguf.GGUFValueType.ARRAY, kind)
    writer.add_array("a.nested", [[1, 2], [3, 4]])
    writer.add_string("b.text", "after the arrays")
    writer.add_tensor("blk.0.weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    return path


@pytest.mark.parametrize("order", gguf.GGUFEndian)
def test_fields_and_tensors_are_those_of_the_package(tmp_path: Path, order: gguf.GGUFEndian) -> None:
    file = str(written(tmp_path / "a.gguf", order))
    theirs, ours = gguf.GGUFReader(file), QuickReader(file)
    assert list(theirs.fields) == list(ours.fields) and len(ours.fields) >= len(KINDS) + 2
    for name, field in theirs.fields.items():
        assert field.types == ours.fields[name].types
        assert field.contents() == ours.fields[name].contents(), name
        if name != "a.nested":  # transformers reads none of these
            assert read_field(theirs, name) == read_field(ours, name), name
    if order is gguf.GGUFEndian.LITTLE:
        assert all(ours.get_field(f"a.{name}").contents() == pytest.approx(values) for name, (_, values) in NUMBERS)
        assert ours.get_field("a.string").contents() == KINDS["string"][1]
    for one, other in zip(theirs.tensors, ours.tensors, strict=True):
        assert (one.name, one.data_offset, one.n_elements) == (other.name, other.data_offset, other.n_elements)
        np.testing.assert_array_equal(one.data, other.data)


NUMBERS = [(name, known) for name, known in KINDS.items() if name != "string"]


def test_a_string_that_would_end_beyond_the_file_ends_the_reading(tmp_path: Path) -> None:
    file = written(tmp_path / "a.gguf")
    content = file.read_bytes()
    place = content.index(struct.pack("<Q", 6) + "日本".encode())
    file.write_bytes(content[:place] + struct.pack("<Q", 2**40) + content[place + 8 :])
    with pytest.raises(struct.error):
        QuickReader(str(file))


def test_a_file_that_is_parsed_first_for_transformers_is_parsed_too(tmp_path: Path) -> None:
    file = written(tmp_path / "a.gguf")
    code = f"""
import gguf
from pathlib import Path
from aftertune.models.files.gguf_parsed import for_transformers
with for_transformers():
    print(gguf.GGUFReader({str(file)!r}).get_field("b.text").contents())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "after the arrays\n"
