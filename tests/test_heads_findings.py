from dataclasses import replace
from typing import Any

import pytest

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.claims import claims
from aftertune.explainers.heads.compare import compare_heads, layer_groups
from aftertune.explainers.heads.findings import describe_heads
from aftertune.explainers.heads.list_changes import HEAD
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.rows import DepthControl, DepthTrend, Figure2Control, Table3Control, Table3Row
from aftertune.explainers.heads.table3 import table3
from aftertune.explainers.heads.word_shares import Words, matched_sets, word_shares
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import answer
from aftertune.statistics.spread import Spread
from head_samples import drawn_reading, make_reading

VOCABULARY = [f"w{n}" for n in range(150)]
FREQUENCY = [1 / (n + 5) for n in range(150)]
ASKED = VOCABULARY[5:50:2]
GENERAL = [word for word in VOCABULARY if word not in ASKED]
MORE = [3 * weight if word in ASKED else weight for word, weight in zip(VOCABULARY, FREQUENCY, strict=True)]
CONTROL = Table3Control("permuted", 0.5, 0.5, 0.0, 0.9)
SHOWN = Table3Row(
    layers="0-7",
    instruction=Spread(26, 0.66, 0.27),
    general=Spread(1900, 0.496, 0.319),
    difference=0.164,
    difference_interval=(0.05, 0.27),
    p_value=0.005,
    p_value_holm=0.02,
    p_value_permutation=0.006,
    p_value_permutation_holm=0.024,
    matched=0.5,
    p_value_matched=0.01,
    effect_size_g=0.514,
    controls=(CONTROL,),
)


def small_change() -> HeadChange:
    base, tuned = (
        make_reading("old", {(0, 0): [("write", "tree")]}),
        make_reading("new", {(0, 0): [("write", "stone")]}),
    )
    return compare_heads(base, tuned, ["write"], ["tree", "stone"], asked="instruction verbs")


def claimed(**known: Any) -> Finding:
    (found,) = answer([claims([replace(SHOWN, **known)], small_change())])
    return found


def test_a_difference_is_claimed_with_its_numbers() -> None:
    found = claimed()
    assert found.significant is True
    assert found.headline == (
        "Layers 0-7: pairs with instruction verbs grew in more heads than pairs with general words"
    )
    for number in ("66.0% on average over 26 words", "49.6% over 1,900", "+16.4 points [+5.0, +27.0]", "g = 0.51"):
        assert number in found.sentence
    assert "p = 0.005, a permutation test p = 0.006." in found.sentence
    assert "Corrected for all that this report asks, p = 0.01." in found.sentence  # the largest of the three
    assert "as frequent average 50.0%" in found.sentence and "p = 0.01." in found.sentence
    assert "With permuted word vectors the shares are 50.0% and 50.0%" in found.sentence
    assert found.evidence["difference"] == 0.164 and found.evidence["p_value_corrected"] == 0.01
    assert "grew in fewer heads" in claimed(difference=-0.2).headline


@pytest.mark.parametrize(
    ("known", "doubt"),
    [
        ({"p_value": 0.05}, "no difference shown"),
        ({"p_value_permutation": 0.06}, "no difference shown"),
        ({"controls": ()}, "a difference, not claimed since no control was made"),
        (
            {"controls": (CONTROL, replace(CONTROL, difference=0.1, p_value=0.04))},
            "a difference that arbitrary word vectors show too (permuted)",
        ),
        ({"p_value_matched": 0.05}, "a difference, not shown to be larger than that of other words as frequent"),
        ({"p_value_matched": None}, "a difference, not shown to be larger than that of other words as frequent"),
    ],
)
def test_no_difference_is_claimed_against_a_doubt(known: dict[str, Any], doubt: str) -> None:
    found = claimed(**known)
    assert found.significant is False and found.headline == f"Layers 0-7: {doubt}"


def test_a_control_that_differs_the_other_way_or_by_chance_is_no_doubt() -> None:
    for control in (
        replace(CONTROL, difference=-0.1, p_value=0.001),
        replace(CONTROL, difference=0.1, p_value=0.05),
        Table3Control("permuted", None, 0.5, None, None),
    ):
        assert claimed(controls=(control,)).significant is True


def test_every_row_is_corrected_for_all_others() -> None:
    rows = [replace(SHOWN, layers=layers, pooled=layers == "all") for layers in ("0-7", "8-15", "all")]
    assert [one.significant for one in answer([claims(rows, small_change())])] == [True] * 3
    rows.append(replace(SHOWN, layers="16-23", p_value=0.9))
    rows = [*rows, *(replace(SHOWN, layers="24-31", p_value_matched=None) for _ in range(2))]
    findings = answer([claims(rows, small_change())])  # 0.01 times 6, although three of them can't be claimed
    assert [one.evidence["p_value_corrected"] for one in findings[:3]] == pytest.approx([0.06] * 3)
    assert not any(one.significant for one in findings) and findings[0].headline == "Layers 0-7: no difference shown"


def test_too_few_words_are_not_compared() -> None:
    few = replace(SHOWN, p_value=None, instruction=Spread(1, 1.0, 0.0))
    rows = [few, replace(SHOWN, layers="8-15"), replace(few, layers="16-23")]
    tested, found = answer([claims(rows, small_change())])
    assert tested.significant is True and tested.headline.startswith("Layers 8-15")
    assert found.significant is None
    assert found.headline == "Pairs with instruction verbs: too few heads changed to compare"
    assert found.sentence.endswith("There are 1 and 1900 in layers 0-7, 1 and 1900 in layers 16-23.")
    assert found.evidence["layers 16-23"] == {"words": 1, "general_words": 1900}


def changed_lists(*controls: tuple[float, tuple[float, float] | None, float | None]) -> Finding:
    change = small_change()
    found = tuple(Figure2Control("permuted", 0.5, *one) for one in controls)
    rows = tuple(replace(row, controls=found) for row in change.figure2)
    return describe_heads(replace(change, figure2=rows))[0]


def test_a_change_is_more_than_one_of_words_only_beyond_every_control() -> None:
    beyond = changed_lists((0.2, (0.1, 0.3), 0.001), (0.1, (0.05, 0.2), 0.04))
    assert beyond.significant is True and beyond.headline.endswith(
        "100.0% of word pairs changed, more than in lists of arbitrary words"
    )
    assert "which of them belong together" in beyond.sentence and beyond.evidence["p_value_corrected"] == 0.04
    words_only = changed_lists((0.2, (0.1, 0.3), 0.001), (0.1, (-0.1, 0.2), 0.05))
    assert words_only.significant is False and "no more than in lists" in words_only.headline
    assert "a change of which words the neurons take up" in words_only.sentence
    assert "the excess head by head -20.0 points [-30.0, -10.0]" in changed_lists((-0.2, (-0.3, -0.1), 1.0)).sentence


def test_without_a_control_nothing_is_said_beyond_the_number() -> None:
    for found in (changed_lists(), changed_lists((0.2, None, None))):
        assert found.significant is None and found.headline == "Heads: 100.0% of word pairs changed"
        assert "too few control lists" in found.sentence


def depth_of(correlation: float, p_value: float, *excess: tuple[float, float]) -> Finding:
    controls = tuple(DepthControl("permuted", 0.3, 0.2, *one) for one in excess)
    change = replace(small_change(), depth=DepthTrend(8, 64, correlation, p_value, controls))
    (found,) = [one for one in describe_heads(change) if "correlation" in one.evidence]
    return found


def test_a_trend_with_depth_is_claimed_beyond_its_controls() -> None:
    found = depth_of(0.5, 0.001, (0.4, 0.01))
    assert found.significant is True and found.headline == "Heads: deeper heads change more"
    assert "correlation of +0.50 (p = 0.001" in found.sentence and "that of the excess +0.40" in found.sentence
    assert depth_of(-0.5, 0.001, (-0.4, 0.01)).headline == "Heads: deeper heads change less"
    for excess in ((0.4, 0.06), (-0.4, 0.01)):
        doubted = depth_of(0.5, 0.001, excess)
        assert doubted.significant is False
        assert doubted.headline == "Heads: no trend with depth shown beyond that of arbitrary words"
    assert depth_of(0.5, 0.001).significant is False
    nothing = depth_of(0.5, 0.06, (0.4, 0.01))
    assert nothing.significant is False and nothing.headline == "Heads: no trend with depth shown"


def test_identical_readings_changed_nothing() -> None:
    lists, neurons = {(0, 0): [("write", "tree")]}, {(0, 0, 0): [("write", "tree")]}
    base, tuned = (make_reading(name, lists, neurons) for name in ("old", "new"))
    (found,) = describe_heads(compare_heads(base, tuned, ["write"], ["tree"]))
    assert found.headline == "Heads: nothing changed" and found.significant is None
    assert "in the 1 heads and 1 neuron pairs" in found.sentence


def test_readings_without_pairs_are_said_to_have_none() -> None:
    base, tuned = make_reading("old", {}), make_reading("new", {})
    (found,) = describe_heads(compare_heads(base, tuned, ["write"], ["tree"]))
    assert found.headline == "Heads: no word pair in either model" and "10 words, 9 of them" in found.sentence


def test_one_group_of_layers_is_told_once() -> None:
    change = compare_heads(*two_readings(MORE, FREQUENCY, 0), ASKED, GENERAL, n_groups=1)
    assert [row.layers for row in change.table3] == ["0-7", "all"]
    assert len([one for one in describe_heads(change) if "p_value_matched" in one.evidence]) == 1


def two_readings(tuned: list[float], control: list[float], seed: int) -> tuple[HeadReading, HeadReading]:
    return (
        drawn_reading("old", VOCABULARY, FREQUENCY, 2 * seed),
        drawn_reading("new", VOCABULARY, tuned, 2 * seed + 1, control),
    )


def told(change: HeadChange) -> list[Finding]:
    return [one for one in describe_heads(change) if "p_value_matched" in one.evidence]


def test_planted_growth_is_claimed_unless_the_control_grows_too() -> None:
    planted = compare_heads(*two_readings(MORE, FREQUENCY, 0), ASKED, GENERAL, n_groups=2)
    assert [one.significant for one in told(planted)] == [True] * 3
    explained = compare_heads(*two_readings(MORE, MORE, 0), ASKED, GENERAL, n_groups=2)
    assert not any(one.significant for one in told(explained))
    assert "arbitrary word vectors show too" in told(explained)[-1].headline


def test_growth_of_all_frequent_words_is_not_claimed_of_those_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.heads.word_shares.N_NEIGHBOURS", 10)  # of so small a vocabulary
    frequent = [3 * weight if n < 55 else weight for n, weight in enumerate(FREQUENCY)]
    change = compare_heads(*two_readings(frequent, FREQUENCY, 0), ASKED, GENERAL, n_groups=1)
    assert change.table3[-1].p_value < 0.05 and change.table3[-1].p_value_permutation < 0.05
    assert not any(one.significant for one in told(change))
    assert "other words as frequent" in told(change)[-1].headline


def test_without_an_effect_one_comparison_in_twenty_claims_one_at_most() -> None:
    words, groups = Words(tuple(ASKED), tuple(GENERAL), matched_sets(VOCABULARY, ASKED)), layer_groups(range(8), 2)
    change, found = small_change(), 0
    for seed in range(100):
        base, tuned = two_readings(FREQUENCY, FREQUENCY, seed)
        shares = word_shares(base.pairs, tuned.pairs, HEAD, groups)
        controls = {"permuted": word_shares(base.controls, tuned.controls, HEAD, groups)}
        rows = table3(shares, controls, words, groups, n_permutations=299)
        found += any(one.significant for one in answer([claims(rows, change)]))
    assert found <= 5
