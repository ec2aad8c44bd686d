"""Parquet files, written whole or not at all: what a run folder consists of.

A part is a data frame, or one row. In a row arrays become lists (of lists), texts and lists of texts stay what they
are, anything nested becomes JSON text, so that any Parquet reader can use a part. A part is written beside its place
and renamed into it: it exists only when it is complete, and the same row gives the same bytes. What a killed process
leaves beside it is called ``.NAME.THREAD.HOST.PROCESS.partial``; nobody reads it, and `remove_strays` takes it away.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import get_native_id
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from aftertune.errors import RunError
from aftertune.runs import disk
from aftertune.runs.seal import Place, damage, seal, stranger, unsealed

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, Any]
NOWHERE = Place()
HOST = re.sub(r"[^\w-]", "-", socket.gethostname())
PARTIAL = re.compile(r"/\.[^/]+\.(?P<host>[\w-]+)\.(?P<process>\d+)\.partial$")


def write_row(address: str | Path, row: Row, place: Place = NOWHERE) -> None:
    """Write one row to a Parquet file at any fsspec address, sealed; raises `RunError` if that fails."""
    table, whole = pa.table({name: _encode(value) for name, value in row.items()}), BytesIO()
    with pq.ParquetWriter(whole, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(unsealed(place))
    write_bytes(address, seal(whole.getvalue()))


def read_row(address: str | Path, place: Place | None = None) -> dict[str, Any]:
    """Read what `write_row` wrote: lists of numbers come back as arrays.

    Raises `RunError` if it is not there, damaged, or not the part of ``place`` where one is given.
    """
    with _decoding(address):
        table = pq.read_table(pa.BufferReader(read_sealed(address, place)))
        if table.num_rows != 1:
            raise RunError(f"{address} has {table.num_rows} rows, a saved result has one. Give the file of one result.")
        return {name: _decode(table.column(name).chunk(0)) for name in table.column_names}


def write_frame(address: str | Path, frame: "pl.DataFrame", place: Place = NOWHERE) -> None:
    """Write a data frame to a Parquet file at any fsspec address, sealed; raises `RunError` if that fails."""
    whole = BytesIO()
    frame.write_parquet(whole, metadata=unsealed(place))
    write_bytes(address, seal(whole.getvalue()))


def read_frame(address: str | Path, place: Place | None = None) -> "pl.DataFrame":
    """Read what `write_frame` wrote; raises `RunError` as `read_row` does."""
    import polars as pl

    with _decoding(address):
        return pl.read_parquet(BytesIO(read_sealed(address, place)))


def damage_of(address: str | Path) -> str | None:
    """What is wrong with a part that is there, in words; None if it is what was written."""
    try:
        with fsspec.open(str(address), "rb") as file:
            return damage(file.read())
    except OSError as error:
        return f"can't be read: {_first_line(error).rstrip('.')}"


def read_sealed(address: str | Path, place: Place | None) -> bytes:
    """The bytes of a sealed file, once they are known to be what was written.

    Raises `OSError` if it can't be read, `RunError` if it is damaged, or not the part of ``place`` where one is given.
    """
    with fsspec.open(str(address), "rb") as file:
        content: bytes = file.read()
    wrong = damage(content) or (None if place is None else stranger(content, place))
    if wrong:
        raise RunError(f"{address} {wrong}.")
    return content


def write_text(address: str | Path, text: str) -> None:
    """Write a text file whole or not at all; raises `RunError` if that fails."""
    write_bytes(address, text.encode("utf-8"))


def write_bytes(address: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; raises `RunError` if that fails."""
    with replacing(address) as file:
        file.write(content)


def write_first(address: str | Path, text: str) -> None:
    """Write a text file whole or not at all, if none is there: of several who do so at once, one text stays."""
    with _beside(address, disk.take_place) as file:
        file.write(text.encode("utf-8"))


@contextmanager
def replacing(address: str | Path) -> Iterator[Any]:
    """A binary file beside ``address`` that takes its place when the block ends well, and is removed otherwise.

    On a local disk it is there after a power cut too. Raises `RunError` if it can't be written.
    """
    with _beside(address, disk.replace) as file:
        yield file


@contextmanager
def _beside(address: str | Path, put: Callable[[Any, str, str], None]) -> Iterator[Any]:
    system, path = fsspec.core.url_to_fs(str(address))
    parent, name = path.rsplit("/", 1)
    temporary = f"{parent}/.{name}.{get_native_id()}.{HOST}.{os.getpid()}.partial"
    try:
        must_be_writable(address)
        disk.make_folders(system, parent)
        with system.open(temporary, "wb") as file:
            yield file
            if isinstance(system, LocalFileSystem):
                disk.keep(file)
        put(system, temporary, path)
    except (OSError, pa.ArrowException) as error:
        with suppress(OSError):
            system.rm(temporary)
        disk.must_be_at_home()
        raise _unwritable(address, _first_line(error)) from error
    except BaseException:
        with suppress(OSError):
            system.rm(temporary)
        raise


def make_run_folder(address: str) -> None:
    """Make the folder of a run, for its owner alone; raises `RunError` if that fails."""
    try:
        disk.make_private(address)
    except OSError as error:
        raise _unwritable(f"{address}/{disk.MARK}", _first_line(error)) from error


def must_be_writable(address: str | Path) -> None:
    """Raise `RunError` if no file can be written at ``address``, as far as can be told without writing one."""
    system, path = fsspec.core.url_to_fs(str(address))
    if system.isdir(path):
        raise _unwritable(address, "it is a folder")
    if not isinstance(system, LocalFileSystem):
        return
    above = next(parent for parent in Path(path).parents if parent.exists())
    if not above.is_dir():
        raise _unwritable(address, f"{above} is a file, not a folder")
    if not os.access(above, os.W_OK):
        raise _unwritable(address, f"you may not write in {above}")


def remove_strays(folder: str | Path) -> None:
    """Remove the unfinished files of processes of this machine that have ended; those at work are left alone."""
    system, path = fsspec.core.url_to_fs(str(folder))
    for found in system.find(path):
        stray = PARTIAL.search(found)
        if stray and stray["host"] == HOST and not psutil.pid_exists(int(stray["process"])):
            with suppress(OSError):
                system.rm(found)


def is_there(address: str | Path) -> bool:
    """Whether a file or folder is there; fsspec's own ``exists`` takes Ctrl-C for a no."""
    system, path = fsspec.core.url_to_fs(str(address))
    try:
        system.info(path)
    except Exception:  # whatever a remote system raises
        return False
    return True


def is_text(address: str, text: str) -> bool:
    """Whether a file is there and holds this very text."""
    try:
        with fsspec.open(address, "r", encoding="utf-8") as file:
            return bool(file.read() == text)
    except (OSError, UnicodeDecodeError):
        return False


def is_partial(path: str) -> bool:
    """Whether a path is that of an unfinished file."""
    return bool(PARTIAL.search(path))


@contextmanager
def _decoding(address: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise RunError(f"There is no file at {address}. Give the path of a saved result.") from None
    except RunError:
        raise
    except Exception as error:  # whatever a decoder raises on a file that is sealed, and yet none of ours
        raise RunError(f"{address} could not be read as Parquet: {_first_line(error).rstrip('.')}.") from error


def _unwritable(address: str | Path, reason: str) -> RunError:
    return RunError(
        f"{address} could not be written: {reason}. Choose a place that can be written, or make room "
        "there; a run that is started again goes on where it stopped."
    )


def _encode(value: Any) -> pa.Array:
    if isinstance(value, np.ndarray):
        kind = pa.from_numpy_dtype(value.dtype)
        flat = pa.array(value.reshape(-1), type=kind)
        for size in reversed(value.shape[1:]):
            count = len(flat) // size if size else int(np.prod(value.shape[:-1]))
            flat = pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * size, type=pa.int32()), flat)
        return pa.ListArray.from_arrays(pa.array([0, len(flat)], type=pa.int32()), flat)
    if isinstance(value, str):
        return pa.array([value])
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return pa.array([list(value)], type=pa.list_(pa.string()))
    return pa.array([json.dumps(value, sort_keys=True)])


def _decode(column: pa.Array) -> Any:
    if pa.types.is_list(column.type) and not pa.types.is_string(column.type.value_type):
        shape, values = [], column
        while pa.types.is_list(values.type):
            values = values.flatten()
            shape.append(len(values))
        sizes = [shape[0]] + [after // before if before else 0 for before, after in pairwise(shape)]
        return values.to_numpy(zero_copy_only=False).reshape(sizes)
    value = column[0].as_py()
    return tuple(value) if isinstance(value, list) else value


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
