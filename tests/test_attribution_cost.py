"""What attribution costs, by hand, and what is left of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaConfig

from aftertune.explainers.attribution.importance.chunks import responses_at_once
from aftertune.explainers.attribution.importance.interventions import N_ABLATIONS, N_DRAWS, N_RANDOM
from aftertune.explainers.attribution.importance.routes import cheaper_route
from aftertune.explainers.attribution.measure import AttributionWork
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.attribution.work import cost, passes
from aftertune.explainers.attribution.work.cost import Item
from aftertune.explainers.explainer import Inputs
from aftertune.models.cost import Cost
from aftertune.models.machine import Machine
from aftertune.models.size import size_by_config
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.run import RunFolder
from cost_samples import MACHINE, SIZE, close

LLAMA = replace(SIZE, architecture="llama", written_out=True)
# Ten positions: 2 layers x 3 heads x 10 x 10 attention weights, 2 layers x 10 positions x (5 + 7) numbers of states.
PASS = Cost(
    operations=2 * 600 * 10 + 8 * 600 * 4,
    moved=passes.BYTES_OF_ATTENTION * 600 + passes.BYTES_OF_STATE * 240,
)
# Seven response tokens: 77 logits, each a product of 5 numbers.
LOGITS = Cost(operations=2 * 77 * 5, moved=16 * 77)
AROUND = Cost(seconds=cost.SECONDS_OF_CHUNK * 2)  # of two layers
ITEM = Item(4, 7)


def test_a_marked_instruction_is_left_out_with_eight_controls() -> None:
    """Ten positions and seven logits for the whole prompt, for the one without the instruction, and eight times."""
    wanted = (passes.plain_pass(SIZE, 10) + LOGITS) * 10
    close(cost.without_instruction(SIZE, ITEM), wanted)
    plain, marked = (
        cost.attributions(SIZE, [one], AttributionSettings(), 0, MACHINE)
        for one in (ITEM, replace(ITEM, is_marked=True))
    )
    close(marked, plain + wanted)
    assert cost.without_instruction(SIZE, Item(4, 0)) == Cost()


def test_attribution_by_hand() -> None:
    close(passes.one_pass(SIZE, 10), PASS)
    close(cost.attribution(SIZE, ITEM, "forward", 3), PASS * 4 + LOGITS * 3 + AROUND * 2)
    close(cost.attribution(SIZE, ITEM, "reverse", 7), PASS * 7 + LOGITS * 3 + AROUND)
    assert cost.attribution(SIZE, Item(4, 0), "forward") == Cost()


def test_forward_mode_that_is_written_out_moves_less() -> None:
    shorter = passes.one_pass(SIZE, 8, written_out=True)  # without half of the prompt
    assert shorter.moved == passes.BYTES_OF_ATTENTION_WRITTEN_OUT * 384 + passes.BYTES_OF_STATE_WRITTEN_OUT * 192
    close(cost.attribution(LLAMA, ITEM, "forward", 4), shorter * 4 + LOGITS * 3 + AROUND)
    narrow = shorter * 4 * cost.COST_OF_BFLOAT16
    close(cost.attribution(LLAMA, ITEM, "forward-bfloat16", 4), narrow + LOGITS * 3 + AROUND)
    assert cost.attribution(LLAMA, ITEM, "reverse") == cost.attribution(SIZE, ITEM, "reverse")


def test_removal_computes_half_of_the_prompt_again() -> None:
    shorter = passes.plain_pass(SIZE, 8)
    close(cost.attribution(SIZE, ITEM, "removal"), (shorter + LOGITS) * 4 + AROUND)
    assert shorter.operations == 2 * 600 * 8 + 4 * 2 * 3 * 64 * 4


def test_a_check_costs_its_share_of_removal_and_of_interventions() -> None:
    items = [ITEM, replace(ITEM, n_prompt=5)]
    checks = [cost.attribution(SIZE, one, "removal") + cost.interventions(SIZE, one) for one in items]
    own = [cost.attribution(SIZE, one, "forward") + check * 0.5 for one, check in zip(items, checks, strict=True)]
    gradient = AttributionSettings(method="gradient")
    close(cost.attributions(SIZE, items, gradient, 1, MACHINE), own[0] + own[1])
    one, two = (AttributionSettings(removal=kind) for kind in ("deleted", "averaged"))
    directions = [cost.attributions(SIZE, [ITEM], how, 0, MACHINE).operations for how in (one, two)]
    assert directions[1] == 2 * directions[0]
    assert cost.way_of(AttributionSettings()) == "removal"
    assert cost.way_of(gradient) == "auto"


def test_interventions_are_passes_of_replaced_words_and_of_words_left_out() -> None:
    replaced, many = 4 * N_DRAWS, N_ABLATIONS + N_RANDOM + 1  # all four units of the prompt
    wanted = passes.plain_pass(SIZE, 8) * replaced + passes.plain_pass(SIZE, 10) * many + LOGITS * (replaced + many)
    close(cost.interventions(SIZE, ITEM), wanted)


def test_responses_by_hand() -> None:
    passed = 600 + 11 * 5
    for kind, around in (("cpu", passes.SECONDS_OF_STEP), ("cuda", passes.SECONDS_OF_STEP_ON_GPU)):
        step = Cost(2 * passed * 3, 4 * passed, around * 2)
        close(passes.generation(SIZE, 3, 6, 20, kind), Cost(operations=2 * passed * 3 * 6) + step * 20)
    silent = [Item(n, 20, is_silent=True) for n in (6, 2, 4)]
    close(cost.responses(SIZE, [*silent, Item(9, 3)], MACHINE), passes.generation(SIZE, 3, 6, 20))


def test_memory_by_hand() -> None:
    # Six tokens and a response of 4, so by reverse mode: six at once, 9 positions x (4 x 7 + 8 x 5 + 9) numbers.
    silent, logits = [Item(6, 4, is_silent=True)], 4 * 4 * 4 * 11
    assert cost.peak_bytes(SIZE, silent, 4, "auto", MACHINE) == 6 * 9 * (28 + 40 + 9) * 4 + logits
    assert cost.peak_bytes(SIZE, silent, 2, "auto", MACHINE) == 6 * 9 * 77 * 2 + logits
    assert cost.peak_bytes(SIZE, silent, 4, "forward", MACHINE) == 6 * 9 * (28 + 40 + 3 * 3 * 9) * 4 + logits
    # Written out: plain values and attention weights of a layer, the work on a block, and each direction's tangents.
    plain, work = 11 * (6 * 5 + 4 * 7 + 3 * 11), 1536 * (4 * 7 + 10 * 5 + 2 * 3 * 192)
    written_out = (plain + work + 4 * 11 * 5) * 4 + 4 * 4 * 8 * 11
    assert cost.peak_bytes(LLAMA, [Item(4, 8)], 4, "auto", MACHINE) == written_out
    # One token: keys and values of sixteen sequences, and their last logits, are more than what attribution needs.
    kept = 16 * 4 * (2 * 2 * 1 * 4 * (6 + 1) + 1100)
    one_token, many_words = [Item(6, 1, is_silent=True)], replace(SIZE, n_vocabulary=1100)
    assert cost.peak_bytes(many_words, one_token, 4, "auto", MACHINE) == kept
    assert cost.peak_bytes(SIZE, [], 4, "auto", MACHINE) == 0


def test_sixteen_responses_at_once_where_their_keys_and_values_are_small_beside_the_weights() -> None:
    of_llama_2_7b = 2 * 32 * 32 * 128
    assert responses_at_once(6_738_415_616, of_llama_2_7b, 350, "cpu") == 16
    assert responses_at_once(6_738_415_616, of_llama_2_7b, 2300, "cpu") == 8
    assert responses_at_once(134_515_008, 2 * 30 * 3 * 64, 1400, "cpu") == 16  # below 1 GiB in float32
    assert responses_at_once(134_515_008, 2 * 30 * 3 * 64, 1500, "cpu") == 8


def test_a_gpu_generates_more_at_once() -> None:
    of_llama_2_7b = 2 * 32 * 32 * 128
    found = [responses_at_once(6_738_415_616, of_llama_2_7b, n, "cuda") for n in (200, 350, 500, 3000)]
    assert found == [64, 32, 16, 8]


def test_forward_mode_that_is_written_out_moves_less_on_a_gpu() -> None:
    on_cpu, on_gpu = (cost.attribution(LLAMA, ITEM, "forward", 16, kind=kind) for kind in ("cpu", "cuda"))
    others = passes.prediction(LLAMA, ITEM.n_response).moved * 3
    assert on_gpu.moved - others == pytest.approx(cost.SHARE_MOVED_ON_GPU * (on_cpu.moved - others))
    assert on_gpu.operations == on_cpu.operations


@pytest.mark.parametrize(
    ("precision", "matrix_rate", "removal", "forward"),
    [("float32", 51.0e12, 4.95, 5.01), ("TF32", 409e12, 0.932, 1.003), ("bfloat16", 783e12, 0.529, None)],
)
def test_the_formulas_tell_what_an_h200_took(
    precision: str, matrix_rate: float, removal: float, forward: float | None
) -> None:
    del precision  # which decides the rate
    config = {"hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32}
    size = size_by_config(LlamaConfig(**config, vocab_size=32_000))
    machine, item = Machine("cuda", matrix_rate, 4.3e12, 2**37), Item(50, 300)
    for way, measured in (("removal", removal), ("forward", forward)):
        if measured is not None:
            told = cost.attribution(size, item, way, 128, kind="cuda").on(machine)  # type: ignore[arg-type]
            assert told == pytest.approx(measured, rel=0.25)


def test_the_route_is_the_one_that_attribution_chooses() -> None:
    assert cost.chosen_way("auto", Item(10, 10), SIZE) == "forward"
    assert cost.chosen_way("auto", Item(11, 10), SIZE) == "reverse"
    written_out = replace(SIZE, architecture="qwen3", written_out=True)
    for n, route in ((18, "forward"), (19, "reverse")):
        assert cost.chosen_way("auto", Item(n, 10), written_out) == cheaper_route(n, 10, written_out=True) == route
    assert cost.chosen_way("removal", Item(7, 10), SIZE) == "removal"


def test_an_instruction_is_marked_by_spans_or_by_what_is_no_context(tmp_path: Path) -> None:
    said = (Message("user", "do this: now"),)
    prompts = [
        Prompt("plain", said),
        Prompt("spans", said, spans=((0, 7, 0),)),
        Prompt("whole", said, spans=((0, 12, 0),)),
        Prompt("context", said, context="now"),
    ]
    left = {one.id: AttributionWork(AttributionSettings(), Inputs([one], lengths=[10])) for one in prompts}
    run = RunFolder.start(tmp_path / "run", {}, {})
    steps = {id: work.remaining(run, "base", SIZE, MACHINE).steps["attribution"].most for id, work in left.items()}
    assert steps["whole"] == steps["plain"] and steps["context"] == steps["spans"]
    assert steps["spans"].operations > steps["plain"].operations


def test_what_is_left_shrinks_with_every_part(tmp_path: Path) -> None:
    prompts = [Prompt(f"p{n}", (Message("user", "do this"),)) for n in range(4)]
    work = AttributionWork(AttributionSettings(check=2), Inputs(prompts, max_new_tokens=40, lengths=[10, 10, 10, 100]))
    run = RunFolder.start(tmp_path / "run", {}, {})

    def left() -> dict[str, tuple[float, float, float]]:
        steps = work.remaining(run, "base", SIZE, MACHINE).steps
        return {name: (one.least.on(MACHINE), one.most.on(MACHINE), one.already) for name, one in steps.items()}

    whole = left()
    # The longest prompt leaves room for 28 tokens; at the least responses end after a quarter of that.
    close(
        work.remaining(run, "base", SIZE, MACHINE).steps["responses"].most,
        cost.responses(SIZE, [Item(n, 28, is_silent=True) for n in work.inputs.lengths], MACHINE),
    )
    assert list(whole) == ["responses", "attribution"]
    assert all(least < most and already == 0 for least, most, already in whole.values())
    for prompt in prompts:
        ids = np.array([5, 6, 7], dtype=np.int64)
        run.write(
            run.part("attribution-responses", "base", prompt.id), {"id": prompt.id, "response": "", "response_ids": ids}
        )
    answered = left()
    assert list(answered) == ["attribution"] and answered["attribution"][0] == answered["attribution"][1]
    for prompt in prompts[:3]:
        run.write(run.part("attribution", "base", prompt.id), {"id": prompt.id})
    last = left()["attribution"]
    assert last[2] == pytest.approx(1 - 103 / (3 * 13 + 103)) and last[0] < answered["attribution"][0]
    run.write(run.part("attribution", "base", "p3"), {"id": "p3"})
    run.claim("prompts.json", {}, {})
    assert left() == {} and work.is_measured(run, "base") and not work.is_measured(run, "tuned")


def test_where_nobody_knows_the_lengths_nothing_is_foreseen(tmp_path: Path) -> None:
    work = AttributionWork(AttributionSettings(), Inputs([Prompt("p", (Message("user", "do this"),))]))
    found = work.remaining(RunFolder.start(tmp_path / "run", {}, {}), "base", SIZE, MACHINE)
    assert found.steps == {} and found.most_bytes == 0 and found.report.seconds == cost.SECONDS_OF_REPORTED_PROMPT
