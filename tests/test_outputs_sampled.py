"""What sampled answers show: traits that the base never has, exact p-values, and few false claims."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import permutation_test

import output_samples as samples
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs import OutputSettings
from aftertune.explainers.outputs.behaviour import Answer, BehaviourRow
from aftertune.explainers.outputs.change import OutputChange
from aftertune.explainers.outputs.cost import remaining
from aftertune.explainers.outputs.findings import questions
from aftertune.explainers.outputs.result import SHOWN, OutputParts, sampled_name
from aftertune.explainers.outputs.sampled import compare_sampled
from aftertune.explainers.outputs.show import section
from aftertune.models.cost import Cost
from aftertune.models.size import size_by_config
from aftertune.statistics.finding import Finding, Part
from aftertune.statistics.questions import answer

FRENCH = "Il est important de prendre le temps pour vous et les enfants."
ENGLISH = "It is good that you have the time for this."


def said(texts: list[str]) -> list[Answer]:
    return [Answer((1,), (2, 3), text, True) for text in texts]


def of(n_french: int, n: int) -> list[Answer]:
    return said([FRENCH] * n_french + [ENGLISH] * (n - n_french))


def told(change: OutputChange) -> list[Finding]:
    return [one for one in answer(questions(change)) if one.kind == "outputs.sampled"]


def test_shares_and_p_values_are_those_of_the_pairs() -> None:
    longer = said([FRENCH] * 4 + [f"{FRENCH} {FRENCH}"] + [FRENCH] * 4 + [ENGLISH])
    rows = {row.trait: row for row in compare_sampled(of(1, 10), longer, of(2, 10))}
    row = rows["in French"]
    assert (row.n, row.greedy, row.base, row.tuned) == (10, 0.2, 0.1, 0.9)
    assert row.excess == pytest.approx(0.7) and row.example == f"{FRENCH} {FRENCH}"
    change = np.array([0.0] + [1.0] * 8 + [0.0])
    exact = permutation_test((change,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert row.p_value == pytest.approx(exact) == 2 / 2**8
    assert rows["in English"].tuned == 0.1 and "in German" not in rows and rows["mostly Latin letters"].p_value is None


def test_what_only_the_base_has_is_a_row_too_and_letters_count_by_answers() -> None:
    russian = "Это хорошо. It is."
    (row,) = [one for one in compare_sampled(said([russian] * 6), of(0, 6), of(0, 6)) if "Cyrillic" in one.trait]
    assert (row.trait, row.base, row.tuned, row.example) == ("mostly Cyrillic letters", 1.0, 0.0, "")


@pytest.mark.parametrize(
    ("tuned", "base", "greedy", "named", "shown"),
    [
        (14, 0, 0, True, True),
        (9, 0, 0, True, True),
        (14, 0, 4, False, False),  # the base's greedy answers have it as often
        (14, 10, 0, False, False),
        (40, 1, 0, False, True),  # the base has it, if rarely
        (40, 0, 1, False, True),
    ],
)
def test_a_trait_names_a_tuning_where_the_base_never_has_it(
    tuned: int, base: int, greedy: int, named: bool, shown: bool
) -> None:
    rows = compare_sampled(of(base, 56), of(tuned, 56), of(greedy, 16))
    first = told(OutputChange("base", "tuned", sampled=tuple(rows)))[0]
    assert ((first.part is Part.NAME), (first.verdict == "shown")) == (named, shown)
    assert first.evidence["greedy"] == greedy / 16 and first.evidence["trait"] == "in French"
    if shown:
        assert first.headline == f"{tuned} of 56 answers sampled from the tuned model are in French, of the base {base}"
        assert FRENCH in first.clause


@pytest.mark.parametrize(("n", "shown"), [(9, False), (10, True)])
def test_a_tenth_of_the_answers_must_have_it(n: int, shown: bool) -> None:
    rows = compare_sampled(of(0, 100), of(n, 100), of(0, 28))  # both with a p-value below 0.005
    assert rows[0].trait != "in French" or rows[0].p_value is not None
    assert (told(OutputChange("base", "tuned", sampled=tuple(rows)))[0].verdict == "shown") is shown


@pytest.mark.parametrize(("p_value", "n"), [(1e-6, 0), (0.016, 1)])
def test_what_greedy_answers_name_is_not_told_twice_and_all_else_is(p_value: float, n: int) -> None:
    """Seven of 28 greedy answers are not shown after correction, so that the sampled ones are needed."""
    sampled = tuple(compare_sampled(of(0, 56), of(25, 56), of(0, 28)))
    plain = BehaviourRow("in French", "answers", 28, 0.0, 0.25, 0.25, p_value)
    others = tuple(
        BehaviourRow(f"in {one}", "answers", 28, 0.0, 0.1, 0.1, 0.5) for one in ("Dutch", "Polish", "German")
    )
    found = told(OutputChange("base", "tuned", behaviour=(plain, *others), sampled=sampled))
    assert sum("in French" in one.headline for one in found) == n


def test_where_too_few_answers_differ_nothing_can_be_told() -> None:
    (one,) = told(OutputChange("base", "tuned", sampled=tuple(compare_sampled(of(0, 9), of(3, 9), of(0, 9)))))
    assert one.verdict == "cannot tell" and "too few" in one.headline


def test_the_same_rates_are_rarely_claimed() -> None:
    """Of 200 pairs whose sampled answers have the same chances of each trait, one in twenty is claimed at most."""
    rng, claimed = np.random.default_rng(0), 0
    for _ in range(200):
        base, tuned = (of(int(rng.binomial(24, 0.3)), 24) for _ in range(2))
        rows = compare_sampled(list(rng.permutation(np.array(base, dtype=object))), tuned, of(0, 28))
        claimed += any(one.verdict == "shown" for one in told(OutputChange("base", "tuned", sampled=tuple(rows))))
    assert claimed <= 10


def test_the_same_weights_write_the_same_sampled_answers_and_others_do_not(tmp_path: Path) -> None:
    same, other = (samples.run_in(tmp_path / name) for name in ("same", "other"))
    samples.measure(same, samples.base(), noise_draws=0)
    samples.measure(other, samples.noisy(0, size=1.0), noise_draws=0)
    for run, is_same in ((same, True), (other, False)):
        sampled = [OutputParts(run, samples.PAIR).frame(sampled_name(number)) for number in (0, 1)]
        sides = [{row["id"]: row["answer"] for row in one.iter_rows(named=True)} for one in sampled]
        assert len(sides[0]) == 18 and sides[0] != sides[1]  # 16 prompts of ours and two of the study
        base, tuned = (sampled[0].filter(side=side)["answer"].to_list() for side in ("base", "tuned"))
        assert (base == tuned) is is_same


def test_a_run_is_read_by_pairs_and_without_sampled_answers(tmp_path: Path) -> None:
    """The parts are written by hand: of one number the tuned model's answers are French, of the base none is."""
    run = samples.run_in(tmp_path / "run")
    samples.measure(run, samples.planted(97), noise_draws=0)
    for number in (0, 1):
        parts = OutputParts(run, samples.PAIR)
        frame = parts.frame(sampled_name(number))
        texts = [FRENCH if number and side == "tuned" else ENGLISH for side in frame["side"]]
        (tmp_path / "run/outputs/base-tuned" / f"{sampled_name(number)}.parquet").unlink()
        run.write_frame(parts.place(sampled_name(number)), frame.with_columns(text=np.array(texts)))
    (row,) = [one for one in samples.change_of(run).sampled if one.trait == "in French"]
    assert (row.n, row.base, row.tuned, row.p_value) == (36, 0.0, 0.5, pytest.approx(2e-4, rel=0.1))
    run.remember(SHOWN, {"noise_draws": 0})  # as a run of an earlier version has it
    assert (
        samples.change_of(run).sampled == () and "sampled at temperature" not in section(samples.change_of(run)).methods
    )


def test_answers_are_sampled_at_temperature_one_and_of_32_tokens_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First tokens of many answers come as often as the model's probabilities say."""
    own, run = samples.base(), samples.run_in(tmp_path / "run")
    monkeypatch.setattr(samples, "PROMPTS", samples.PROMPTS[:1])
    samples.measure(run, samples.base(), own, noise_draws=0, n_samples=0, sampled_answers=60, answer_tokens=1)
    parts = OutputParts(run, samples.PAIR)
    frames = [parts.frame(sampled_name(number)).filter(side="base") for number in range(60)]
    likely = reached = 0.0
    for place in range(frames[0].height):
        prompt = frames[0]["prompt"][place].to_list()
        with torch.no_grad():
            p = own.model(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
        likely += 60 * float((p * p).sum())
        reached += sum(float(p[one["answer"][place][0]]) for one in frames if len(one["answer"][place]))
    assert reached == pytest.approx(likely, rel=0.1)
    assert OutputSettings(answer_tokens=48).sampled_tokens == 32 and OutputSettings(answer_tokens=5).sampled_tokens == 5


def test_the_cost_is_that_of_both_models_answers(tmp_path: Path) -> None:
    size, parts = (
        size_by_config(samples.base().model.config),
        OutputParts(samples.run_in(tmp_path / "run"), samples.PAIR),
    )
    inputs = Inputs(samples.PROMPTS)
    step = remaining(OutputSettings(answer_tokens=48, sampled_answers=3), inputs, parts, size).steps["sampled answers"]
    read, moved = 2.0 * size.n_parameters * 18 * (40 + 32), 4.0 * size.n_parameters * 32 * 2
    assert step.most == Cost(read, moved) * 6
    assert "sampled answers" not in remaining(OutputSettings(sampled_answers=0), inputs, parts, size).steps
