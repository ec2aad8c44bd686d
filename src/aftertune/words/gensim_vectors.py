"""Word vectors of gensim: live objects, and the files that gensim reads.

.bin is word2vec's or fastText's binary format. .kv and .model are pickles: reading one runs whatever code it holds, so
they are read only where the caller says that they can be trusted.
"""

from pathlib import Path
from typing import Any

from aftertune.errors import WordError, translated
from aftertune.places import must_be_file, path_of
from aftertune.words.lines import REMEDY, Table, Wanted, file_name

FASTTEXT_START = (793712314).to_bytes(4, "little")


def is_keyed(source: Any) -> bool:
    """Whether an object is gensim's KeyedVectors, or a model that has them."""
    keyed = getattr(source, "wv", source)
    return hasattr(keyed, "index_to_key") and hasattr(keyed, "vectors")


def keyed_table(source: Any, name: str = "gensim vectors in memory") -> Table:
    """The table of what `is_keyed`."""
    keyed = getattr(source, "wv", source)
    return Table.of_array(keyed.index_to_key, keyed.vectors, name)


def read_binary(address: str, _: Wanted) -> Table:
    """word2vec's or fastText's binary format; raises `WordError` if gensim is missing or cannot read the file."""
    models = _gensim(address).models
    path = _local(address)
    with path.open("rb") as file:
        is_fasttext = file.read(4) == FASTTEXT_START
    if is_fasttext:
        return _load(address, lambda: models.fasttext.load_facebook_vectors(str(path)))
    return _load(address, lambda: models.KeyedVectors.load_word2vec_format(str(path), binary=True))


def read_pickle(address: str, trust: bool) -> Table:
    """KeyedVectors or a model that gensim saved; raises `WordError` unless it is trusted, and as `read_binary`."""
    if not trust:
        raise WordError(
            f"{address} is a pickle, and reading a pickle runs the code that it holds. If you trust whoever made it, "
            "pass trust=True; or save it by save_word2vec_format and give that file."
        )
    models = _gensim(address).models
    path = _local(address)
    return _load(address, lambda: models.KeyedVectors.load(str(path)))


def _load(address: str, load: Any) -> Table:
    with translated(WordError, f"{address} could not be read", REMEDY):
        loaded = load()
    if not is_keyed(loaded):
        raise WordError(f"{address} holds a {type(loaded).__name__}. Give KeyedVectors, or a model that has them.")
    return keyed_table(loaded, file_name(address))


def _gensim(address: str) -> Any:
    try:
        import gensim
    except ImportError:
        raise WordError(
            f"To read {file_name(address)} the package gensim is needed: pip install gensim. "
            "Or give the vectors as word2vec text, .npz or .safetensors."
        ) from None
    return gensim


def _local(address: str) -> Path:
    must_be_file(address, WordError, REMEDY)
    path = path_of(address, WordError)
    if not path.is_file():
        raise WordError(f"There is no file at {address}. Give the path of one that is on this machine.")
    return path
