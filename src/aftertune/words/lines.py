"""The lines of a text file, plain or compressed, one at a time, so that its size does not matter.

The address is any that fsspec opens. What ends in .gz, .bz2 or .xz is unpacked on the way; of a .zip archive the only
file is read, or the one that is named after "::", as in ``glove.6B.zip::glove.6B.100d.txt``.

Words and the rows of numbers that belong to them, before anything is checked or left out.

Every reader of word vectors returns one; what is common to all of them happens in `aftertune.words.vectors`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from pathlib import PurePosixPath
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from aftertune.addresses import place_of
from aftertune.errors import WordError
from aftertune.places import opened

LONGEST_LINE = 2**24  # a book on one line has a tenth of it
REMEDY = "Give the path of one that is there."
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(address: str) -> Iterator[tuple[int, bytes]]:
    """Each line with its number from 1, without its end; raises `WordError` if the file cannot be read.

    A line has at most 16 MiB.
    """
    with _open(address) as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), 1):
            if len(line) > LONGEST_LINE:
                raise WordError(f"{address}, line {number} is longer than 16 MiB. Break it into lines.")
            yield number, (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).rstrip(b"\r\n")


def decode_line(address: str, number: int, line: bytes) -> str:
    """The text of a line; raises `WordError` if it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = f"byte 0x{line[error.start]:02X} on line {number}"
        raise WordError(f"{address} is not UTF-8: {bad}. Save it as UTF-8.") from None


def address_of(source: str | PathLike[str]) -> str:
    """The address as text; raises `WordError` if it is blank, which would be taken for the current folder."""
    address = fspath(source)
    if not address.strip():
        raise WordError(f"The address is {address!r}. Give the path or address of a file.")
    return address


def ending(address: str) -> str:
    """How a file's name ends, without what tells of compression: ".txt" of words.txt.gz and of a.zip::words.txt."""
    name = PurePosixPath(file_name(address).rpartition("::")[2])
    return PurePosixPath(name.stem if name.suffix.lower() in COMPRESSED else name).suffix.lower()


def file_name(address: str) -> str:
    """The last part of an address, which says what was read and not on whose machine."""
    return PurePosixPath(place_of(address)).name


@contextmanager
def _open(address: str) -> Iterator[IO[bytes]]:
    archive, _, member = address.partition("::")
    if archive.lower().endswith(".zip"):
        with (
            opened(archive, WordError, REMEDY) as file,
            ZipFile(file) as unpacked,
            unpacked.open(_member(archive, unpacked, member)) as lines,
        ):
            yield lines
    else:
        with opened(address, WordError, REMEDY, compression="infer") as file:
            yield file


def _member(archive: str, unpacked: ZipFile, member: str) -> str:
    names = [info.filename for info in unpacked.infolist() if not info.is_dir()]
    if member in names or (not member and len(names) == 1):
        return member or names[0]
    asked = f"has no {member}" if member else f"holds {len(names)} files"
    raise WordError(
        f"{archive} {asked}. Name one of its files, as in {file_name(archive)}::{names[0] if names else 'FILE'}. "
        f"It holds: {', '.join(names) or 'nothing'}."
    )


Rows = npt.NDArray[np.int64]
Wanted = frozenset[str] | None
"""The lower-cased words to keep, in whatever case they are written; None keeps all."""


@dataclass(frozen=True, eq=False)
class Table:
    """``take`` gives the numbers of some rows, (n_rows, d_vector), so that the others need never be read."""

    words: Sequence[Any]
    shape: tuple[int, ...]
    take: Callable[[Rows], Any]
    source: str

    @classmethod
    def of_array(cls, words: Sequence[Any], array: npt.NDArray[Any], source: str) -> "Table":
        """The table of an array that is in memory already."""
        return cls(words, array.shape, array.__getitem__, source)


def is_wanted(word: str, wanted: Wanted) -> bool:
    """Whether a word is to be kept."""
    return wanted is None or word.lower() in wanted
