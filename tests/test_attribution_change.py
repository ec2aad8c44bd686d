"""Two models' maps in, one change out: tables, instances, repetition, the check against removal."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from aftertune.errors import RunError
from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.controls import Table2Control, table2_controls
from aftertune.explainers.attribution.density_comparison import table2
from aftertune.explainers.attribution.descriptive_findings import describe_agreement, describe_rater
from aftertune.explainers.attribution.faithfulness import rater_rows, summarise_agreement
from aftertune.explainers.attribution.findings import measures, questions
from aftertune.explainers.attribution.result import Agreement, SalientMap
from aftertune.explainers.attribution.sample_size import say_what_can_show
from aftertune.statistics.effects import detectable_paired_effect
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import answer
from comparison_samples import make_map, score_of

LOOP = ("▁go", "▁on", "▁and", "▁on") * 4


def group(model: str, ks: list[int], dataset: str = "d") -> list[SalientMap]:
    return [make_map(str(n), model, k, dataset) for n, k in enumerate(ks)]


def with_p(row: Table2Control, p: float, excess: float | None = 1.0) -> Table2Control:
    return replace(row, score=replace(row.score, p_value=p), excess=replace(row.excess, p_value=excess))


def found_in(change: AttributionChange, what: str) -> list[Finding]:
    """The findings of a kind."""
    return [one for one in answer(questions(change)) if one.kind == f"attribution.{what}"]


def verdict(change: AttributionChange) -> Verdict:
    return found_in(change, "density")[0].verdict


def test_the_comparison_is_plain_json() -> None:
    rated = [replace(m, helpfulness=1 + 3 * (n % 2)) for n, m in enumerate(group("tuned", [4, 9, 16, 2]))]
    check = summarise_agreement({"base": [Agreement("zeroed", 0.5, 0.5)]})
    comparison = compare_maps([*group("base", [1, 2, 3, 4]), *rated], "base", "tuned", agreement=check)
    data = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    tables = {"table1", "table2", "table2_answered", "figure6", "instances", "agreement", "raters", "faithfulness"}
    tables |= {"table1_controls", "table2_controls", "differences", "n_beyond", "overflowed", "instruction"}
    assert set(data) == {"base", "tuned", "labels", "settings"} | tables
    assert data["agreement"]["per_model"]["base"]["spearman_mean"] == 0.5 and data["labels"] is None
    assert data["table1"][0]["followed"] == pytest.approx(
        {"n": 2, "mean": (score_of(9) + score_of(2)) / 2, "std": (score_of(9) - score_of(2)) / 2}
    )
    assert data["table2"][0]["paired"]["n_pairs"] == 4
    assert len(data["figure6"][0]["quarters"]) == 4


def test_one_instance_gives_none_not_nan() -> None:
    comparison = compare_maps([*group("base", [1]), *group("tuned", [4])], "base", "tuned")
    data = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["table2"][0]
    assert data["difference"] == pytest.approx(score_of(4) - score_of(1))
    assert [data[key] for key in ("p_value", "p_value_holm", "difference_interval", "effect_size_g")] == [None] * 4
    assert verdict(comparison) is Verdict.CANNOT_TELL


def test_instances_stand_beside_each_other() -> None:
    loop = make_map("1", "tuned", 4, response=LOOP)
    rows = compare_maps([*group("base", [1, 9]), loop, make_map("2", "tuned", 3)], "base", "tuned").instances
    assert [row.id for row in rows] == ["0", "1", "2"]
    assert (rows[0].score_base, rows[0].score_tuned, rows[0].difference) == (pytest.approx(score_of(1)), None, None)
    assert rows[1].difference == pytest.approx(score_of(4) - score_of(9))
    assert (rows[1].copied_share_tuned, rows[1].repetitive_tuned, rows[1].repetitive_base) == (0.75, True, False)
    assert rows[1].score_novel_tuned == pytest.approx(score_of(4))
    assert (rows[1].n_prompt_tuned, rows[1].n_response_tuned, rows[2].n_response_base) == (2, 16, None)


@pytest.mark.parametrize(
    ("maps", "base", "tuned", "text"),
    [
        ([make_map("a", "m", 1)], "m", "m", "both 'm'"),
        ([make_map("a", "m", 1)], "m", "n", "no map of the model 'n'"),
        ([], "m", "n", "no model"),
        ([*[make_map("a", "m", 1)] * 2, make_map("a", "n", 1)], "m", "n", "2 maps of prompt 'a'"),
    ],
)
def test_what_cannot_be_compared_is_refused(maps: list[SalientMap], base: str, tuned: str, text: str) -> None:
    with pytest.raises(RunError, match=text):
        compare_maps(maps, base, tuned)


def shifted(n: int, up: bool, steps: int = 3) -> AttributionChange:
    """``n`` prompts whose score all rises, or all falls, by a little within a wide spread of prompts."""
    low, high = [k % 13 for k in range(n)], [k % 13 + steps for k in range(n)]
    return compare_maps([*group("old", low if up else high), *group("new", high if up else low)], "old", "new")


@pytest.mark.parametrize(("up", "word"), [(True, "more densely"), (False, "less densely")])
def test_eighteen_up_and_eighteen_down_are_both_shown(up: bool, word: str) -> None:
    change = shifted(18, up, steps=1)
    (found,) = found_in(change, "density")
    (row,) = change.table2
    assert found.verdict is Verdict.SHOWN and found.headline.endswith(f"uses its instructions {word}")
    assert (row.paired.n_higher, row.paired.n_lower) == ((18, 0) if up else (0, 18))
    assert row.paired.p_value is not None and row.paired.p_value < 0.001  # 2 / 2^18, from drawn permutations
    assert row.p_value is not None and row.p_value > 0.05  # the paper's test finds neither
    assert found.evidence["p_value_paper"] == row.p_value and found.evidence["p_value"] == row.paired.p_value
    assert found.evidence["paired"]["n_pairs"] == 18
    (measure,) = measures(change)
    assert (measure.name, measure.value) == ("density_change", row.paired.difference)  # nothing is copied


def test_five_pairs_cannot_show_anything_and_that_is_said() -> None:
    (found,) = found_in(shifted(5, True), "density")
    assert found.verdict is Verdict.NOT_SHOWN and found.evidence["p_value"] == pytest.approx(2 / 32)
    assert found.evidence["detectable_effect"] is None
    assert "with 5 prompts no two-sided test within prompts can give p below 0.062" in found.sentence
    (six,) = found_in(shifted(6, True), "density")
    assert six.verdict is Verdict.SHOWN and six.evidence["p_value"] == pytest.approx(2 / 64)


def test_prompts_whose_score_stays_do_not_count_as_pairs_that_could_show_something() -> None:
    maps = [*group("old", [1, 2, 3, 4, 5, 6, 7]), *group("new", [1, 2, 3, 5, 6, 7, 8])]
    (found,) = found_in(compare_maps(maps, "old", "new"), "density")
    assert found.verdict is Verdict.NOT_SHOWN and found.evidence["p_value"] == pytest.approx(2 / 16)
    assert "with 4 prompts whose score differs (of 7)" in found.sentence and "below 0.12" in found.sentence
    (same,) = found_in(compare_maps([*group("old", [1, 2, 3]), *group("new", [1, 2, 3])], "old", "new"), "density")
    assert same.verdict is Verdict.NOT_SHOWN and same.evidence["p_value_corrected"] == 1


def test_the_papers_test_decides_nothing() -> None:
    found = shifted(18, True)
    for p in (0.9, 1e-9, None):
        assert verdict(replace(found, table2=(replace(found.table2[0], p_value=p),))) is Verdict.SHOWN
    doubtful = (with_p(found.table2_controls[0], 0.2),)
    sure = (replace(found.table2[0], p_value=1e-9),)
    assert verdict(replace(found, table2=sure, table2_controls=doubtful)) is Verdict.NOT_SHOWN


def test_a_claim_needs_the_correction() -> None:
    found = shifted(18, True)
    weak = with_p(found.table2_controls[0], 0.03, excess=None)
    assert verdict(replace(found, table2_controls=(weak,))) is Verdict.SHOWN
    twice = found_in(replace(found, table2=found.table2 * 2, table2_controls=(weak, weak)), "density")
    assert [one.verdict for one in twice] == [Verdict.NOT_SHOWN] * 2
    assert [one.evidence["p_value_corrected"] for one in twice] == [0.06] * 2


def test_no_difference_is_never_claimed() -> None:
    maps = [*group("old", [4, 8, 6, 5, 3, 9]), *group("new", [5, 7, 4, 6, 4, 8])]
    (found,) = found_in(compare_maps(maps, "old", "new"), "density")
    assert found.verdict is Verdict.NOT_SHOWN
    effect, std = found.evidence["detectable_effect"], found.evidence["paired"]["std"]
    assert effect == detectable_paired_effect(6)
    assert f"{effect:.2f} standard deviations" in found.sentence and f"here {effect * std:.3f}" in found.sentence


@pytest.mark.parametrize(("n", "said"), [(5, "below 0.062. Give 6"), (1, "1 prompt no"), (6, "about 1.79 standard")])
def test_what_prompts_can_show_is_said_before_they_are_run(n: int, said: str) -> None:
    assert said in say_what_can_show(n)


def test_ratings_are_described() -> None:
    rated = [make_map(f"{h}{n}", "new", k + n, helpfulness=h) for h, k in ((1, 1), (4, 8)) for n in range(4)]
    (found,) = found_in(compare_maps([*rated, make_map("x", "old", 2)], "old", "new"), "ratings")
    assert found.verdict is Verdict.SHOWN and found.evidence["auroc"] == 1
    assert (found.evidence["model"], found.evidence["n_followed"], found.evidence["n_unfollowed"]) == ("new", 4, 4)


def test_ratings_need_both_two_sided_tests_and_the_papers_decides_nothing() -> None:
    rated = [make_map(f"{h}{n}", "new", k + n, helpfulness=h) for h, k in ((1, 8), (4, 1)) for n in range(4)]
    change = compare_maps([*rated, make_map("x", "old", 2)], "old", "new")
    (found,) = found_in(change, "ratings")
    assert found.verdict is Verdict.SHOWN and found.evidence["auroc"] == 0 and found.headline.endswith("less densely")
    assert found.evidence["p_value"] > 0.95  # the paper's asks for an increase only
    for doubt in ({"p_value_two_sided": 0.2}, {"p_value_permutation": 0.2}):
        (first,) = found_in(replace(change, table1=(replace(change.table1[0], **doubt),)), "ratings")
        assert first.verdict is Verdict.NOT_SHOWN and first.evidence["p_value_corrected"] == 0.2


def test_copied_responses_are_named() -> None:
    loop = [replace(m, response_tokens=LOOP) for m in group("new", [1, 16, 1])]
    rated = [loop[0], replace(loop[1], helpfulness=1), replace(loop[2], helpfulness=4)]
    (copied,) = found_in(compare_maps([*group("old", [9, 9, 0]), *rated], "old", "new"), "repetition")
    assert copied.verdict is Verdict.NOT_TESTED
    assert (copied.evidence["repetitive_base"], copied.evidence["repetitive_tuned"]) == (0, 3)


def test_prompts_that_both_answered_are_compared_again() -> None:
    silent = replace(make_map("1", "old", 0), response_tokens=(), levels=np.zeros((2, 0), dtype=np.uint8))
    comparison = compare_maps([make_map("0", "old", 9), silent, *group("new", [4, 16])], "old", "new")
    (row,) = comparison.table2_answered
    assert (row.base.n, row.tuned.n, row.paired.n_pairs) == (1, 1, 1)
    assert row.difference == pytest.approx(score_of(4) - score_of(9))
    (finding,) = found_in(comparison, "answered")
    assert finding.evidence["n_pairs"] == 1 and finding.verdict is Verdict.NOT_TESTED
    assert compare_maps([*group("old", [9, 1]), *group("new", [4, 16])], "old", "new").table2_answered == ()


def test_agreement_is_pooled_and_told_by_its_size() -> None:
    checks = {
        "old": [Agreement("zeroed", 0.9, 0.5), Agreement("zeroed", 0.7, 1.0)],
        "new": [Agreement("zeroed", 0.8, 0.0)],
    }
    found = summarise_agreement(checks)
    assert found is not None
    assert (found.n_instances, found.spearman_mean, found.top1_agreement) == (3, pytest.approx(0.8), 0.5)
    assert found.spearman_std == pytest.approx(0.1) and found.per_model["new"].spearman_std is None
    headlines = []
    for correlation in (0.8, 0.5, 0.3, 0.02):
        told = describe_agreement(replace(found, spearman_mean=correlation))
        assert (told.kind, told.verdict) == ("attribution.agreement", Verdict.NOT_TESTED)
        headlines.append(told.headline)
        assert told.evidence["spearman_mean"] == correlation and f"{correlation:.2f}" in told.sentence
    assert headlines[1] == headlines[2] and len(set(headlines)) == 3
    assert summarise_agreement({"old": [], "new": []}) is None


def test_how_far_raters_agree_is_told_with_its_alpha() -> None:
    (row,) = rater_rows([np.array([[1, 1], [1, 2]]), np.array([[2, 3], [3, 3.0]])], [])
    assert (row.what, row.n_raters, row.n_units, row.n_prompts) == ("ratings", 2, 4, 2)
    found = describe_rater(row)
    assert row.alpha == pytest.approx(0.708, abs=5e-4) and "0.71 [" in found.sentence
    assert (found.kind, found.verdict) == ("attribution.raters", Verdict.NOT_TESTED)
    (low,) = rater_rows([], [np.array([[0, 1], [1, 0], [1, 1.0]])])
    assert low.what == "instructions" and "Do not rely on" in describe_rater(low).sentence
    (same,) = rater_rows([np.array([[4, 4.0]])], [])
    assert same.alpha is None and describe_rater(same).evidence["alpha"] is None
    assert rater_rows([np.array([[1, np.nan]])], []) == ()


def test_position_is_described_without_a_claim() -> None:
    (position,) = found_in(compare_maps([*group("old", [9, 4]), *group("new", [9, 4])], "old", "new"), "positions")
    # Each sentence is one token, so every quarter holds the same.
    assert position.verdict is Verdict.NOT_TESTED and position.evidence["u_shaped"] == []
    assert position.evidence["ends_share_base"] == pytest.approx(0.5)


def only_table2(maps: list[SalientMap]) -> AttributionChange:
    rows, controls = ([row for row in make(maps, "old", "new") if not row.pooled] for make in (table2, table2_controls))
    return AttributionChange("old", "new", (), tuple(rows), (), (), (), table2_controls=tuple(controls))


@pytest.fixture
def without_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interval is looked at in many runs."""
    monkeypatch.setattr("aftertune.statistics.effects.bootstrap_interval", lambda *_: (0.0, 1.0))


@pytest.mark.usefixtures("without_intervals")
def test_without_a_difference_one_run_in_twenty_finds_one() -> None:
    found, generator = 0, np.random.default_rng(5)
    for _ in range(200):
        maps = [m for model in ("old", "new") for m in group(model, generator.integers(0, 17, 25).tolist())]
        found += verdict(only_table2(maps)) is Verdict.SHOWN
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.05)
    assert low <= found <= high


@pytest.mark.usefixtures("without_intervals")
def test_two_data_sets_without_a_difference_rarely_find_one_in_either() -> None:
    found, generator = 0, np.random.default_rng(5)
    for _ in range(200):
        maps = [
            m
            for d in ("x", "y")
            for model in ("old", "new")
            for m in group(model, generator.integers(0, 17, 12).tolist(), d)
        ]
        change = only_table2(maps)
        found += any(one.verdict is Verdict.SHOWN for one in found_in(change, "density"))
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.05)
    assert low <= found <= high
