"""Word vectors kept as one array: NumPy's .npz and .safetensors.

Word vectors of a sentence-transformers model that averages them, in a folder or on the Hugging Face hub.

Its module ``0_WordEmbeddings`` keeps the words in the tokenizer's vocabulary and the vectors in ``emb_layer.weight``.
"""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.lib.npyio import NpzFile

from aftertune.errors import WordError, translated
from aftertune.places import MOST_BYTES, must_be_file, opened, path_of, read_text
from aftertune.words.lines import REMEDY, Rows, Table, Wanted, decode_line, file_name, read_lines

# Numbers hardly pack: an archive that unpacks to far more than its size holds no vectors.
MOST_PACKED = 100
SPARE_BYTES = 2**24
NUMBERS = frozenset({"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"})


def read_npz(address: str, _: Wanted) -> Table:
    """The arrays ``words`` (n,) and ``vectors`` (n, d_vector); raises `WordError` if they are not there."""
    with opened(address, WordError, REMEDY) as file, NpzFile(file, allow_pickle=False) as arrays:
        missing = {"words", "vectors"} - set(arrays.files)
        if missing:
            found = ", ".join(arrays.files) or "nothing"
            raise WordError(f"{address} holds {found}. It must hold the arrays words and vectors.")
        assert arrays.zip is not None, "it is open"
        _must_be_packed_as_numbers(address, arrays.zip)
        return Table.of_array(arrays["words"].tolist(), arrays["vectors"], file_name(address))


def _must_be_packed_as_numbers(address: str, archive: ZipFile) -> None:
    inside = archive.infolist()
    most = MOST_PACKED * sum(one.compress_size for one in inside) + SPARE_BYTES
    if sum(one.file_size for one in inside) > most:
        raise WordError(f"{address} unpacks to more than {MOST_PACKED} times its size. Vectors do not: make it again.")


def read_safetensors(address: str, _: Wanted) -> Table:
    """The only tensor of a local file; its words are in its metadata (JSON) or, a line each, in a .txt file beside it.

    Raises `WordError` if there are other tensors or no words.
    """
    must_be_file(address, WordError, REMEDY)
    stored = open_tensors(path_of(address, WordError))
    if len(stored.keys()) != 1:
        raise WordError(f"{address} holds {len(stored.keys())} tensors. It must hold one, (n_words, d_vector).")
    listed = (stored.metadata() or {}).get("words")
    words = _listed_words(address, listed) if listed else _words_beside(address)
    return tensor_table(stored, next(iter(stored.keys())), words, file_name(address))


def open_tensors(path: Path) -> Any:
    """A .safetensors file of which any part can be read; raises `WordError` if it is not one."""
    from safetensors import safe_open

    with translated(WordError, f"{path} could not be read", REMEDY):
        return safe_open(path, framework="numpy")


def tensor_table(stored: Any, name: str, words: list[Any], source: str) -> Table:
    """The table of one tensor of an open file; only the rows that are asked for are read."""
    part = stored.get_slice(name)
    if part.get_dtype() not in NUMBERS:
        raise WordError(f"The vectors of {source} are of type {part.get_dtype()}. Save them as float32 or float16.")

    def take(rows: Rows) -> Any:
        return np.stack([part[row] for row in rows.tolist()])

    return Table(words, tuple(part.get_shape()), take, source)


def _listed_words(address: str, listed: str) -> list[Any]:
    try:
        words = json.loads(listed)
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, list):
        raise WordError(f'The "words" in the metadata of {address} are no JSON list. Write them as one.')
    return words


def _words_beside(address: str) -> list[str]:
    beside = path_of(address, WordError).with_suffix(".txt")
    if not beside.is_file():
        raise WordError(
            f'{address} does not say its words. Put them as JSON list into its metadata under "words", or one a line '
            f"into {beside.name} beside it."
        )
    return [decode_line(str(beside), number, line) for number, line in read_lines(str(beside))]


MODULE = "0_WordEmbeddings"
TENSOR = "emb_layer.weight"
VOCABULARY = "whitespacetokenizer_config.json"


def read_hub(name: str) -> Table:
    """The vectors of a model on the hub; raises `WordError` if it cannot be had or is of another kind."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=[f"{MODULE}/*"]))
    except Exception as error:  # the hub's own exceptions, and those of the HTTP client below it
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise WordError(
            f"There is no file or folder {name!r} here, and the hub did not give a model of that name: {reason}. "
            "Check the name and the connection, or give a file of vectors."
        ) from error
    return read_model_folder(folder, name)


def read_model_folder(folder: Path, source: str) -> Table:
    """The vectors of a model's folder; raises `WordError` if it has no word vectors."""
    module = folder / MODULE
    words = _vocabulary(module / VOCABULARY, source)
    if (module / "model.safetensors").is_file():
        stored = open_tensors(module / "model.safetensors")
        _must_have(stored.keys(), source)
        return tensor_table(stored, TENSOR, words, source)
    weight = _load(module / "pytorch_model.bin", source)

    def take(rows: Rows) -> Any:
        return weight[rows].float().numpy()

    return Table(words, tuple(weight.shape), take, source)


def _vocabulary(path: Path, source: str) -> list[Any]:
    if not path.is_file():
        raise WordError(
            f"{source} has no {MODULE}/{VOCABULARY}. Give a model that averages the vectors of whole words, such as "
            "sentence-transformers/average_word_embeddings_glove.840B.300d."
        )
    with translated(WordError, f"{path} could not be read", REMEDY):
        words = json.loads(read_text(str(path), WordError, most=MOST_BYTES)).get("vocab")
    if not isinstance(words, list):
        raise WordError(f'{source}: {VOCABULARY} has no list of words under "vocab". Fetch the model again.')
    return words


def _load(path: Path, source: str) -> Any:
    import torch

    with translated(WordError, f"{source}, {path.name} could not be read", REMEDY):
        # Mapped, so that only the rows that are asked for are read; files from before PyTorch 1.6 cannot be.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
        _must_have(weights, source)
        weights[TENSOR].shape  # noqa: B018 - what is no tensor is no vectors
    return weights[TENSOR]


def _must_have(tensors: Any, source: str) -> None:
    if TENSOR not in tensors:
        raise WordError(f"{source} has no tensor {TENSOR}. Give a model whose first module holds word vectors.")
