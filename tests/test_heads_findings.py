"""What is claimed of heads, and what speaks against a claim."""

from dataclasses import replace
from typing import Any

import pytest

from aftertune.explainers.heads.change import DepthControl, DepthTrend, Figure2Row, HeadChange, Table3Row
from aftertune.explainers.heads.compare import compare_heads
from aftertune.explainers.heads.findings import questions
from aftertune.explainers.heads.list_changes import HEAD
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.table3 import ComparedWords, matched_sets, table3, word_shares
from aftertune.explainers.heads.verb_findings import word_question
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.layers import layer_groups
from aftertune.statistics.noise import NOISE
from aftertune.statistics.questions import answer
from aftertune.statistics.spread import Spread
from head_samples import drawn_reading, make_reading

VOCABULARY = [f"w{n}" for n in range(150)]
FREQUENCY = [1 / (n + 5) for n in range(150)]
ASKED = VOCABULARY[5:50:2]
GENERAL = [word for word in VOCABULARY if word not in ASKED]
MORE = [3 * weight if word in ASKED else weight for word, weight in zip(VOCABULARY, FREQUENCY, strict=True)]
SHOWN = Table3Row(
    layers="all",
    pooled=True,
    lists="as read",
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
)
CONTROL = Table3Row("all", True, "permuted", Spread(26, 0.5, 0.2), Spread(1900, 0.5, 0.2), 0.0, p_value=0.9)
EMPTY = Spread(0, None, None)


def small_change(**known: Any) -> HeadChange:
    base, tuned = (
        make_reading("old", {(0, 0): [("write", "tree")]}),
        make_reading("new", {(0, 0): [("write", "stone")]}),
    )
    change = compare_heads(base, tuned, ["write"], ["tree", "stone"], verbs_name="instruction verbs")
    return replace(change, **known)


def told(change: HeadChange, kind: str) -> list[Finding]:
    return [finding for finding in answer(questions(change)) if finding.kind == kind]


def of_table3(*rows: Table3Row) -> list[Finding]:
    return answer([word_question(small_change(table3=rows))])


def claimed(*controls: Table3Row, **known: Any) -> Finding:
    (found,) = of_table3(replace(SHOWN, **known), *controls)
    return found


def test_a_difference_is_claimed_with_its_numbers() -> None:
    found = claimed(CONTROL)
    assert (found.kind, found.verdict) == ("heads.verbs", Verdict.SHOWN)
    assert found.headline == "All layers: pairs with instruction verbs grew in more heads than pairs with general words"
    for number in ("66.0% on average over 26 words", "49.6% over 1,900", "+16.4 points [+5.0, +27.0]", "g = 0.51"):
        assert number in found.sentence
    assert "p = 0.005, a permutation test p = 0.006." in found.sentence
    assert "permuted word vectors the shares are 50.0% and 50.0%" in found.sentence
    assert found.evidence["difference"] == 0.164 and found.evidence["doubt"] is None
    assert found.evidence["p_value_corrected"] == 0.01  # the largest of the three
    assert found.evidence["controls"] == {"permuted": {"difference": 0.0, "p_value": 0.9}}
    assert "grew in fewer heads" in claimed(CONTROL, difference=-0.2).headline


@pytest.mark.parametrize(
    ("controls", "known", "doubt"),
    [
        ([CONTROL], {"p_value": 0.05}, "chance"),
        ([CONTROL], {"p_value_permutation": 0.06}, "chance"),
        ([], {}, "no control"),
        ([CONTROL, replace(CONTROL, difference=0.1, p_value=0.04)], {}, "control"),
        ([CONTROL], {"p_value_matched": 0.05}, "frequency"),
        ([CONTROL], {"p_value_matched": None}, "frequency"),
    ],
)
def test_no_difference_is_claimed_against_a_doubt(controls: list[Table3Row], known: dict[str, Any], doubt: str) -> None:
    found = claimed(*controls, **known)
    assert (found.verdict, found.evidence["doubt"]) == (Verdict.NOT_SHOWN, doubt)


def test_a_control_that_differs_the_other_way_or_by_chance_is_no_doubt() -> None:
    for control in (
        replace(CONTROL, difference=-0.1, p_value=0.001),
        replace(CONTROL, difference=0.1, p_value=0.05),
        replace(CONTROL, instruction=EMPTY, difference=None, p_value=None),
    ):
        assert claimed(control).verdict is Verdict.SHOWN


def with_control(layers: str, **known: Any) -> list[Table3Row]:
    pooled = layers == "all"
    row, control = replace(SHOWN, layers=layers, pooled=pooled, **known), replace(CONTROL, layers=layers, pooled=pooled)
    return [row, control]


def test_every_row_is_corrected_for_all_others() -> None:
    rows = [row for layers in ("0-7", "8-15", "all") for row in with_control(layers)]
    assert [one.verdict for one in of_table3(*rows)] == [Verdict.SHOWN] * 3
    rows += with_control("16-23", p_value=0.9)
    rows += [*with_control("24-31", p_value_matched=None), *with_control("32-39", p_value_matched=None)]
    findings = of_table3(*rows)  # 0.01 times 6, although three of them can't be claimed
    assert [one.evidence["p_value_corrected"] for one in findings[:3]] == pytest.approx([0.06] * 3)
    assert {one.verdict for one in findings} == {Verdict.NOT_SHOWN} and findings[0].evidence["doubt"] == "chance"


def test_too_few_words_are_not_compared() -> None:
    few = {"p_value": None, "instruction": Spread(1, 1.0, 0.0)}
    tested, found = of_table3(*with_control("0-7", **few), *with_control("8-15"), *with_control("16-23", **few))
    assert (tested.verdict, tested.evidence["layers"]) == (Verdict.SHOWN, "8-15")
    assert (found.kind, found.verdict) == ("heads.verbs", Verdict.CANNOT_TELL)
    assert found.evidence["layers"] == {name: {"words": 1, "general_words": 1900} for name in ("0-7", "16-23")}


def changed_lists(*controls: tuple[float, tuple[float, float] | None, float | None], noise: Any = None) -> Finding:
    """``noise`` is the excess over noise with its p-value; none was read where it is None."""
    change, names = small_change(), [f"control {n}" for n in range(len(controls))]
    if noise is not None:
        controls, names = (*controls, (noise[0], None, noise[1])), [*names, NOISE]
    own = tuple(
        Figure2Row("head", "all", True, name, EMPTY, None, *one) for name, one in zip(names, controls, strict=True)
    )
    (found,) = told(replace(change, figure2=(*change.figure2, *own)), "heads.distance")
    return found


def test_a_change_is_more_than_one_of_words_only_beyond_every_control() -> None:
    beyond = changed_lists((0.2, (0.1, 0.3), 0.001), (0.1, (0.05, 0.2), 0.04), noise=(0.1, 0.01))
    assert (beyond.verdict, beyond.evidence["p_value_corrected"]) == (Verdict.SHOWN, 0.04)
    assert "100.0%" in beyond.headline and beyond.evidence["head"]["distance"] == 1.0
    assert beyond.evidence["head"]["controls"]["control 1"]["excess_interval"] == (0.05, 0.2)
    words_only = changed_lists((0.2, (0.1, 0.3), 0.001), (0.1, (-0.1, 0.2), 0.05), noise=(0.1, 0.01))
    assert words_only.verdict is Verdict.NOT_SHOWN and words_only.headline != beyond.headline
    assert "-20.0 points [-30.0, -10.0]" in changed_lists((-0.2, (-0.3, -0.1), 1.0)).sentence


def test_a_change_is_claimed_only_beyond_noise_of_the_same_size() -> None:
    control = (0.2, (0.1, 0.3), 0.001)
    assert changed_lists(control, noise=(0.1, 0.06)).verdict is Verdict.NOT_SHOWN
    less = changed_lists(control, noise=(-0.1, 0.001))  # noise changes more pairs: its test is two-sided
    assert (less.verdict, less.evidence["p_value_corrected"]) == (Verdict.NOT_SHOWN, 1.0)
    assert changed_lists(control).verdict is Verdict.CANNOT_TELL
    assert changed_lists(control, noise=(0.1, None)).verdict is Verdict.CANNOT_TELL


def test_without_a_control_nothing_is_said_beyond_the_number() -> None:
    for found in (changed_lists(), changed_lists((0.2, None, None))):
        assert found.verdict is Verdict.CANNOT_TELL and found.headline == "Heads: 100.0% of word pairs changed"


def test_a_trend_with_depth_is_described_beside_noise_and_not_claimed() -> None:
    controls = (DepthControl("permuted", 0.3, 0.2, 0.4, 0.001), DepthControl(NOISE, 0.45, 0.001, 0.1, 0.2))
    (found,) = told(small_change(depth=DepthTrend(8, 64, 0.5, 0.001, controls)), "heads.depth")
    assert found.verdict is Verdict.NOT_TESTED and "p_value_corrected" not in found.evidence
    assert found.headline == "Heads: rank correlation of depth and change +0.50, with noise of the same size +0.45"
    assert found.evidence["controls"][NOISE] == {"correlation": 0.45, "excess_correlation": 0.1}


def test_identical_readings_changed_nothing() -> None:
    lists, neurons = {(0, 0): [("write", "tree")]}, {(0, 0, 0): [("write", "tree")]}
    base, tuned = (make_reading(name, lists, neurons) for name in ("old", "new"))
    (found,) = answer(questions(compare_heads(base, tuned, ["write"], ["tree"])))
    assert (found.kind, found.verdict) == ("heads.unchanged", Verdict.NOT_TESTED)
    assert found.evidence["head"]["distance"] == found.evidence["neuron_pair"]["distance"] == 0.0


def test_readings_without_pairs_are_said_to_have_none() -> None:
    base, tuned = make_reading("old", {}), make_reading("new", {})
    (found,) = answer(questions(compare_heads(base, tuned, ["write"], ["tree"])))
    assert (found.kind, found.verdict) == ("heads.no_pairs", Verdict.CANNOT_TELL)
    assert "10 words, 9 of them" in found.sentence


def test_one_group_of_layers_is_told_once() -> None:
    change = compare_heads(*two_readings(MORE, FREQUENCY, 0), ASKED, GENERAL, n_groups=1)
    assert [row.layers for row in change.table3 if not row.is_control] == ["0-7", "all"]
    (found,) = told(change, "heads.verbs")
    assert found.evidence["layers"] == "all"


def two_readings(tuned: list[float], control: list[float], seed: int) -> tuple[HeadReading, HeadReading]:
    return (
        drawn_reading("old", VOCABULARY, FREQUENCY, 2 * seed),
        drawn_reading("new", VOCABULARY, tuned, 2 * seed + 1, control),
    )


def test_planted_growth_is_claimed_unless_the_control_grows_too() -> None:
    planted = compare_heads(*two_readings(MORE, FREQUENCY, 0), ASKED, GENERAL, n_groups=2)
    assert [one.verdict for one in told(planted, "heads.verbs")] == [Verdict.SHOWN] * 3
    explained = told(compare_heads(*two_readings(MORE, MORE, 0), ASKED, GENERAL, n_groups=2), "heads.verbs")
    assert not any(one.verdict is Verdict.SHOWN for one in explained)
    assert explained[-1].evidence["doubt"] == "control" and "(permuted)" in explained[-1].headline


def test_growth_of_all_frequent_words_is_not_claimed_of_those_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.heads.table3.N_NEIGHBOURS", 10)  # of so small a vocabulary
    frequent = [3 * weight if n < 55 else weight for n, weight in enumerate(FREQUENCY)]
    change = compare_heads(*two_readings(frequent, FREQUENCY, 0), ASKED, GENERAL, n_groups=1)
    (row,) = [row for row in change.table3 if row.pooled and not row.is_control]
    assert row.p_value < 0.05 and row.p_value_permutation < 0.05
    (found,) = told(change, "heads.verbs")
    assert (found.verdict, found.evidence["doubt"]) == (Verdict.NOT_SHOWN, "frequency")


def test_without_an_effect_one_comparison_in_twenty_claims_one_at_most() -> None:
    words, groups = (
        ComparedWords(tuple(ASKED), tuple(GENERAL), matched_sets(VOCABULARY, ASKED)),
        layer_groups(range(8), 2),
    )
    change, found = small_change(), 0
    for seed in range(100):
        base, tuned = two_readings(FREQUENCY, FREQUENCY, seed)
        shares = word_shares(base.pairs, tuned.pairs, HEAD, groups)
        controls = {"permuted": word_shares(base.controls, tuned.controls, HEAD, groups)}
        rows = table3(shares, controls, words, groups, n_permutations=299)
        findings = answer([word_question(replace(change, table3=rows))])
        found += any(one.verdict is Verdict.SHOWN for one in findings)
    assert found <= 5
