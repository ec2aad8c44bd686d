"""Files that stay: what is in its place on a local disk is still there, and whole, after a power cut.

1. A file's bytes are forced to the disk before it is renamed, then the folder that holds its new name is.
2. A name can be taken once only, whoever asks for it at the same moment.
3. A run's folder is made once, for its owner alone. Once it is there (`at_home`), nothing makes it again: where it was
   moved away or deleted, writing into it fails.

Other file systems than the local one say what they keep, and when; there a file is moved into its place.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from aftertune.errors import RunError

OWNER_ONLY = 0o700
MARK = "run.json"
HOME: ContextVar[Path | None] = ContextVar("HOME", default=None)


def local_path(address: str | Path) -> Path | None:
    """The path of an address on a local disk; None for any other."""
    system, path = fsspec.core.url_to_fs(str(address))
    return Path(path) if isinstance(system, LocalFileSystem) else None


@contextmanager
def at_home(address: str) -> Iterator[None]:
    """What is written below the folder of a run that has begun; raises `RunError` where it is no longer there."""
    token = HOME.set(local_path(address))
    try:
        yield
    finally:
        HOME.reset(token)


def must_be_there(address: str) -> None:
    """Raise `RunError` if the folder of a run that has begun is no longer in its place."""
    home = local_path(address)
    if home is not None and not (home / MARK).is_file():
        raise RunError(
            f"{address} is no longer there: it was moved away or deleted while the command was at work. Move it back, "
            "and give the same command again; it goes on where it stopped."
        )


def must_be_at_home() -> None:
    """Raise `RunError` if the folder that is written into (`at_home`) is no longer there."""
    home = HOME.get()
    if home is not None:
        must_be_there(str(home))


def make_folders(system: Any, folder: str) -> None:
    """Make a folder and those above it; raises `RunError` if it belongs into a run that is no longer there."""
    home, path = HOME.get(), Path(folder)
    if not isinstance(system, LocalFileSystem):
        system.makedirs(folder, exist_ok=True)
    elif home is not None and (path == home or home in path.parents):
        must_be_at_home()
        for one in reversed([path, *path.parents]):
            if home in one.parents:
                _make(one, 0o777)
    elif not path.is_dir():
        make_folders(system, str(path.parent))
        _make(path, 0o777)


def make_private(address: str) -> None:
    """Make the folder of a run, which its owner alone can read; one that is there stays as it is."""
    path = local_path(address)
    if path is not None and not path.is_dir():
        make_folders(LocalFileSystem(), str(path.parent))
        _make(path, OWNER_ONLY)


def keep(file: IO[bytes]) -> None:
    """Wait until the disk has what was written to a local file."""
    file.flush()
    os.fsync(file.fileno())


def keep_names(folder: Path) -> None:
    """Wait until the disk has the names in a folder, where a folder can be forced to it."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def replace(system: Any, temporary: str, path: str) -> None:
    """Move a finished file into its place, over what is there."""
    if isinstance(system, LocalFileSystem):
        Path(temporary).replace(path)
        keep_names(Path(path).parent)
    else:
        system.mv(temporary, path)


def take_place(system: Any, temporary: str, path: str) -> None:
    """Move a finished file into its place if nothing is there; otherwise what came first stays."""
    if not isinstance(system, LocalFileSystem):
        if not system.exists(path):
            system.mv(temporary, path)
        return
    with suppress(FileExistsError):
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            _write_first(Path(temporary).read_bytes(), path)
    Path(temporary).unlink()
    keep_names(Path(path).parent)


def _write_first(content: bytes, path: str) -> None:
    with Path(path).open("xb") as file:
        file.write(content)
        keep(file)


def _make(folder: Path, mode: int) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
        keep_names(folder.parent)
