"""The lines of a text file, plain or compressed, one at a time, so that its size does not matter.

The address is any that fsspec opens. What ends in .gz, .bz2 or .xz is unpacked on the way; of a .zip archive the only
file is read, or the one that is named after "::", as in ``glove.6B.zip::glove.6B.100d.txt``.

Words and the rows of numbers that belong to them, before anything is checked or left out.

Every reader of word vectors returns one; what is common to all of them happens in `aftertune.words.vectors`.
"""

import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import fsspec
import numpy as np
import numpy.typing as npt

from aftertune.addresses import place_of
from aftertune.errors import WordError

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UNREADABLE = (OSError, ValueError, ImportError, RuntimeError, EOFError, zlib.error, lzma.LZMAError, BadZipFile)


def read_lines(address: str) -> Iterator[tuple[int, bytes]]:
    """Each line with its number from 1, without its end; raises `WordError` if the file cannot be read."""
    try:
        with _open(address) as file:
            for number, line in enumerate(file, 1):
                yield number, (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).rstrip(b"\r\n")
    except UNREADABLE as error:
        raise unreadable(address, error) from error


def decode_line(address: str, number: int, line: bytes) -> str:
    """The text of a line; raises `WordError` if it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = f"byte 0x{line[error.start]:02X} on line {number}"
        raise WordError(f"{address} is not UTF-8: {bad}. Save it as UTF-8.") from None


def unreadable(address: str, error: BaseException) -> WordError:
    """What to say of a file that could not be opened or unpacked."""
    if isinstance(error, FileNotFoundError):
        return WordError(f"There is no file at {address}. Give the path of one that is there.")
    if isinstance(error, IsADirectoryError):
        return WordError(f"{address} is a folder. Give one file of it.")
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return WordError(f"{address} could not be read: {reason}. Give a file that can be opened.")


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
            fsspec.open(archive, "rb") as file,
            ZipFile(file) as unpacked,
            unpacked.open(_member(archive, unpacked, member)) as lines,
        ):
            yield lines
    else:
        with fsspec.open(address, "rb", compression="infer") as file:
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
