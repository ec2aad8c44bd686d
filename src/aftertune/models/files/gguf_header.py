"""Does the header of a GGUF file fit into its file?  Asked before the gguf package reads it, which believes any number.

A header holds fields (a key, a type, a value) and then what is said of the tensors
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). It may announce an array of 2^60 numbers in a file of a
hundred bytes, which would be read one by one, without end.
"""

import struct
from pathlib import Path
from typing import IO

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
DEEPEST = 4
MOST_DIMENSIONS = 8


def must_fit_its_file(file: Path) -> None:
    """Raise `ValueError` for a header that announces more than the file holds."""
    with file.open("rb") as opened:
        start = opened.read(8)
        if start[:4] != MAGIC or len(start) < 8:
            raise ValueError("it does not begin as a GGUF file")
        order = "<" if struct.unpack("<I", start[4:])[0] & 0xFFFF else ">"
        header = _Header(opened, file.stat().st_size, order)
        n_tensors, n_fields = header.number("Q"), header.number("Q")
        for _ in range(n_fields):
            header.skip(header.number("Q"))
            header.skip_value(header.number("I"))
        for _ in range(n_tensors):
            header.skip(header.number("Q"))
            n_dimensions = header.number("I")
            if n_dimensions > MOST_DIMENSIONS:
                raise ValueError(f"a tensor has {n_dimensions} dimensions")
            header.skip(8 * n_dimensions + 4 + 8)


class _Header:
    def __init__(self, opened: IO[bytes], size: int, order: str) -> None:
        self._opened, self._size, self._order = opened, size, order

    def number(self, kind: str) -> int:
        content = self._opened.read(struct.calcsize(kind))
        if len(content) < struct.calcsize(kind):
            raise ValueError("its header ends too early")
        return int(struct.unpack(f"{self._order}{kind}", content)[0])

    def skip(self, n_bytes: int) -> None:
        if n_bytes > self._size - self._opened.tell():
            raise ValueError(f"its header announces {n_bytes:,} bytes, which it does not hold")
        self._opened.seek(n_bytes, 1)

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind == STRING:
            self.skip(self.number("Q"))
        elif kind == ARRAY and depth < DEEPEST:
            inner, n = self.number("I"), self.number("Q")
            if inner in SIZES:
                self.skip(SIZES[inner] * n)
                return
            for _ in range(n):  # each takes 8 bytes at least, so that the file ends before a wrong number does
                self.skip_value(inner, depth + 1)
        elif kind in SIZES:
            self.skip(SIZES[kind])
        else:
            raise ValueError(f"it has a field of the unknown type {kind}")
