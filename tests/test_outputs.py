"""Outputs compared: what is planted is shown, noise shows nothing, and a run goes on where it stopped."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

import output_samples as samples
from aftertune.errors import RunError
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs import OutputExplainer, OutputSettings
from aftertune.explainers.outputs.texts import own_lines
from aftertune.explainers.outputs.word_findings import WORDS
from aftertune.explainers.outputs.words import LIKELIER
from aftertune.models.cost import Cost, Step
from aftertune.models.machine import Machine
from aftertune.models.size import size_by_config
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import answer

TOKEN = 281
N_NULLS, MOST_FALSE = 20, 3


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = samples.run_in(tmp_path_factory.mktemp("outputs") / "run")
    samples.measure(run, samples.planted(TOKEN))
    return run


def test_a_planted_token_is_shown_and_no_other(planted: RunFolder) -> None:
    change = samples.change_of(planted)
    assert {row.token for row in change.beyond_noise(LIKELIER)} == {TOKEN}
    assert {row.context for row in change.beyond_noise(LIKELIER)} == {"generic", "answers"}
    found = {finding.kind: finding for finding in answer(OutputExplainer().questions(change))}
    claim = found[WORDS[LIKELIER]]
    assert claim.verdict is Verdict.SHOWN and claim.evidence["p_value_corrected"] < 0.01
    assert claim.evidence["words"] == [change.words[0].text]


def test_the_table_and_the_finding_say_the_same_of_tokens_that_noise_may_explain(planted: RunFolder) -> None:
    change = samples.change_of(planted)
    for test in (one for one in change.noise if one.context != "prompts"):
        assert test.n_beyond == len(change.beyond_noise(test.direction, (test.context,)))
    doubted = [replace(test, p_value=test.p_value and 0.2, p_value_coherence=1.0) for test in change.noise]
    doubtful = replace(change, noise=tuple(doubted))
    finding = next(one for one in answer(OutputExplainer().questions(doubtful)) if one.kind == WORDS[LIKELIER])
    assert finding.verdict is Verdict.NOT_SHOWN and finding.evidence["words"] == []
    n_beyond = sum(finding.evidence[context]["n_beyond"] for context in ("generic", "answers"))
    frame = doubtful.tables()["output_words"].filter(pl.col("direction") == LIKELIER)
    assert n_beyond == frame["shown"].sum() > 0
    assert not finding.headline.startswith("No word became")  # some did in what was drawn


def test_noise_has_the_effect_of_the_tuning(planted: RunFolder) -> None:
    change = samples.change_of(planted)
    tested = [row for row in change.noise if row.context != "prompts"]
    assert {row.n_draws for row in tested} == {9} and len(tested) == 4
    for row in tested:
        assert row.noise_total_variation == pytest.approx(row.total_variation, rel=0.15)
    assert all(row.p_value is None and row.limit is None for row in change.noise if row.context == "prompts")
    (measure,) = OutputExplainer().measures(change)
    assert measure.value == pytest.approx(sum(row.total_variation for row in change.noise) / 6)


def test_what_was_found_is_plain_data(planted: RunFolder) -> None:
    change = samples.change_of(planted)
    word = change.to_dict()["words"][0]
    assert {"token", "text", "context", "score", "limit", "shown", "direction"} <= word.keys()
    assert word["token"] == TOKEN and word["shown"] is True
    frames = change.tables()
    assert frames["output_behaviour"].height == len(change.behaviour)
    assert frames["output_positions"].height == sum(len(one.base) + len(one.tuned) for one in change.answers)
    assert "aftertune-shown" in change._repr_html_() and OutputExplainer().section(change).body


def test_noise_alone_is_rarely_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.explainers.outputs.texts.own_lines", lambda name: own_lines(name)[:10])
    claims = 0
    for seed in range(N_NULLS):
        run = samples.run_in(tmp_path / str(seed))
        samples.measure(run, samples.noisy(seed), n_samples=0, answer_tokens=3)
        found = answer(OutputExplainer().questions(samples.change_of(run)))
        claims += any(one.verdict is Verdict.SHOWN for one in found if one.kind in WORDS.values())
    assert claims <= MOST_FALSE


def test_prompts_without_room_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = Prompt("long", (Message("user", "the cat sat on the mat " * 60),))
    monkeypatch.setattr(samples, "PROMPTS", (*samples.PROMPTS, long))
    run = samples.run_in(tmp_path / "run")
    samples.measure(run, samples.planted(TOKEN), noise_draws=0)
    change = samples.change_of(run)
    assert change.n_left_out == 1 and "long" not in {one.id for one in change.answers}
    moved = next(one for one in answer(OutputExplainer().questions(change)) if one.kind == "outputs.moved")
    assert "1 of your prompts were left out" in moved.sentence


def test_without_noise_no_word_is_claimed(tmp_path: Path) -> None:
    run = samples.run_in(tmp_path / "run")
    samples.measure(run, samples.planted(TOKEN), noise_draws=0)
    change = samples.change_of(run)
    assert {row.shown for row in change.words} == {None} and change.words[0].token == TOKEN
    found = {one.kind: one.verdict for one in answer(OutputExplainer().questions(change))}
    assert found[WORDS[LIKELIER]] is Verdict.CANNOT_TELL


def test_an_interrupted_comparison_goes_on_to_the_same_bytes(planted: RunFolder, tmp_path: Path) -> None:
    run, told = samples.run_in(tmp_path / "run"), []

    def interrupt(step: str, done: float, _total: float) -> None:
        told.append(step)
        if step == "noise" and done == 7:
            raise KeyboardInterrupt

    own = samples.base()
    weights = {name: weight.clone() for name, weight in own.model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        samples.measure(run, samples.planted(TOKEN), own, interrupt)
    assert all(torch.equal(weight, weights[name]) for name, weight in own.model.state_dict().items())
    assert not OutputExplainer().prepare(OutputSettings(), Inputs()).is_pair_measured(run, samples.PAIR)
    samples.measure(run, samples.planted(TOKEN), own)
    assert files(run) == files(planted)


def test_the_models_are_left_as_they_were(tmp_path: Path) -> None:
    own, tuned = samples.base().model.train(), samples.planted(TOKEN).model
    before = [{name: weight.clone() for name, weight in one.state_dict().items()} for one in (own, tuned)]
    samples.measure(samples.run_in(tmp_path / "run"), samples.checkpoint(tuned), samples.checkpoint(own))
    for model, weights in zip((own, tuned), before, strict=True):
        assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert own.training and not tuned.training


def test_other_settings_are_refused(planted: RunFolder) -> None:
    work = OutputExplainer().prepare(OutputSettings(**samples.QUICK, seed=3), Inputs(samples.PROMPTS))
    with pytest.raises(RunError, match="seed was 0, is now 3"):
        work.must_fit([], planted)


def test_fewer_draws_are_shown_where_fewer_are_asked_for(planted: RunFolder) -> None:
    work = OutputExplainer().prepare(OutputSettings(**samples.QUICK, noise_draws=4), Inputs(samples.PROMPTS))
    assert work.is_pair_measured(planted, samples.PAIR)
    more = OutputExplainer().prepare(OutputSettings(**samples.QUICK, noise_draws=20), Inputs(samples.PROMPTS))
    assert not more.is_pair_measured(planted, samples.PAIR)
    work.finish(planted, "tuned")
    assert {row.n_draws for row in samples.change_of(planted).noise} == {4, 0}
    OutputExplainer().prepare(OutputSettings(**samples.QUICK), Inputs()).finish(planted, "tuned")


def test_the_cost_is_that_of_pairs_that_are_not_measured(planted: RunFolder) -> None:
    size, machine = size_by_config(samples.base().model.config), Machine("cpu", 1e11, 1e10, 2**33)
    work = OutputExplainer().prepare(OutputSettings(), Inputs(samples.PROMPTS))
    assert work.remaining_pair(planted, samples.PAIR, size, machine).steps == {}
    left = work.remaining_pair(planted, Pair("base", "tuned-2"), size, machine).steps
    assert list(left) == ["texts", "noise", "answers", "free samples"]
    assert left["noise"].most.operations > left["noise"].least.operations > left["texts"].most.operations


def test_the_cost_takes_off_what_is_there(planted: RunFolder, tmp_path: Path) -> None:
    size, machine = size_by_config(samples.base().model.config), Machine("cpu", 1e11, 1e10, 2**33)
    work = OutputExplainer().prepare(OutputSettings(**samples.QUICK), Inputs(samples.PROMPTS))
    whole = work.remaining_pair(samples.run_in(tmp_path / "new"), samples.PAIR, size, machine)
    shutil.copytree(planted.address, tmp_path / "run")
    for name in ("prompts-tuned", "draw-003", "draw-008", "answers-positions", "samples"):
        (tmp_path / "run/outputs/base-tuned" / f"{name}.parquet").unlink()
    left = work.remaining_pair(RunFolder(str(tmp_path / "run")), samples.PAIR, size, machine)
    ours, yours = 16 * (40 + 6), 2 * (40 + 6)  # tokens of prompts with their answers
    passed = 2.0 * size.n_parameters
    assert left.steps["texts"] == Step(Cost(passed * yours), Cost(passed * yours), already=5 / 6)
    draw = Cost(passed * (40 * 24 + ours), 2 * 40 * size.n_parameters)
    assert left.steps["noise"] == Step(draw * 2, draw * 2, already=pytest.approx(7 / 9))
    assert left.steps["answers"] == Step(Cost(passed * 4 * ours), Cost(passed * 4 * ours), already=0.5)
    assert left.steps["free samples"] == whole.steps["free samples"] and left.most_bytes == whole.most_bytes
    # The search for the scale takes one to four readings, and ends with the first draw.
    assert whole.steps["noise"] == Step(draw * 10, draw * 13)
    (tmp_path / "run/outputs/base-tuned/prompts-texts.parquet").unlink()  # what follows from it lies there
    again = work.remaining_pair(RunFolder(str(tmp_path / "run")), samples.PAIR, size, machine).steps["texts"].most
    assert again.moved == whole.steps["texts"].most.moved and again.operations < whole.steps["texts"].most.operations


def test_what_is_made_of_parts_needs_no_torch() -> None:
    names = ", ".join(f"aftertune.explainers.outputs.{one}" for one in ("compare", "findings", "show", "settings"))
    code = f"import sys, {names}; assert not {{'torch', 'transformers'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def files(run: RunFolder) -> dict[str, bytes]:
    folder = Path(run.address) / "outputs"
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
