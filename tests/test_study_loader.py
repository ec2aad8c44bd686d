"""Small checkpoints stay in memory beside each other, large ones make room."""

import pytest

import output_samples as samples
from aftertune.models import machine
from aftertune.runs.roles import Pair
from aftertune.study.loader import Loader

PAIR = Pair("base", "tuned")


@pytest.mark.parametrize(("share", "expected"), [(1.0, ["base", "tuned"]), (0.0, ["base", "tuned", "base"])])
def test_a_pair_is_loaded_again_only_if_it_is_large(
    share: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SMALL", share)
    asked: list[str] = []
    loaded = Loader(lambda role: (asked.append(role), samples.base())[1])
    first = loaded("base")
    assert loaded("base") is first
    loaded("tuned")
    base, tuned = loaded.both(PAIR)
    assert asked == expected and (base is first) == (share > 0) and tuned is not base


def test_of_more_than_two_small_ones_the_last_two_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SMALL", 1.0)
    asked: list[str] = []
    loaded = Loader(lambda role: (asked.append(role), samples.base())[1])
    for role in ("base", "tuned", "tuned-2", "tuned", "tuned-2", "base"):
        loaded(role)
    assert asked == ["base", "tuned", "tuned-2", "base"]
