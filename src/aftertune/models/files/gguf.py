"""The GGUF file that was read last, kept: to parse and dequantise one takes as long as much of a comparison.

A study reads a file for its settings, its tokenizer, the base, and the base below an adapter. What came out is kept
until another file is read, weights only where they take a small part of the free memory. What is given out is a copy.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from aftertune.models.machine import is_small

_kept: dict[tuple[Any, ...], Any] = {}


def read_once(file: Path, *what: Any, read: Callable[[], Any]) -> Any:
    """What ``read`` gives of a file, or a copy of what it gave the last time, if the file is still the same."""
    about = file.stat()
    state = (file.resolve(), about.st_mtime_ns, about.st_size)
    if any(key[:3] != state for key in _kept):
        _kept.clear()
    if (*state, *what) in _kept:
        return deepcopy(_kept[*state, *what])
    found = read()
    if all(is_small(one) for one in (found if isinstance(found, tuple) else ()) if isinstance(one, nn.Module)):
        _kept[*state, *what] = deepcopy(found)
    return found
