"""The paper's tables 1 and 2 and figure 6 from its released maps, against its published figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from aftertune.explainers.attribution.change import AttributionChange, compare_maps
from aftertune.explainers.attribution.findings import questions
from aftertune.explainers.attribution.map_file import read_maps
from aftertune.explainers.attribution.released import locate
from aftertune.explainers.attribution.result import SalientMap
from aftertune.prompts.formats import read_prompts
from aftertune.statistics.effects import auroc
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import answer

# Mean and ± of followed and unfollowed (table 1), tuned and base (table 2), and p.
TABLE1 = {
    "self_instruct": (1.2283, 0.52, 0.8917, 0.48, 1.4e-4),
    "mt_bench": (1.4584, 0.55, 0.9290, 0.53, 2.3e-4),
}
TABLE2 = {
    "self_instruct": (1.1302, 0.54, 0.9394, 0.48, 1.9e-5),
    "mt_bench": (1.3440, 0.60, 1.1777, 0.58, 0.0382),
}


@pytest.fixture(scope="module")
def maps(shared_data: Path) -> list[SalientMap]:
    prompts = {prompt.id: prompt for prompt in read_prompts(shared_data / "annotated_prompts.jsonl")}
    return [locate(raw, prompts[raw.id]) for raw in read_maps(shared_data / "released_maps.parquet")]


@pytest.fixture(scope="module")
def comparison(maps: list[SalientMap]) -> AttributionChange:
    return compare_maps(maps, "llama_7b", "vicuna_7b")


def test_every_prompt_aligns_to_its_last_character(maps: list[SalientMap]) -> None:
    assert len(maps) == 664
    for salient in maps:
        start, end = salient.offsets.T
        covered = np.zeros(len(salient.text) + 1, dtype=int)
        np.add.at(covered, start, 1)
        np.add.at(covered, end, -1)
        # No character is left out, white space included: the released prompts align exactly.
        assert (np.cumsum(covered)[:-1] >= 1).all()
        assert salient.is_instruction.any()


def test_table1_is_the_published_one(comparison: AttributionChange) -> None:
    rows = {row.dataset: row for row in comparison.table1}
    assert set(rows) == {*TABLE1, "all"} and {row.model for row in rows.values()} == {"vicuna_7b"}
    for name, (followed, followed_std, unfollowed, unfollowed_std, p) in TABLE1.items():
        row = rows[name]
        assert (row.followed.mean, row.unfollowed.mean) == pytest.approx((followed, unfollowed), abs=0.005)
        assert (row.followed.std, row.unfollowed.std) == pytest.approx((followed_std, unfollowed_std), abs=0.0085)
        assert p / 3 < (row.p_value or 0) < 3 * p
    sizes = {name: (row.followed.n, row.unfollowed.n) for name, row in rows.items()}
    assert sizes == {"self_instruct": (194, 44), "mt_bench": (60, 19), "all": (254, 63)}


def test_table2_is_the_published_one(comparison: AttributionChange) -> None:
    rows = {row.dataset: row for row in comparison.table2}
    for name, (tuned, tuned_std, base, base_std, p) in TABLE2.items():
        row = rows[name]
        assert (row.tuned.mean, row.base.mean) == pytest.approx((tuned, base), abs=0.005)
        assert (row.tuned.std, row.base.std) == pytest.approx((tuned_std, base_std), abs=0.0085)
        assert row.p_value == pytest.approx(p, rel=0.05)
        assert row.paired.n_pairs == row.base.n == row.tuned.n
    assert rows["all"].base.n == 332


def test_figure6_is_a_u_and_sharper_in_the_base(comparison: AttributionChange) -> None:
    shares = {(row.dataset, row.model): row.quarters for row in comparison.figure6}
    assert len(shares) == 4
    for first, second, third, last in shares.values():
        assert min(first, last) > max(second, third)
        assert first + second + third + last == pytest.approx(1)
    for name in TABLE2:
        base, tuned = shares[name, "llama_7b"], shares[name, "vicuna_7b"]
        assert base[0] + base[3] > tuned[0] + tuned[3]


def test_findings_say_what_the_paper_says(comparison: AttributionChange) -> None:
    findings = answer(questions(comparison))
    assert [one.kind for one in findings[:6]] == ["attribution.density"] * 3 + ["attribution.ratings"] * 3
    assert [one.verdict for one in findings[:6]] == [Verdict.SHOWN] * 6
    assert {one.verdict for one in findings[6:]} == {Verdict.NOT_TESTED}
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["instances"][0]["id"] == "mtbench_coding_121"


def test_the_base_copies_more(comparison: AttributionChange) -> None:
    rows = comparison.instances
    assert sum(bool(row.repetitive_base) for row in rows) == 298
    assert sum(bool(row.repetitive_tuned) for row in rows) == 101


def test_responses_that_say_the_prompt_again_are_flagged(comparison: AttributionChange) -> None:
    rows = {row.id: row for row in comparison.instances}
    # Vicuna repeats these prompts as in figure 5; both were rated 1.
    for name in ("user_oriented_task_126", "mtbench_reasoning_103"):
        row = rows[name]
        assert row.repetitive_tuned and row.helpfulness_tuned == 1
        assert (row.score_novel_tuned or 0) < 0.5 * (row.score_tuned or 0)


@pytest.mark.parametrize(("name", "plain", "novel"), [("self_instruct", 0.682, 0.836), ("mt_bench", 0.773, 0.774)])
def test_auroc_with_and_without_copied_tokens(
    comparison: AttributionChange, name: str, plain: float, novel: float
) -> None:
    rated = [r for r in comparison.instances if r.dataset == name and r.helpfulness_tuned]
    rated = [r for r in rated if (r.n_response_tuned or 0) >= 5]
    is_followed = np.array([r.helpfulness_tuned != 1 for r in rated])
    for key, expected in (("score_tuned", plain), ("score_novel_tuned", novel)):
        scores = np.array([getattr(r, key) for r in rated])
        assert auroc(scores[is_followed], scores[~is_followed]) == pytest.approx(expected, abs=0.001)
