"""Do tables depend on how the work was cut?  The same run twice, in other batches, and with other numbers of threads.

Twice alike: every file the same, byte for byte. Otherwise cut: the same responses and words, numbers within 1e-4 of the
largest of their column, which is what the order of float32 sums leaves open.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch

import aftertune
from aftertune.explainers.attribution import measure
from aftertune.explainers.attribution.importance import chunks
from command_line import snapshot, third_party_warnings

pytest_plugins = ("cli_fixtures",)
TOLERANCE = 1e-4


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def compared(base: Path, tuned: Path, prompts: Path, run: Path) -> Path:
    with third_party_warnings():
        given = {"prompts": prompts, "max_new_tokens": 4, "check": 1, "device": "cpu"}
        aftertune.compare(aftertune.Study(base, tuned, run=run, only="attribution", **given))
    return run


@pytest.fixture(scope="module")
def finished_prompts(finished: Path) -> Path:
    return finished.parent / "prompts.jsonl"


def must_be_alike(one: Path, other: Path) -> None:
    names = sorted(path.name for path in (one / "tables").glob("*.csv"))
    assert names and names == sorted(path.name for path in (other / "tables").glob("*.csv"))
    for name in names:
        first, second = (pl.read_csv(run / "tables" / name, infer_schema_length=None) for run in (one, other))
        assert first.columns == second.columns and first.height == second.height
        for column in first.columns:
            if first[column].dtype.is_float():
                scale = max(abs(first[column].fill_null(0).fill_nan(0)).max() or 0, 1.0)
                assert (first[column] - second[column]).abs().fill_null(0).max() in (
                    None,
                    pytest.approx(0, abs=TOLERANCE * scale),
                )
            else:
                assert first[column].to_list() == second[column].to_list(), f"{name}: {column}"


def test_the_same_run_twice_is_the_same(
    base: Path, tuned: Path, finished_prompts: Path, finished: Path, tmp_path: Path
) -> None:
    assert snapshot(compared(base, tuned, finished_prompts, tmp_path / "run")) == snapshot(finished)


def test_other_batches_give_the_same_tables(
    base: Path, tuned: Path, finished_prompts: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "responses_at_once", lambda *_: 1)
    monkeypatch.setattr(measure, "attributions_at_once", lambda _: 3)
    monkeypatch.setattr(chunks, "MOST_ON_CPU", 2)
    must_be_alike(finished, compared(base, tuned, finished_prompts, tmp_path / "run"))


def test_other_numbers_of_threads_give_the_same_tables(
    threads: None,  # noqa: ARG001
    base: Path,
    tuned: Path,
    finished_prompts: Path,
    finished: Path,
    tmp_path: Path,
) -> None:
    torch.set_num_threads(1 if torch.get_num_threads() > 1 else 2)
    must_be_alike(finished, compared(base, tuned, finished_prompts, tmp_path / "run"))
