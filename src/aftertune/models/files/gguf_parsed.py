"""The parsed header of the GGUF file that was read last, kept: its lists of tokens take seconds to parse.

Its size, its layers, its settings, its tokenizer and its weights are each read from it; the last three by transformers,
which parses it anew each time, and makes a map of all names of tensors for each module.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np


def parsed(file: Path) -> Any:
    """The gguf package's reader of a file, parsed once as long as the file is the same. Nobody writes into it."""
    about = file.stat()
    return _parsed(file.resolve(), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _parsed(file: Path, _modified: int, _size: int) -> Any:
    from aftertune.models.files.gguf_arrays import QuickReader  # gguf is loaded only where there is such a file

    with np.errstate(over="ignore"):  # a damaged place of a tensor is told by what is read there, not by numpy
        return QuickReader(str(file))


@contextmanager
def for_transformers() -> Iterator[None]:
    """Let transformers take the header that is kept, and make its map of names once."""
    import gguf

    package: Any = gguf
    reader, names = package.GGUFReader, package.get_tensor_name_map
    package.GGUFReader, package.get_tensor_name_map = lambda file, *_: parsed(Path(file)), cache(names)
    try:
        yield
    finally:
        package.GGUFReader, package.get_tensor_name_map = reader, names
