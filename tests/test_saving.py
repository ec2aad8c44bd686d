"""Results and parts come back bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aftertune
from aftertune.runs.parts import read_row, write_row
from aftertune.runs.run import RunFolder
from tiny import make_model, make_tokenizer


@pytest.fixture(scope="module")
def found() -> aftertune.Attribution:
    checkpoint = aftertune.load(make_model(), tokenizer=make_tokenizer())
    return aftertune.attribute(checkpoint, "the cat é 🎉\n\tsat", " on the mat.", check=True)


def same(a: aftertune.Attribution, b: aftertune.Attribution) -> None:
    for name, value in a.to_row().items():
        other = b.to_row()[name]
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype and value.shape == other.shape and np.array_equal(value, other), name
        else:
            assert value == other, name


def test_an_attribution_comes_back_bit_for_bit(found: aftertune.Attribution, tmp_path: Path) -> None:
    found.save(tmp_path / "a.parquet")
    same(found, aftertune.Attribution.load(tmp_path / "a.parquet"))
    (tmp_path / "b").mkdir()
    found.save(tmp_path / "b" / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b" / "a.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b"]


def test_an_empty_response_comes_back_too(found: aftertune.Attribution, tmp_path: Path) -> None:
    n = len(found.prompt_tokens)
    empty = replace(
        found,
        importance=np.zeros((n, 0), np.float32),
        probability=np.zeros(0, np.float32),
        response_tokens=(),
        agreement=None,
    )
    empty.save(tmp_path / "e.parquet")
    same(empty, aftertune.Attribution.load(tmp_path / "e.parquet"))
    assert empty.score() == 0


@pytest.mark.parametrize(
    "value",
    [
        np.arange(24, dtype=np.int64).reshape(2, 3, 4),
        np.zeros((3, 0), np.float32),
        np.array([True, False]),
        ("a", "", "ü"),
        (),
        "text",
    ],
)
def test_a_value_comes_back(value: object, tmp_path: Path) -> None:
    write_row(tmp_path / "row.parquet", {"value": value})
    back = read_row(tmp_path / "row.parquet")["value"]
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype and back.shape == value.shape and np.array_equal(back, value)
    else:
        assert back == value


def test_a_part_can_lie_at_any_address() -> None:
    run = RunFolder.start("memory://runs/one", {"a": 1}, {})
    part = run.part("attribution", "base", "id/with: strange\nletters")
    run.write(part, {"x": np.arange(3)})
    assert run.exists(*part) and run.read(part)["x"].tolist() == [0, 1, 2]
    with pytest.raises(aftertune.RunError, match="a was 1, is now 2"):
        RunFolder.start("memory://runs/one", {"a": 2}, {})


def test_ids_that_are_alike_have_parts_of_their_own() -> None:
    run = RunFolder("x")
    ids = ["a/b", "a_b", "a%2Fb", "A/B", "." * 3, "é" * 200, "é" * 201, "a b"]
    names = [run.part("k", "m", id)[2].lower() for id in ids if id != "A/B"]
    assert len(set(names)) == len(names) and all(len(name) < 200 and "/" not in name for name in names)


def test_levels_density_and_score_are_those_of_the_map(found: aftertune.Attribution) -> None:
    salient = found.to_map("p", "d", "m")
    assert np.array_equal(found.levels(), salient.levels)
    assert np.array_equal(found.density(), salient.density()) and found.score() == salient.score()
    assert found.density(threshold=0).max() >= found.density().max()
    assert "<script" in found._repr_html_() or "<span" in found._repr_html_()


def test_the_long_table_has_a_row_for_each_pair(found: aftertune.Attribution) -> None:
    table = found.to_polars()
    n, m = found.importance.shape
    row = table.row(2 * m + 1, named=True)
    assert table.height == n * m and (row["prompt_index"], row["response_index"]) == (2, 1)
    assert row["importance"] == found.importance[2, 1] and row["level"] == found.levels()[2, 1]
    assert (row["prompt_token"], row["response_token"]) == (found.prompt_tokens[2], found.response_tokens[1])
    assert row["probability"] == found.probability[1]
