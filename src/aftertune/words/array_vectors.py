"""Word vectors kept as one array: NumPy's .npz and .safetensors."""

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import fsspec
import numpy as np
from numpy.lib.npyio import NpzFile

from aftertune.errors import WordError
from aftertune.words.lines import decode_line, file_name, read_lines, unreadable
from aftertune.words.table import Rows, Table, Wanted


def read_npz(address: str, _: Wanted) -> Table:
    """The arrays ``words`` (n,) and ``vectors`` (n, d_vector); raises `WordError` if they are not there."""
    try:
        with fsspec.open(address, "rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            missing = {"words", "vectors"} - set(arrays.files)
            if missing:
                found = ", ".join(arrays.files) or "nothing"
                raise WordError(f"{address} holds {found}. It must hold the arrays words and vectors.")
            return Table.of_array(arrays["words"].tolist(), arrays["vectors"], file_name(address))
    except (OSError, ValueError, EOFError, AttributeError, ImportError, BadZipFile) as error:
        raise unreadable(address, error) from error


def read_safetensors(address: str, _: Wanted) -> Table:
    """The only tensor of a local file; its words are in its metadata (JSON) or, a line each, in a .txt file beside it.

    Raises `WordError` if there are other tensors or no words.
    """
    stored = open_tensors(Path(address).expanduser())
    if len(stored.keys()) != 1:
        raise WordError(f"{address} holds {len(stored.keys())} tensors. It must hold one, (n_words, d_vector).")
    listed = (stored.metadata() or {}).get("words")
    words = _listed_words(address, listed) if listed else _words_beside(address)
    return tensor_table(stored, next(iter(stored.keys())), words, file_name(address))


def open_tensors(path: Path) -> Any:
    """A .safetensors file of which any part can be read; raises `WordError` if it is not one."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise unreadable(str(path), error) from error


def tensor_table(stored: Any, name: str, words: list[Any], source: str) -> Table:
    """The table of one tensor of an open file; only the rows that are asked for are read."""
    part = stored.get_slice(name)

    def take(rows: Rows) -> Any:
        return np.stack([part[row] for row in rows.tolist()])

    return Table(words, tuple(part.get_shape()), take, source)


def _listed_words(address: str, listed: str) -> list[Any]:
    try:
        words = json.loads(listed)
    except ValueError:
        words = None
    if not isinstance(words, list):
        raise WordError(f'The "words" in the metadata of {address} are no JSON list. Write them as one.')
    return words


def _words_beside(address: str) -> list[str]:
    beside = Path(address).expanduser().with_suffix(".txt")
    if not beside.is_file():
        raise WordError(
            f'{address} does not say its words. Put them as JSON list into its metadata under "words", or one a line '
            f"into {beside.name} beside it."
        )
    return [decode_line(str(beside), number, line) for number, line in read_lines(str(beside))]
