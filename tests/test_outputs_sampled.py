"""What sampled answers show: traits that the base never has, exact p-values, and few false claims."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
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
from aftertune.explainers.outputs.result import SHOWN, SIDES, OutputParts, sampled_name
from aftertune.explainers.outputs.sampled import compare_sampled
from aftertune.explainers.outputs.show import section
from aftertune.models.cost import Cost
from aftertune.models.size import size_by_config
from aftertune.runs.run import RunFolder
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


def answers_of(run: RunFolder, number: int, side: str) -> list[list[int]]:
    found: list[list[int]] = OutputParts(run, samples.PAIR).frame(sampled_name(number, side))["answer"].to_list()
    return found


def test_the_same_weights_write_the_same_sampled_answers_and_others_do_not(tmp_path: Path) -> None:
    same, other = (samples.run_in(tmp_path / name) for name in ("same", "other"))
    samples.measure(same, samples.base(), noise_draws=0)
    samples.measure(other, samples.noisy(0, size=1.0), noise_draws=0)
    for run, is_same in ((same, True), (other, False)):
        sampled = [[answers_of(run, number, side) for side in SIDES] for number in (0, 1)]
        assert len(sampled[0][0]) == 18 and sampled[0][0] != sampled[1][0]  # 16 prompts of ours and two of the study
        assert (sampled[0][0] == sampled[0][1]) is is_same


def test_more_sampled_answers_are_written_without_those_that_are_there(tmp_path: Path) -> None:
    run, at_once = (samples.run_in(tmp_path / name) for name in ("run", "at-once"))
    samples.measure(run, samples.planted(97), noise_draws=0, sampled_answers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/outputs/base-tuned").iterdir()}
    samples.measure(run, samples.planted(97), noise_draws=0, sampled_answers=3)
    samples.measure(at_once, samples.planted(97), noise_draws=0, sampled_answers=3)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for number in range(3):
        assert all(answers_of(run, number, side) == answers_of(at_once, number, side) for side in SIDES)


def test_a_run_is_read_by_pairs_and_without_sampled_answers(tmp_path: Path) -> None:
    """The parts are written by hand: of one number the tuned model's answers are French, of the base none is."""
    run = samples.run_in(tmp_path / "run")
    samples.measure(run, samples.planted(97), noise_draws=0)
    for number, side in product((0, 1), SIDES):
        parts, name = OutputParts(run, samples.PAIR), sampled_name(number, side)
        frame = parts.frame(name)
        (tmp_path / "run/outputs/base-tuned" / f"{name}.parquet").unlink()
        text = FRENCH if number and side == "tuned" else ENGLISH
        run.write_frame(parts.place(name), frame.with_columns(text=pl.lit(text)))
    (row,) = [one for one in samples.change_of(run).sampled if one.trait == "in French"]
    assert (row.n, row.base, row.tuned, row.p_value) == (36, 0.0, 0.5, pytest.approx(2e-4, rel=0.1))
    run.remember(SHOWN, {"noise_draws": 0})  # as a run of an earlier version has it
    assert (
        samples.change_of(run).sampled == () and "sampled at temperature" not in section(samples.change_of(run)).methods
    )


def test_answers_are_sampled_at_temperature_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First tokens of many answers come as often as the model's probabilities say."""
    own, run = samples.base(), samples.run_in(tmp_path / "run")
    monkeypatch.setattr(samples, "PROMPTS", samples.PROMPTS[:1])
    samples.measure(run, samples.base(), own, noise_draws=0, n_samples=0, sampled_answers=60, answer_tokens=1)
    parts = OutputParts(run, samples.PAIR)
    frames = [parts.frame(sampled_name(number, "base")) for number in range(60)]
    likely = reached = 0.0
    for place in range(frames[0].height):
        prompt = frames[0]["prompt"][place].to_list()
        with torch.no_grad():
            p = own.model(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
        likely += 60 * float((p * p).sum())
        reached += sum(float(p[one["answer"][place][0]]) for one in frames if len(one["answer"][place]))
    assert reached == pytest.approx(likely, rel=0.1)


def test_the_cost_is_that_of_both_models_answers(tmp_path: Path) -> None:
    """Three sampled answers of each model to 18 prompts are written in the steps that the greedy ones take anyway."""
    size = size_by_config(samples.base().model.config)
    parts = OutputParts(samples.run_in(tmp_path / "run"), samples.PAIR)
    few, many = (
        remaining(OutputSettings(answer_tokens=48, sampled_answers=n), Inputs(samples.PROMPTS), parts, size).steps
        for n in (0, 3)
    )
    more = Cost(2.0 * size.n_parameters * 18 * 48 * 3)
    for step in ("texts", "answers"):
        found, expected = many[step].most, few[step].most + more
        assert (found.operations, found.moved) == pytest.approx((expected.operations, expected.moved))


def test_memory_is_that_of_the_keys_and_values_of_all_answers_and_of_their_logits(tmp_path: Path) -> None:
    """Of 18 prompts with three answers each at once, where no noise keeps the weights beside; at most 96 answers."""
    size = replace(size_by_config(samples.base().model.config), n_vocabulary=10**6)
    parts = OutputParts(samples.run_in(tmp_path / "run"), samples.PAIR)
    for n_sampled, rows in ((2, 54), (9, 96)):
        settings = OutputSettings(answer_tokens=48, sampled_answers=n_sampled, noise_draws=0)
        left = remaining(settings, Inputs(samples.PROMPTS), parts, size)
        kept = 2 * size.n_layers * size.n_key_heads * size.d_head * 4
        assert left.most_bytes == rows * ((40 + 48) * kept + 5 * 4 * 10**6)
