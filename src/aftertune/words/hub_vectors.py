"""Word vectors of a sentence-transformers model that averages them, in a folder or on the Hugging Face hub.

Its module ``0_WordEmbeddings`` keeps the words in the tokenizer's vocabulary and the vectors in ``emb_layer.weight``.
"""

import json
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from aftertune.errors import WordError
from aftertune.words.array_vectors import open_tensors, tensor_table
from aftertune.words.lines import unreadable
from aftertune.words.table import Rows, Table

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
    try:
        words = json.loads(path.read_text("utf-8")).get("vocab")
    except FileNotFoundError:
        raise WordError(
            f"{source} has no {MODULE}/{VOCABULARY}. Give a model that averages the vectors of whole words, such as "
            "sentence-transformers/average_word_embeddings_glove.840B.300d."
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise unreadable(str(path), error) from error
    if not isinstance(words, list):
        raise WordError(f'{source}: {VOCABULARY} has no list of words under "vocab". Fetch the model again.')
    return words


def _load(path: Path, source: str) -> Any:
    import torch

    try:
        # Mapped, so that only the rows that are asked for are read; files from before PyTorch 1.6 cannot be.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except Exception as error:  # damaged and refused pickles fail with unrelated types
        raise unreadable(f"{source}, {path.name}", error) from error
    _must_have(weights, source)
    return weights[TENSOR]


def _must_have(tensors: Any, source: str) -> None:
    if TENSOR not in tensors:
        raise WordError(f"{source} has no tensor {TENSOR}. Give a model whose first module holds word vectors.")
