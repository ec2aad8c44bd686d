"""The Parquet file of salient maps: written, read, and refused where it is damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from aftertune.errors import RunError
from aftertune.explainers.attribution.map_file import read_maps, write_maps
from comparison_samples import make_map

ROW: dict[str, Any] = {
    "id": "a",
    "dataset": "d",
    "model": "m",
    "prompt_tokens": ["x", "y"],
    "response_tokens": ["p", "q", "r"],
    "n_prompt": 2,
    "n_response": 3,
    "levels": bytes([0, 1, 2, 8, 9, 10]),
}


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "maps.parquet"
    pl.DataFrame(list(rows)).write_parquet(path)
    return path


def test_levels_are_read_row_by_row(tmp_path: Path) -> None:
    (found,) = read_maps(write(tmp_path, ROW))
    assert found.levels.tolist() == [[0, 1, 2], [8, 9, 10]] and found.levels.dtype == np.uint8
    assert (found.id, found.dataset, found.model, found.n_prompt, found.n_response) == ("a", "d", "m", 2, 3)
    assert (found.prompt_tokens, found.response_tokens) == (("x", "y"), ("p", "q", "r"))
    assert found.prompt_offsets is None and found.prompt_text is None and found.is_user is None


def test_an_empty_response_and_further_columns_are_let_through(tmp_path: Path) -> None:
    empty = ROW | {"id": "b", "response_tokens": [], "n_response": 0, "levels": b""}
    found = read_maps(write(tmp_path, ROW | {"note": 1}, empty | {"note": 2}))
    assert [m.levels.shape for m in found] == [(2, 3), (2, 0)]


def test_written_maps_are_read_as_they_were(tmp_path: Path) -> None:
    maps = [make_map(str(k), model, k) for k in range(5) for model in ("a", "b")]
    path = tmp_path / "new" / "maps.parquet"
    write_maps(maps, path)
    for before, after in zip(maps, read_maps(path), strict=True):
        assert (before.id, before.model, before.text) == (after.id, after.model, after.prompt_text)
        assert before.response_tokens == after.response_tokens
        assert (before.levels == after.levels).all() and (before.offsets == after.prompt_offsets).all()
        assert (before.is_user == after.is_user).all()
    assert [file.name for file in path.parent.iterdir()] == ["maps.parquet"]


def test_no_maps_are_a_file_too(tmp_path: Path) -> None:
    write_maps([], tmp_path / "maps.parquet")
    assert read_maps(tmp_path / "maps.parquet") == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "maps.parquet"
    write_maps([make_map("a", "m", 1)], path)
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_maps([make_map("a", "m", 2), None], path)  # type: ignore[list-item]
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["maps.parquet"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": bytes(5)}, "levels has 5 entries, but n_prompt = 2 and n_response = 3 ask for 6"),
        ({"levels": bytes([11] * 6)}, "a level is 11. Levels are 0 to 10"),
        ({"prompt_tokens": ["x"]}, "prompt_tokens has 1 entries"),
        ({"response_tokens": ["x"]}, "response_tokens has 1 entries"),
        ({"response_tokens": ["x", None, "z"]}, "response_tokens has an empty entry"),
        ({"prompt_offsets": [0, 1]}, "prompt_offsets has 2 entries"),
        ({"is_user": [True]}, "is_user has 1 entries"),
        ({"model": None}, "model is empty"),
        ({"n_prompt": -2}, "Neither may be below 0"),
        ({"levels": "none"}, "could not be read|levels has"),
        ({"n_prompt": "two"}, "could not be read as a Parquet file of maps"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        read_maps(write(tmp_path, ROW | change))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, {key: ROW[key] for key in ROW if key not in ("levels", "model")})
    with pytest.raises(RunError, match="has no model, levels; it has id, dataset"):
        read_maps(path)


def test_two_maps_of_one_prompt_and_model_are_refused(tmp_path: Path) -> None:
    assert len(read_maps(write(tmp_path, ROW, ROW | {"model": "n"}))) == 2
    with pytest.raises(RunError, match="more than one row of prompt 'a' under 'm'"):
        read_maps(write(tmp_path, ROW, ROW))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no file"):
        read_maps(tmp_path / "maps.parquet")
    (tmp_path / "maps.txt").write_text("hello")
    with pytest.raises(RunError, match="could not be read as a Parquet file of maps"):
        read_maps(tmp_path / "maps.txt")
    with pytest.raises(RunError):
        read_maps(tmp_path)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not be written"):
        write_maps([make_map("a", "m", 1)], tmp_path / "file" / "maps.parquet")
