"""The numbers of a finding: each with its name, its unit and its interval, by hand; and no raw key in any explainer."""

from pathlib import Path

import pytest

import aftertune
from aftertune.report.numbers import P_VALUE, SHARE, Label, numbers, read_labels

LABELS = {"brings": Label("brought", SHARE), "angle": Label("rotation", "°"), "fall": Label("fall", "nats")}
GROUPS = {"writing": {"category": "writing", "base": {"n": 3, "mean": 0.25, "std": 0.05}, "p_value": 1.2e-7}}


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"brings": 0.5304, "brings_interval": (0.4591, 0.6231)}, [("brought", "53% [45.9, 62.3]")]),
        ({"angle": -0.09761}, [("rotation", "−0.0976°")]),
        ({"fall": [1.5, 2.25]}, [("fall", "1.5, 2.25 nats")]),
        ({"n_prompts": 12_000, "p_value": 0.03824}, [("prompts", "12,000"), ("p", "0.0382")]),
        ({"p_value": None, "words": [], "note": "", "more": 0, "is_new": False}, [("more", "0"), ("is new", "no")]),
        ({"cut off": {"base": 0.5, "tuned": 0, "unit": "share"}}, [("cut off", "base 50%; tuned 0%")]),
        ({"length": {"base": 39, "tuned": 34.25, "unit": "tokens"}}, [("length", "base 39 tokens; tuned 34.2 tokens")]),
        (GROUPS, [("writing", "base 0.25 ± 0.05; p 1.2e-7")]),
        ({"all": {"1-10": {"n": 3, "ranks": "1-10"}}}, [("all: 1-10", "number 3")]),
        ({"pairs": [["iron", "gold"], ["a", "b"]], "rows": [{"n": 1}]}, [("pairs", "iron → gold, a → b")]),
    ],
)
def test_each_number_is_named_with_its_unit(evidence: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert numbers(evidence, LABELS) == expected


def test_a_sections_own_name_comes_before_the_shared_one() -> None:
    assert numbers({"n": 3}, {"n": Label("answers")}) == [("answers", "3")]


@pytest.mark.parametrize("file", sorted(Path(aftertune.__file__).parent.rglob("labels.toml")), ids=str)
def test_p_values_are_written_as_such(file: Path) -> None:
    labels = read_labels(file.parent)
    assert labels and all(one.unit == P_VALUE for key, one in labels.items() if key.startswith("p_value"))
    assert all("_" not in one.name for one in labels.values())
