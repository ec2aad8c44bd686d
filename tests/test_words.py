"""Words from every source, in order of frequency, with their share of all tokens."""

import bz2
import gzip
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from aftertune.words import Words, load_words


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_words_from_python_keep_their_order() -> None:
    found = load_words(["The", "cat", "sat", "cat", "the"])
    assert found.words == ("The", "cat", "sat", "the")
    assert found.frequency.tolist() == [0.25] * 4
    assert found.source == "a list in memory"
    assert len(found) == 4


def test_digest_is_that_of_the_words_in_order() -> None:
    assert load_words(["a", "é"]).digest == hashlib.sha256("a\né".encode()).hexdigest()
    assert load_words(["a", "b"]).digest != load_words(["b", "a"]).digest


def test_words_asked_about_come_after_all_others() -> None:
    found = load_words(["The", "cat", "sat"])
    more = found.with_words(["the", "mat", "mat", "a phrase", "Dog"], "verbs")
    assert more.words == ("The", "cat", "sat", "mat", "Dog") and more.source == f"{found.source}, and 2 verbs"
    assert more.frequency.tolist() == [*found.frequency.tolist(), 0.0, 0.0]
    assert found.with_words(["CAT"], "verbs") is found


def test_english_words_are_those_of_wordfreq() -> None:
    wordfreq = pytest.importorskip("wordfreq")
    found = load_words(limit=500)
    assert found.words[:3] == ("the", "to", "and")
    assert found.frequency.tolist() == [wordfreq.get_frequency_dict("en")[word] for word in found.words]
    assert np.all(np.diff(found.frequency) <= 0)
    everything = load_words()
    assert len(everything) == 10_000
    assert everything.words[:500] == found.words
    assert not [word for word in everything.words if "00" in word]


def test_list_keeps_its_order(tmp_path: Path) -> None:
    found = load_words(write(tmp_path / "list.txt", "\ufeffzebra\n\n  apple \r\nThe\nzebra\n"))
    assert found.words == ("zebra", "apple", "The")
    assert found.frequency.tolist() == [1 / 3] * 3
    assert found.source == "list.txt"


def test_counts_become_shares_and_sort(tmp_path: Path) -> None:
    found = load_words(write(tmp_path / "counts.txt", "word\tcount\n\"\t2\nb\t5\n''\t2\n,\t1\nb\t9\n"))
    assert found.words == ("b", '"', "''", ",")
    assert found.frequency.tolist() == [0.5, 0.2, 0.2, 0.1]


def test_shares_stay_and_the_limit_does_not_change_them(tmp_path: Path) -> None:
    path = write(tmp_path / "shares.tsv", "a\t0.25\nb\t0.5\nc\t0.125\n")
    assert load_words(path).frequency.tolist() == [0.5, 0.25, 0.125]
    cut = load_words(path, limit=2)
    assert (cut.words, cut.frequency.tolist()) == (("b", "a"), [0.5, 0.25])


def test_words_pass_through_cut_to_the_limit() -> None:
    words = Words(("a", "b", "c"), np.array([0.5, 0.25, 0.125]), "somewhere")
    same, cut = load_words(words), load_words(words, limit=2)
    assert (same.words, same.source, same.frequency.tolist()) == (words.words, "somewhere", [0.5, 0.25, 0.125])
    assert (cut.words, cut.frequency.tolist()) == (("a", "b"), [0.5, 0.25])


def test_words_of_a_text_are_counted(tmp_path: Path) -> None:
    text = "The cat's well-known hat -- the hat, don’t _sit_ 'on' it!\nNaïve cat's hat (2nd).\n"
    found = load_words(write(tmp_path / "text.md", text))
    assert found.words[:2] == ("hat", "cat's")
    assert found.words[2:] == ("The", "well-known", "the", "don’t", "sit", "on", "it", "Naïve", "2nd")
    assert found.frequency.tolist() == [3 / 14, 2 / 14] + [1 / 14] * 9


def test_a_text_has_a_limit_of_its_own(tmp_path: Path) -> None:
    text = "again again " + " ".join(f"w{index}" for index in range(30_100))
    found = load_words(write(tmp_path / "text.txt", text))
    assert len(found) == 30_000
    assert found.words[:2] == ("again", "w0")
    assert found.frequency[0] == 2 / 30_102
    assert len(load_words(tmp_path / "text.txt", limit=40_000)) == 30_101


def test_most_of_the_first_lines_tell_list_from_text(tmp_path: Path) -> None:
    half = write(tmp_path / "half.txt", "Contents\n\nOne more line\nEnd\nand another line\n")
    assert load_words(half).words == ("line", "Contents", "One", "more", "End", "and", "another")
    late = write(tmp_path / "late.txt", "a b\n" * 60 + "word\n" * 200)
    assert load_words(late).words == ("word", "a", "b")


def test_every_text_of_json_counts(tmp_path: Path) -> None:
    rows = [{"prompt": "red blue", "turns": [{"text": "red"}, "blue"], "n": 3}, ["red"], "green"]
    lines = write(tmp_path / "rows.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    whole = write(tmp_path / "rows.json", json.dumps(rows, indent=1))
    for path in (lines, whole):
        found = load_words(path)
        assert found.words == ("red", "blue", "green")
        assert found.frequency.tolist() == [3 / 6, 2 / 6, 1 / 6]


def test_compressed_files_are_unpacked(tmp_path: Path) -> None:
    content = b'{"text": "one two two"}\n'
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(content))
    (tmp_path / "rows.jsonl.bz2").write_bytes(bz2.compress(content))
    with zipfile.ZipFile(tmp_path / "rows.jsonl.zip", "w") as archive:
        archive.writestr("folder/rows.jsonl", content)
    for name in ("rows.jsonl.gz", "rows.jsonl.bz2", "rows.jsonl.zip", "rows.jsonl.zip::folder/rows.jsonl"):
        assert load_words(f"{tmp_path}/{name}").words == ("two", "one")


def test_released_vocabulary(shared_data: Path) -> None:
    found = load_words(shared_data / "sharegpt_vocabulary.tsv")
    assert found.words[:6] == (",", "the", ".", "and", "a", "to")
    assert found.frequency[0] == 0.040975909291537695
    assert {"``", "''", "`"} <= set(found.words)
    assert len(found) == len((shared_data / "sharegpt_vocabulary.tsv").read_text("utf-8").strip("\n").split("\n"))
