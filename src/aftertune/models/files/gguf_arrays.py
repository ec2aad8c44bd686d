"""The gguf package's reader, quick at arrays: it makes four numpy arrays of each word, which takes seconds.

1. A string of an array is a view of its bytes, a number a row of one numpy array. Nothing else is read otherwise.
"""

import struct
from typing import Any

import numpy as np
from gguf.gguf_reader import GGUFReader, GGUFValueType  # gguf itself may have another one for a while

from aftertune.models.files.gguf_header import ARRAY, SIZES, STRING

START, LENGTH = struct.Struct("=IQ"), struct.Struct("=Q")
Parts = tuple[int, list[Any], list[int], list[Any]]  # bytes read, parts, which of them are values, types


class QuickReader(GGUFReader):  # type: ignore[misc]
    """A GGUF file's fields and tensors, as `gguf.GGUFReader` gives them."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> Parts:
        if raw_type != ARRAY or self.byte_order != "I":
            return super()._get_field_parts(orig_offs, raw_type)  # type: ignore[no-any-return]
        inner, n = START.unpack_from(self.data, orig_offs)
        if not n or (inner != STRING and inner not in SIZES):
            return super()._get_field_parts(orig_offs, raw_type)  # type: ignore[no-any-return]
        first = orig_offs + START.size
        values, end = self._strings(first, n) if inner == STRING else self._numbers(first, n, inner)
        types = [GGUFValueType.ARRAY, GGUFValueType(inner)]
        return end - orig_offs, [np.uint32(inner), np.uint64(n), *values], list(range(2, 2 + n)), types

    def _strings(self, place: int, n: int) -> tuple[list[memoryview], int]:
        found, content = [], memoryview(self.data)
        for _ in range(n):
            start = place + LENGTH.size
            place = start + LENGTH.unpack_from(content, place)[0]
            found.append(content[start:place])
        return found, place

    def _numbers(self, place: int, n: int, kind: int) -> tuple[list[Any], int]:
        numbers = np.asarray(self._get(place, self.gguf_scalar_to_np[GGUFValueType(kind)], n))
        return list(numbers.reshape(-1, 1)), place + int(numbers.nbytes)
