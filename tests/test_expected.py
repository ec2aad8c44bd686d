"""Time and memory told before a run: costs by hand, sizes against real models, the forecast by a clock of our own."""

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

import aftertune
from aftertune.explainers.attribution.importance.routes import cheaper_route
from aftertune.models.machine import Machine, measure_machine
from aftertune.models.size import ModelSize, size_by_config, size_of
from aftertune.study.expected import costs, memory
from aftertune.study.expected.costs import Cost
from aftertune.study.expected.estimate import Estimate, estimate
from aftertune.study.expected.forecast import Forecast
from aftertune.study.expected.intent import Item, Left, route_of
from aftertune.study.expected.told import memory_warning, tell_seconds
from command_line import third_party_warnings
from tiny import CONFIGS, FAMILIES, make_model

pytest_plugins = ("cli_fixtures",)

SIZE = ModelSize(
    n_parameters=1000,
    n_active=600,
    n_layers=2,
    n_heads=3,
    n_key_heads=1,
    d_head=4,
    d_model=5,
    d_inner=7,
    n_networks=2,
    n_neurons=14,
    n_vocabulary=11,
    context=128,
)
MACHINE = Machine("cpu", matrix_rate=100.0, memory_rate=1000.0, free_bytes=10**9)
# Ten positions: 2 layers x 3 heads x 10 x 10 attention weights, 2 layers x 10 positions x (5 + 7) numbers of states.
PASS = Cost(
    operations=2 * 600 * 10 + 8 * 600 * 4,
    moved=costs.BYTES_OF_ATTENTION * 600 + costs.BYTES_OF_STATE * 240,
)
# Seven response tokens: 77 logits, each a product of 5 numbers.
LOGITS = Cost(operations=2 * 77 * 5, moved=16 * 77)


def close(found: Cost, wanted: Cost) -> None:
    assert (found.operations, found.moved, found.seconds) == pytest.approx(
        (wanted.operations, wanted.moved, wanted.seconds)
    )


def test_a_cost_on_a_machine() -> None:
    assert Cost(operations=300, moved=4000, seconds=5).on(MACHINE) == 3 + 4 + 5
    assert (Cost(1, 2, 3) + Cost(10, 20, 30)) * 2 == Cost(22, 44, 66)


def test_attribution_by_hand() -> None:
    close(costs.one_pass(SIZE, 10), PASS)
    around = Cost(seconds=costs.SECONDS_OF_CHUNK * 2)  # of two layers
    close(costs.attribution(SIZE, 4, 7, "forward", 3), PASS * 4 + LOGITS * 3 + around * 2)
    close(costs.attribution(SIZE, 4, 7, "reverse", 7), PASS * 7 + LOGITS * 3 + around)
    assert costs.attribution(SIZE, 4, 0, "forward") == Cost()


def test_forward_mode_that_is_written_out_moves_less() -> None:
    around = Cost(seconds=costs.SECONDS_OF_CHUNK * 2)
    size = replace(SIZE, architecture="llama")
    shorter = costs.one_pass(SIZE, 8, written_out=True)  # without half of the prompt
    assert shorter.moved == costs.BYTES_OF_ATTENTION_WRITTEN_OUT * 384 + costs.BYTES_OF_STATE_WRITTEN_OUT * 192
    close(costs.attribution(size, 4, 7, "forward", 4), shorter * 4 + LOGITS * 3 + around)
    close(
        costs.attribution(size, 4, 7, "forward-bfloat16", 4), shorter * 4 * costs.COST_OF_BFLOAT16 + LOGITS * 3 + around
    )
    assert costs.attribution(size, 4, 7, "reverse") == costs.attribution(SIZE, 4, 7, "reverse")


def test_removal_computes_half_of_the_prompt_again() -> None:
    shorter = costs.passed_again(SIZE, 8)
    around = Cost(seconds=costs.SECONDS_OF_CHUNK * 2)
    close(costs.attribution(SIZE, 4, 7, "removal"), (shorter + LOGITS) * 4 + around)
    assert shorter.operations == 2 * 600 * 8 + 4 * 2 * 3 * 64 * 4


def test_responses_by_hand() -> None:
    passed = 600 + 11 * 5
    step = Cost(2 * passed * 3, 4 * passed, costs.SECONDS_OF_STEP * 2)
    close(costs.responses(SIZE, 3, 6, 20), Cost(operations=2 * passed * 3 * 6) + step * 20)


def test_weights_by_hand() -> None:
    activations, pairs = (3 + 1) * 4 * 50, 3 * 4 * 10**2
    top = Cost(2 * activations * 5, costs.BYTES_OF_ACTIVATION * activations)
    close(
        costs.heads_of_layer(SIZE, n_words=50, d_vector=6, n_top=10, n_draws=2),
        top + Cost(2 * pairs * 6, costs.BYTES_OF_PAIR * pairs) * 5,
    )
    # One network of 7 neurons a layer; 5 components at most, since states have 5 numbers.
    decomposed = costs.OF_FLOAT64 * (2 * 7 * 25 + costs.OPERATIONS_OF_EIGENVECTORS * 125)
    close(
        costs.concepts_of_layer(SIZE, n_words=50, n_components=300),
        Cost(decomposed + 2 * 250 * 5, costs.BYTES_OF_ACTIVATION * 250),
    )


def test_memory_by_hand() -> None:
    left = Left(SIZE, silent=(6,), items=(Item(6, None),), n_checked=0, head_layers=0, concept_layers=0, already={})
    # Six tokens and a response of 4, so by reverse mode: six at once, 9 positions x (4 x 7 + 8 x 5 + 9) numbers.
    attribution, weights = 6 * 9 * (28 + 40 + 9) * 4 + 4 * 4 * 4 * 11, 4 * 1000
    assert memory.peak_bytes(left, 4, "float32", "auto", MACHINE) == memory.LIBRARY_BYTES + weights + attribution
    halved = memory.LIBRARY_BYTES + weights / 2 + 6 * 9 * 77 * 2 + 4 * 4 * 4 * 11
    assert memory.peak_bytes(left, 4, "bfloat16", "auto", MACHINE) == halved
    forward = memory.LIBRARY_BYTES + weights + 6 * 9 * (28 + 40 + 3 * 3 * 9) * 4 + 4 * 4 * 4 * 11
    assert memory.peak_bytes(left, 4, "float32", "forward", MACHINE) == forward
    # Written out: plain values and attention weights of a layer, the work on a block, and each direction's tangents.
    plain, work = 11 * (6 * 5 + 4 * 7 + 3 * 11), 1536 * (4 * 7 + 10 * 5 + 2 * 3 * 192)
    long = replace(left, size=replace(SIZE, architecture="llama"), items=(Item(4, 8),))
    written_out = (plain + work + 4 * 11 * 5) * 4 + 4 * 4 * 8 * 11
    assert memory.peak_bytes(long, 8, "float32", "auto", MACHINE) == memory.LIBRARY_BYTES + weights + written_out
    heads = replace(left, silent=(), items=(), head_layers=2)
    assert (
        memory.peak_bytes(heads, 4, "float32", "auto", MACHINE) == memory.LIBRARY_BYTES + weights + memory.HEAD_BLOCKS
    )
    answering = replace(left, items=())
    kept = 8 * 4 * (2 * 2 * 1 * 4 * (6 + 4) + 11)  # keys and values of eight sequences, and their last logits
    assert memory.peak_bytes(answering, 4, "float32", "auto", MACHINE) == memory.LIBRARY_BYTES + weights + kept


def test_the_route_is_the_one_that_attribution_chooses() -> None:
    assert route_of("auto", Item(10, 10), SIZE) == "forward" and route_of("auto", Item(11, 10), SIZE) == "reverse"
    written_out = replace(SIZE, architecture="qwen3")
    for n, route in ((18, "forward"), (19, "reverse")):
        assert route_of("auto", Item(n, 10), written_out) == cheaper_route(n, 10, written_out=True) == route
    assert route_of("removal", Item(7, 10), SIZE) == "removal"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_of_a_configuration_is_that_of_the_model(family: str) -> None:
    model, found = make_model(family), size_by_config(CONFIGS[family]())
    config = model.config
    layers = sum(p.numel() for name, p in model.named_parameters() if ".layers." in name or ".h." in name)
    assert found.n_parameters == sum(p.numel() for p in model.parameters())
    assert (found.n_layers, found.d_model, found.n_vocabulary) == (
        config.num_hidden_layers,
        config.hidden_size,
        config.vocab_size,
    )
    assert found.n_active == layers or config.model_type not in ("llama", "gpt2", "gpt_neox", "olmo2")
    assert found.n_active <= layers and not found.is_gguf


def test_the_size_of_a_dense_llama_by_hand() -> None:
    found = size_by_config(CONFIGS["llama"]())
    attention, network, norms = 32 * 32 * 2 + 32 * 16 * 2, 3 * 32 * 48, 2 * 32
    assert found.n_active == 3 * (attention + network + norms)
    assert found.n_parameters == found.n_active + 300 * 32 + 32
    assert (found.n_heads, found.n_key_heads, found.d_head, found.d_inner) == (4, 2, 8, 48)
    assert (found.n_networks, found.n_neurons, found.context) == (3, 3 * 48, 128)


def test_the_size_of_a_gguf_file_is_read_from_its_header(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(2)
    writer.add_embedding_length(8)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(12)
    writer.add_context_length(64)
    shapes = {"token_embd": (10, 8)} | {f"blk.{i}.{name}": (8, 12) for i in range(2) for name in ("ffn_up", "ffn_down")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, np.float32))
    for write in (
        writer.write_header_to_file,
        writer.write_kv_data_to_file,
        writer.write_tensors_to_file,
        writer.close,
    ):
        write()
    assert size_of(tmp_path / "tiny.gguf", None) == ModelSize(
        n_parameters=80 + 4 * 96,
        n_active=4 * 96,
        n_layers=2,
        n_heads=4,
        n_key_heads=2,
        d_head=2,
        d_model=8,
        d_inner=12,
        n_networks=2,
        n_neurons=24,
        n_vocabulary=10,
        context=64,
        is_gguf=True,
        architecture="llama",
        written_out=True,
    )


def test_the_machine_is_measured() -> None:
    found = measure_machine("cpu")
    assert found.kind == "cpu" and found.matrix_rate > 1e6 and found.memory_rate > 1e6 and found.free_bytes > 0


def estimated(most_bytes: float = 5e8, free_bytes: int = 10**9) -> Estimate:
    return Estimate({"a": 2.0}, {"a": 6.0}, {}, 1e8, most_bytes, replace(MACHINE, free_bytes=free_bytes))


def test_an_estimate_has_a_middle_and_warns_of_too_little_memory() -> None:
    assert estimated().expected == {"a": 4.0} and estimated().seconds == (2.0, 6.0)
    assert memory_warning(estimated()) is None
    told = memory_warning(estimated(most_bytes=3e9, free_bytes=2 * 10**9))
    assert told is not None and "3.0 GB" in told and "2.0 GB" in told and "--dtype bfloat16" in told


def test_times_are_told_as_a_person_would() -> None:
    assert [tell_seconds(s) for s in (0.2, 89, 91, 3000, 6000)] == ["1 s", "89 s", "2 min", "50 min", "1.7 h"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_forecast_is_corrected_by_what_was_measured() -> None:
    clock = Clock()
    stages = {"base: loading": 10.0, "base: heads": 30.0, "tuned: loading": 10.0, "tuned: heads": 30.0}
    forecast = Forecast(stages, clock=clock)
    forecast.tell("base: loading", 0, 1)
    assert forecast.seconds_left == 80
    clock.now = 4
    assert forecast.seconds_left == 76 and forecast.share_done == pytest.approx(4 / 80)
    clock.now = 20
    forecast.tell("base: loading", 1, 1)  # took twice the expected time: the other will, heads perhaps a little longer
    assert forecast.seconds_left == pytest.approx(30 * 90 / 80 + 20 + 30 * 90 / 80)
    forecast.tell("base: heads", 0, 3)
    clock.now = 35
    forecast.tell("base: heads", 1, 3)
    # Two thirds are left: of a whole that is 33.75 by the expectation and 45 by the first third, which counts a third.
    assert forecast.seconds_left == pytest.approx(2 / 3 * (2 / 3 * 33.75 + 1 / 3 * 45) + 20 + 45)
    clock.now = 65
    forecast.tell("base: heads", 3, 3)
    assert forecast.seconds_left == pytest.approx(20 + 45), "loading by loading, heads by heads"
    forecast.tell("tuned: loading", 0, 1)
    clock.now = 200
    assert forecast.seconds_left == pytest.approx(45), "a stage that takes too long is over at any time"
    assert 0 < forecast.share_done < 1


def test_what_was_done_before_is_no_progress() -> None:
    clock = Clock()
    forecast = Forecast({"base: heads": 10.0}, {"base: heads": 0.5}, clock=clock)
    forecast.tell("base: heads", 0, 4)
    forecast.tell("base: heads", 2, 4)
    assert forecast.seconds_left == 10
    clock.now = 5
    forecast.tell("base: heads", 3, 4)
    assert forecast.seconds_left == pytest.approx(5)


def test_stages_that_nobody_expected_take_no_time() -> None:
    forecast = Forecast({"report": 3.0}, clock=Clock())
    forecast.tell("something else", 1, 2)
    assert forecast.seconds_left == 3


def test_a_run_tells_the_stages_that_were_expected_and_counts_only_what_is_left(
    base: Path, tuned: Path, prompts: Path, tmp_path: Path
) -> None:
    estimates, told = list[Estimate](), list[str]()

    def compare() -> Estimate:
        told.clear()
        with third_party_warnings():
            aftertune.compare(
                *(base, tuned, tmp_path / "run", prompts, aftertune.Plan(max_new_tokens=4, check=1)),
                concepts=aftertune.ConceptStudy(["cat", "mat", "text"], aftertune.ConceptPlan(4, 2)),
                skip=["heads"],
                limit=2,
                device="cpu",
                progress=lambda what, *_: told.append(what),
                announce=lambda intent: estimates.append(estimate(intent, MACHINE)),
            )
        return estimates[-1]

    found = compare()
    assert list(dict.fromkeys(told)) == list(found.most)
    stages = ("loading", "responses", "attribution", "concepts")
    assert list(found.most) == [*(f"{role}: {stage}" for role in ("base", "tuned") for stage in stages), "report"]
    assert all(found.least[name] <= found.most[name] for name in found.most) and set(found.already.values()) == {0, 1}
    next((tmp_path / "run/attribution/tuned").glob("*.parquet")).unlink()
    again = compare()
    assert list(again.most) == ["tuned: loading", "tuned: attribution", "report"]
    assert 0 < again.already["tuned: attribution"] < 1 and again.least == pytest.approx(again.most), "lengths are known"
    assert list(compare().most) == ["report"]
