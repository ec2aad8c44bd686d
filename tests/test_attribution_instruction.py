"""The whole instruction leaves the prompt: falls against a plain loop, their comparison by hand, nulls, an effect."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import aftertune
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.instruction import N_CONTROLS
from aftertune.explainers.attribution.importance.routes import attribute_batch, without_instruction
from aftertune.explainers.attribution.instruction.effect import BothFalls, InstructionRow, instruction_rows
from aftertune.explainers.attribution.instruction.findings import tell_instruction
from aftertune.explainers.attribution.result import Attribution, InstructionFall
from aftertune.prompts.prompt import Message, Prompt
from aftertune.statistics.finding import Verdict
from aftertune.statistics.questions import is_shown
from null_runs import null_falls
from test_attribution_interventions import log_p
from test_attribution_written import load
from tiny import FAMILIES

TEXT, RESPONSE = "the cat sat on the mat and Answer the question", " on the mat."
INSTRUCTION = "Answer the question"
N_RUNS, ALLOWED = 200, int(stats.binom.ppf(0.99, 200, 0.05))


def prompt(text: str = TEXT, spans: Sequence[str] = (INSTRUCTION,)) -> Prompt:
    places = tuple((text.index(one), text.index(one) + len(one), 0) for one in spans)
    return Prompt("one", (Message("user", text),), "set", spans=places or None)


def attributed(checkpoint: aftertune.Checkpoint, asked: Prompt, unit: str = "token") -> tuple[Attribution, list[int]]:
    encoded = encode_for(checkpoint, asked, "raw", RESPONSE)
    (found,) = attribute_batch(checkpoint, [encoded], unit=unit)
    return without_instruction(checkpoint, encoded, found, unit), encoded.ids.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_falls_are_those_of_prompts_without_the_tokens(family: str) -> None:
    """log p of the whole response after texts of a plain loop, in float32: the instruction's, and draws of others."""
    checkpoint = load(family)
    found, ids = attributed(checkpoint, prompt())
    response = checkpoint.tokenizer(RESPONSE, add_special_tokens=False)["input_ids"]
    marked = np.flatnonzero(found.is_instruction)
    others = np.flatnonzero(found.is_user & ~found.is_instruction)
    assert found.instruction is not None and found.instruction.n_units == min(len(marked), len(others)) > 1

    def fall(without: Sequence[int]) -> float:
        left = [id for place, id in enumerate(ids) if place not in set(without)]
        return sum(log_p(checkpoint.model, ids, response)) - sum(log_p(checkpoint.model, left, response))

    with torch.no_grad():
        assert found.instruction.fall == pytest.approx(fall(marked.tolist()), abs=1e-4)
        rng = np.random.default_rng(0)
        drawn = [fall(rng.permutation(others)[: found.instruction.n_units].tolist()) for _ in range(N_CONTROLS)]
    assert found.instruction.control == pytest.approx(np.mean(drawn), abs=1e-4)


def test_it_is_asked_only_where_the_user_wrote_more_than_a_marked_instruction() -> None:
    checkpoint = load("llama")
    assert (
        attributed(checkpoint, prompt())[0].instruction == attributed(checkpoint, prompt())[0].instruction is not None
    )
    assert attributed(checkpoint, prompt(), "word")[0].instruction is not None
    assert attributed(checkpoint, prompt(spans=()))[0].instruction is None
    assert attributed(checkpoint, prompt(INSTRUCTION))[0].instruction is None


def test_it_is_saved_and_older_files_have_none(tmp_path: Path) -> None:
    found, _ = attributed(load("llama"), prompt())
    found.save(tmp_path / "one.parquet")
    assert Attribution.load(tmp_path / "one.parquet").instruction == found.instruction
    row = found.to_row()
    del row["instruction"]
    replace(found, instruction=None).save(tmp_path / "none.parquet")
    assert Attribution.load(tmp_path / "none.parquet").instruction is None


def test_a_share_counts_what_falls() -> None:
    cases = {(3.0, 1.0): 0.75, (3.0, -1.0): 1.0, (-2.0, 1.0): 0.0, (-1.0, -2.0): 0.5, (0.0, 0.0): 0.5}
    for (fall, control), share in cases.items():
        assert InstructionFall(fall, control, 4).share == share


def test_a_row_by_hand() -> None:
    """Six pairs, all up: p = 2 / 2^6 of both. Where all falls are up and all shares down, nothing can be claimed."""
    falls = [both((1.0, 3.0), (1.0 + n, 3.0), n) for n in range(1, 7)]
    (row,) = instruction_rows(falls)
    assert (row.base, row.tuned, row.base_control, row.tuned_control) == (1.0, 4.5, 3.0, 3.0)
    assert row.base_share == 0.25 and row.tuned_share == pytest.approx(np.mean([n / (n + 3) for n in range(2, 8)]))
    assert (row.fall.n_higher, row.fall.p_value, row.share.p_value, row.p_value) == (6, 2 / 64, 2 / 64, 2 / 64)
    longer = [both((1.0, 3.0), (2.0 + n, 6.0 + 3 * n + 0.1 * n), n) for n in range(6)]
    (row,) = instruction_rows(longer)
    assert row.fall.p_value == 2 / 64 and row.p_value == 1.0  # the fall is up and the share is down
    again = [one._replace(dataset="other", instruction=f"else {one.instruction}") for one in falls]
    rows = instruction_rows([*falls, *again])
    assert [(one.dataset, one.pooled, one.fall.n_pairs) for one in rows[:2]] == [("set", False, 6), ("other", False, 6)]
    assert rows[2].pooled and rows[2].fall.n_pairs == 12
    assert instruction_rows([]) == () and instruction_rows(falls[:1])[0].p_value is None


def test_prompts_with_the_same_instruction_count_once() -> None:
    """Every change of weights moves what one sentence does in all prompts that hold it."""
    (row,) = instruction_rows([both((1.0, 3.0), (1.0 + n, 3.0), n // 4) for n in range(8)])
    assert (row.n_prompts, row.fall.n_pairs, row.fall.n_higher) == (8, 2, 2)
    assert row.fall.difference == pytest.approx(3.5) and row.p_value == 0.5
    (row,) = instruction_rows([both((1.0, 3.0), (1.0 + n, 3.0)) for n in range(8)])
    told = tell_instruction(row, None, "old", "new")
    assert (
        row.p_value is None and told.verdict is Verdict.CANNOT_TELL and "needs prompts with different" in told.sentence
    )


def test_what_is_told() -> None:
    (row,) = instruction_rows([both((1.0, 3.0), (1.0 + n, 3.0), n) for n in range(1, 7)])
    shown = tell_instruction(row, 0.03, "old", "new")
    assert (
        shown.verdict is Verdict.SHOWN
        and shown.headline == "set: the tuned model's responses depend more on their instruction"
    )
    assert "4.50 nats under new and by 1.00 under old (means over 6 prompts)" in shown.sentence
    assert shown.evidence["p_value_corrected"] == 0.03 and shown.evidence["fall"]["n_higher"] == 6
    less = tell_instruction(
        instruction_rows([both((4.0, 3.0), (1.0, 3.0), n) for n in range(6)])[0], 0.03, "old", "new"
    )
    assert less.headline.endswith("depend less on their instruction")
    none = tell_instruction(row, 0.3, "old", "new")
    assert none.verdict is Verdict.NOT_SHOWN and "no difference was found" in none.headline
    assert tell_instruction(replace(row, p_value=None), None, "old", "new").verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize(("growth", "length"), [(1.0, 1.0), (1.0, 3.0)])
def test_without_an_effect_of_the_instruction_at_most_one_run_in_twenty_claims_one(
    growth: float, length: float
) -> None:
    """Of 200 runs, also where the tuned model's responses depend three times as much on every word."""
    claimed = sum(any(map(shown, runs(seed, growth=growth, length=length))) for seed in range(N_RUNS))
    assert claimed <= ALLOWED


def test_a_planted_effect_is_claimed() -> None:
    assert sum(shown(runs(seed, n_prompts=60, growth=4.0)[-1]) for seed in range(20)) >= 18


def runs(seed: int, **known: Any) -> tuple[InstructionRow, ...]:
    return instruction_rows(null_falls(np.random.default_rng(seed), **known))[-1:]


def shown(row: InstructionRow) -> bool:
    return bool(is_shown(row.p_value))


def both(base: tuple[float, float], tuned: tuple[float, float], number: int = 0) -> BothFalls:
    return BothFalls("set", f"do {number}", InstructionFall(*base, 3), InstructionFall(*tuned, 3))
