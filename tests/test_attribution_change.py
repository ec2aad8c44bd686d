"""Two models' maps in, one change out: tables, instances, repetition, the check against removal."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from aftertune.errors import RunError
from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.density_comparison import table2
from aftertune.explainers.attribution.descriptive_findings import describe_agreement, describe_rater
from aftertune.explainers.attribution.faithfulness import rater_rows, summarise_agreement
from aftertune.explainers.attribution.findings import measures, questions
from aftertune.explainers.attribution.result import Agreement, SalientMap
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import answer
from comparison_samples import make_map, score_of

LOOP = ("▁go", "▁on", "▁and", "▁on") * 4


def group(model: str, ks: list[int], dataset: str = "d") -> list[SalientMap]:
    return [make_map(str(n), model, k, dataset) for n, k in enumerate(ks)]


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
    tables = {"table1", "table2", "table2_answered", "figure6", "instances", "agreement", "raters"}
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


def test_a_shown_difference_is_claimed_with_its_numbers() -> None:
    maps = [*group("old", [1, 2, 3, 2, 1] * 5), *group("new", [8, 9, 12, 16, 7] * 5)]
    change = compare_maps(maps, "old", "new")
    (found,) = found_in(change, "density")
    assert found.verdict is Verdict.SHOWN
    assert f"{found.evidence['difference']:+.3f}" in found.sentence and "25 pairs" in found.sentence
    assert found.evidence["p_value_holm"] < 0.05 and found.evidence["paired"]["p_value"] < 0.05
    (measure,) = measures(change)
    assert (measure.name, measure.value) == ("density_change", change.table2[0].paired.difference)


def test_a_claim_needs_both_tests_and_the_correction() -> None:
    maps = [*group("old", [1, 2, 3, 2, 1] * 5), *group("new", [8, 9, 12, 16, 7] * 5)]
    found = compare_maps(maps, "old", "new")
    for doubt in ({"p_value": 0.2}, {"p_value_permutation": 0.2}):
        (first,) = found_in(replace(found, table2=(replace(found.table2[0], **doubt),)), "density")
        assert first.verdict is Verdict.NOT_SHOWN and first.evidence["p_value_corrected"] == 0.2
    weak = replace(found.table2[0], p_value=0.03, p_value_permutation=0.02)
    assert verdict(replace(found, table2=(weak,))) is Verdict.SHOWN
    twice = found_in(replace(found, table2=(weak, weak)), "density")
    assert [one.verdict for one in twice] == [Verdict.NOT_SHOWN] * 2
    assert [one.evidence["p_value_corrected"] for one in twice] == [0.06] * 2


def test_no_difference_is_never_claimed() -> None:
    maps = [*group("old", [4, 8, 6, 5]), *group("new", [5, 7, 4, 6])]
    (found,) = found_in(compare_maps(maps, "old", "new"), "density")
    assert found.verdict is Verdict.NOT_SHOWN
    assert f"g = {found.evidence['detectable_effect_g']:.2f}" in found.sentence


def test_a_difference_the_other_way_is_reported_but_not_claimed() -> None:
    maps = [*group("old", [8, 9, 12, 16, 7] * 5), *group("new", [1, 2, 3, 2, 1] * 5)]
    (found,) = found_in(compare_maps(maps, "old", "new"), "density")
    assert found.verdict is Verdict.NOT_SHOWN and found.evidence["difference"] < 0
    assert f"p = {found.evidence['p_value_two_sided']:.2g}" in found.sentence


def test_ratings_are_described() -> None:
    rated = [make_map(f"{h}{n}", "new", k + n, helpfulness=h) for h, k in ((1, 1), (4, 8)) for n in range(4)]
    (found,) = found_in(compare_maps([*rated, make_map("x", "old", 2)], "old", "new"), "ratings")
    assert found.verdict is Verdict.SHOWN and found.evidence["auroc"] == 1
    assert (found.evidence["model"], found.evidence["n_followed"], found.evidence["n_unfollowed"]) == ("new", 4, 4)


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
    for correlation, kind in ((0.8, "follows"), (0.5, "follows"), (0.3, "follows"), (0.02, "ignores")):
        told = describe_agreement(replace(found, spearman_mean=correlation))
        assert (told.kind, told.verdict) == (f"attribution.{kind}_removal", Verdict.NOT_TESTED)
        assert told.evidence["spearman_mean"] == correlation and f"{correlation:.2f}" in told.sentence
    assert "route 'removal'" in told.sentence
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


def test_without_a_difference_one_run_in_twenty_finds_one() -> None:
    found, generator = 0, np.random.default_rng(5)
    for _ in range(200):
        maps = [m for model in ("old", "new") for m in group(model, generator.integers(0, 17, 25).tolist())]
        rows = table2(maps, "old", "new")
        found += verdict(AttributionChange("old", "new", (), rows, (), (), ())) is Verdict.SHOWN
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.05)
    assert low <= found <= high


def test_two_data_sets_without_a_difference_rarely_find_one_in_either() -> None:
    found, generator = 0, np.random.default_rng(5)
    for _ in range(200):
        maps = [
            m
            for d in ("x", "y")
            for model in ("old", "new")
            for m in group(model, generator.integers(0, 17, 12).tolist(), d)
        ]
        rows = [row for row in table2(maps, "old", "new") if not row.pooled]
        change = AttributionChange("old", "new", (), tuple(rows), (), (), ())
        found += any(one.verdict is Verdict.SHOWN for one in found_in(change, "density"))
    low, high = stats.binom.ppf([0.001, 0.999], 200, 0.05)
    assert low <= found <= high
