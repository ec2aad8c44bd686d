"""How is a file read that a user names?  At any fsspec address, never more of it than a stated size, and with an error
of ours for whatever goes wrong.

1. On this machine it must be a file: a device gives bytes for ever, and a pipe may wait for them for ever.
2. What is packed is unpacked up to the same size, so that a small file can't become a large one.
"""

import bz2
import gzip
import lzma
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

import fsspec

from aftertune.errors import AftertuneError, translated

# Files that are read whole: text and what is made of it take several times as much memory.
MOST_BYTES = 2**30
# What a person or a program writes about a model or a run: the largest known are a hundredth of it.
MOST_WRITTEN = 2**26
PACKED: Mapping[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
}
KINDS: Mapping[str, Callable[[int], bool]] = {
    "a folder": stat.S_ISDIR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}
FILE = "Give the path of a file."


def path_of(place: str | PathLike[str], kind: type[AftertuneError], remedy: str = FILE) -> Path:
    """A place on this machine; raises ``kind`` for what no file system takes (too long, another user's ``~``)."""
    with translated(kind, f"{fspath(place)!r} can't be a place here", remedy):
        path = Path(place).expanduser()
        path.exists()
        path.resolve()
        return path


def must_be_file(address: str, kind: type[AftertuneError], remedy: str = FILE) -> None:
    """Raise ``kind`` for a place on this machine where nothing lies, or anything but a file; others are let through."""
    local = address.removeprefix("file://").removeprefix("local://")
    if "://" in local or "::" in local:
        return
    path = path_of(local, kind, remedy)
    if not path.exists():
        raise kind(f"There is no file at {address}. {remedy}")
    mode = path.stat().st_mode
    other = next((name for name, is_it in KINDS.items() if is_it(mode)), None)
    if other is not None:
        raise kind(f"{address} is {other}. {remedy}")


@contextmanager
def opened(address: str, kind: type[AftertuneError], remedy: str = FILE, **how: Any) -> Iterator[IO[bytes]]:
    """A file, open to be read; whatever goes wrong, in the block too, is raised as ``kind``, with ``remedy``.

    ``how`` is fsspec's (compression).
    """
    must_be_file(address, kind, remedy)
    with translated(kind, f"{address} could not be read", remedy), fsspec.open(address, "rb", **how) as file:
        yield file


def read_bytes(address: str, kind: type[AftertuneError], remedy: str = FILE, most: int = MOST_BYTES) -> bytes:
    """A file whole; raises ``kind`` for one that can't be read, or is larger than ``most`` bytes."""
    with opened(address, kind, remedy) as file:
        content = file.read(most + 1)
    _must_be_small(content, address, kind, most)
    return content


def read_text(address: str, kind: type[AftertuneError], remedy: str = FILE, most: int = MOST_WRITTEN) -> str:
    """A file of UTF-8 whole, without its byte order mark; raises ``kind`` as `read_bytes`, and for other bytes."""
    content = read_bytes(address, kind, remedy, most)
    with translated(kind, f"{address} is no UTF-8", remedy):
        return content.decode("utf-8-sig")


def unpacked(address: str, content: bytes, kind: type[AftertuneError], most: int = MOST_BYTES) -> bytes:
    """What a packed file holds (gzip, bzip2, xz), any other as it is; raises ``kind`` for more than ``most`` bytes."""
    for begin, (name, unpack) in PACKED.items():
        if content.startswith(begin):
            with translated(kind, f"{address} is no whole {name} file", "Download it again."):
                content = unpack(BytesIO(content)).read(most + 1)
            _must_be_small(content, address, kind, most)
            break
    return content


def _must_be_small(content: bytes, address: str, kind: type[AftertuneError], most: int) -> None:
    if len(content) > most:
        raise kind(f"{address} holds more than {_size(most)}, the most that is read of such a file. Give a part of it.")


def _size(n_bytes: int) -> str:
    return f"{n_bytes // 2**30} GiB" if n_bytes >= 2**30 else f"{n_bytes // 2**20} MiB"
