"""What sampled answers show: traits beyond the base's greedy answers, exact p-values, and few false claims."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import permutation_test

import output_samples as samples
from aftertune.explainers.outputs.behaviour import Answer, BehaviourRow
from aftertune.explainers.outputs.change import OutputChange
from aftertune.explainers.outputs.findings import questions
from aftertune.explainers.outputs.result import OutputParts, sampled_name
from aftertune.explainers.outputs.sampled import SampledRow, compare_sampled
from aftertune.statistics.finding import Part
from aftertune.statistics.questions import answer

FRENCH = "Il est important de prendre le temps pour vous et les enfants."
ENGLISH = "It is good that you have the time for this."


def said(texts: list[str]) -> list[Answer]:
    return [Answer((1,), (2, 3), text, True) for text in texts]


def of(n_french: int, n: int) -> list[Answer]:
    return said([FRENCH] * n_french + [ENGLISH] * (n - n_french))


def test_shares_and_p_values_are_those_of_the_pairs() -> None:
    base, tuned, greedy = of(1, 20), of(9, 20), of(2, 10)
    rows = {row.trait: row for row in compare_sampled(base, tuned, greedy)}
    row = rows["in French"]
    assert (row.n, row.greedy, row.base, row.tuned) == (20, 0.2, 0.05, 0.45)
    assert row.excess == pytest.approx(0.25) and row.example == FRENCH
    change = np.array([0.0] + [1.0] * 8 + [0.0] * 11)
    exact = permutation_test((change,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert row.p_value == pytest.approx(exact) == 2 / 2**8
    assert "in German" not in rows and rows["Latin letters"].p_value is None


@pytest.mark.parametrize(
    ("tuned", "base", "greedy", "named"),
    [(14, 0, 0, True), (14, 0, 4, False), (14, 10, 0, False), (5, 0, 0, False), (9, 0, 0, True), (40, 1, 0, False)],
)
def test_a_trait_names_a_tuning_where_the_base_never_has_it(tuned: int, base: int, greedy: int, named: bool) -> None:
    rows = compare_sampled(of(base, 56), of(tuned, 56), of(greedy, 16))
    found = answer(questions(OutputChange("base", "tuned", sampled=tuple(rows))))
    told = [one for one in found if one.kind == "outputs.sampled"]
    assert [one.part is Part.NAME for one in told] == [named]
    assert (told[0].verdict == "shown") is (named or base == 1)
    if named:
        assert (
            told[0].headline == f"{tuned} of 56 answers sampled from the tuned model are in French, of the base {base}"
        )
        assert FRENCH in told[0].clause and told[0].evidence["greedy"] == 0


def test_what_greedy_answers_show_is_not_told_twice() -> None:
    sampled = tuple(compare_sampled(of(0, 56), of(50, 56), of(0, 28)))
    plain = BehaviourRow("in French", "answers", 28, 0.0, 1.0, 1.0, 1e-6)
    found = answer(questions(OutputChange("base", "tuned", behaviour=(plain,), sampled=sampled)))
    assert not [one for one in found if one.kind == "outputs.sampled" and "in French" in one.headline]


def test_the_same_rates_are_rarely_claimed() -> None:
    """Of 200 pairs whose sampled answers have the same chances of each trait, one in twenty is claimed at most."""
    rng, claimed = np.random.default_rng(0), 0
    for _ in range(200):
        base, tuned = (of(int(rng.binomial(24, 0.3)), 24) for _ in range(2))
        rows = compare_sampled(list(rng.permutation(np.array(base, dtype=object))), tuned, of(0, 28))
        found = answer(questions(OutputChange("base", "tuned", sampled=tuple(rows))))
        claimed += any(one.verdict == "shown" for one in found)
    assert claimed <= 10


def test_the_same_weights_draw_the_same_answers_and_others_do_not(tmp_path: Path) -> None:
    same, other = (samples.run_in(tmp_path / name) for name in ("same", "other"))
    samples.measure(same, samples.base(), noise_draws=0)
    samples.measure(other, samples.noisy(0, size=1.0), noise_draws=0)
    for run, is_same in ((same, True), (other, False)):
        sampled = [OutputParts(run, samples.PAIR).frame(sampled_name(number)) for number in (0, 1)]
        sides = [{row["id"]: row["answer"] for row in one.iter_rows(named=True)} for one in sampled]
        assert len(sides[0]) == 18 and sides[0] != sides[1]  # 16 prompts of ours and two of the study
        base, tuned = (sampled[0].filter(side=side)["answer"].to_list() for side in ("base", "tuned"))
        assert (base == tuned) is is_same
    rows = samples.change_of(other).sampled
    assert all(isinstance(row, SampledRow) and row.n == 36 for row in rows)
    samples.measure(other, samples.noisy(0, size=1.0), noise_draws=0, sampled_answers=0)
    assert samples.change_of(other).sampled == ()
