"""Time and memory told before a run: what explainers say put together, sizes of real models, the forecast by a clock.

What each explainer says is tested with it (test_attribution_cost, test_heads_work, test_concepts_read).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
import pytest

import aftertune
from aftertune.explainers.concepts import cost as concepts_cost
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.cost import (
    BYTES_OF_ACTIVATION,
    MODULES_IN_FULL,
    Cost,
    Remaining,
    Step,
    loading,
    weight_bytes,
)
from aftertune.models.machine import Machine, measure_machine
from aftertune.models.size import ModelSize, size_by_config, size_of
from aftertune.prompts.prompt import Prompt
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Stage
from aftertune.study.announce import describe, memory_warning, prepare, say_seconds, say_unused
from aftertune.study.estimate import LIBRARY_BYTES, SECONDS_OF_REPORT, Estimate, estimate
from aftertune.study.forecast import Forecast
from aftertune.study.intent import Intent, Means
from aftertune.study.made import command_of
from command_line import third_party_warnings
from cost_samples import MACHINE, SIZE, close
from tiny import CONFIGS, FAMILIES, make_model

pytest_plugins = ("cli_fixtures",)

REPORT = Stage(step="report")
BASE_LOADING, BASE_HEADS, TUNED_LOADING, TUNED_HEADS = (
    Stage(role, explainer, step)
    for role in ("base", "tuned")
    for explainer, step in (("", "loading"), ("heads", "heads"))
)


def test_a_cost_on_a_machine() -> None:
    assert Cost(operations=300, moved=4000, seconds=5).on(MACHINE) == 3 + 4 + 5
    assert (Cost(1, 2, 3) + Cost(10, 20, 30)) * 2 == Cost(22, 44, 66)


def test_components_by_hand() -> None:
    # One network of 7 neurons a layer; 5 components at most, since states have 5 numbers.
    decomposed = concepts_cost.OF_FLOAT64 * (2 * 7 * 25 + concepts_cost.OPERATIONS_OF_EIGENVECTORS * 125)
    close(
        concepts_cost.layer_cost(SIZE, n_words=50, n_components=300),
        Cost(decomposed + 2 * 250 * 5, BYTES_OF_ACTIVATION * 250),
    )


@dataclass
class Known(Work):
    """Work of which all that is left is known."""

    left: Remaining

    def remaining(self, *_: object) -> Remaining:
        return self.left


def intent_of(*left: Remaining, dtype: str = "float32", size: ModelSize = SIZE, n_roles: int = 2) -> Intent:
    study = aftertune.Study("a", "b", dtype=dtype)
    subjects = {"base": study.base, "tuned": study.tuned[0]}
    works = {f"explainer {number}": Known(one) for number, one in enumerate(left)}
    sizes = dict.fromkeys(list(subjects)[:n_roles], size)
    return Intent(study, RunFolder("run"), subjects, sizes, works, Inputs())


def test_memory_is_that_of_the_model_and_of_the_explainer_that_needs_most() -> None:
    left = Remaining(least_bytes=100, most_bytes=300), Remaining(least_bytes=200, most_bytes=250)
    tight = replace(MACHINE, free_bytes=8 * 4 * 1000 - 1)
    beside = estimate(intent_of(*left), MACHINE)  # both models stay
    assert beside.least_bytes == LIBRARY_BYTES + 8 * 1000 + 200
    found = estimate(intent_of(*left), tight)
    assert found.least_bytes == LIBRARY_BYTES + 4 * 1000 + 200 and found.most_bytes == LIBRARY_BYTES + 4 * 1000 + 300
    assert (
        estimate(intent_of(*left, dtype="bfloat16"), replace(tight, free_bytes=1)).most_bytes
        == LIBRARY_BYTES + 2 * 1000 + 300
    )
    assert estimate(intent_of(*left), replace(tight, kind="cuda")).most_bytes == 4 * 1000 + 300
    # The weights of a GGUF file are held twice while they are read.
    assert estimate(intent_of(*left, size=replace(SIZE, is_gguf=True)), tight).most_bytes == LIBRARY_BYTES + 8 * 1000
    assert estimate(intent_of(*left, n_roles=0), MACHINE).most_bytes == 0


def test_memory_of_models_on_disk_is_that_of_their_largest_module_and_in_fewer_bits_that_of_codes() -> None:
    left, size = Remaining(least_bytes=200, most_bytes=300), replace(SIZE, n_largest=100)
    on_disk = estimate(intent_of(left, size=size), replace(MACHINE, on_disk=True))
    assert on_disk.most_bytes == LIBRARY_BYTES + weight_bytes(size, "float32", on_disk=True) + 300
    assert weight_bytes(size, "float32", on_disk=True) == MODULES_IN_FULL * 4 * 100
    assert weight_bytes(size, "float32") == 4 * 1000 and weight_bytes(size, "bfloat16") == 2 * 1000
    outside = 2 * size.n_vocabulary * size.d_model  # both embeddings stay in half precision
    assert weight_bytes(size, "int8") == 2 * outside + (1000 - outside)
    assert weight_bytes(size, "int4") == 2 * outside + 0.5625 * (1000 - outside)


def test_the_largest_module_of_a_model_is_known() -> None:
    dense, experts = size_by_config(CONFIGS["llama"]()), size_by_config(CONFIGS["mixtral"]())
    assert dense.n_largest == 300 * 32 and experts.n_largest == 3 * 3 * 48 * 32


def test_settings_that_nothing_reads_are_told_in_the_plan() -> None:
    study = aftertune.Study("a", "b", only=("outputs",), max_new_tokens=20, limit=3, layers="0-3", noise_draws=2)
    own = "--max-new-tokens (for attribution), --layers (for heads and concepts): not among what is computed"
    assert say_unused(study, study.explainers) == own
    assert say_unused(study, [*study.explainers, "attribution", "concepts"]) == ""
    assert say_unused(aftertune.Study("a", "b", limit=3), ["heads"]).startswith("--limit (for outputs and location and")
    intent = replace(intent_of(), study=study)
    assert f"\nnot used    {own}" in describe(replace(intent, works={"outputs": Known(Remaining())}), told(intent))
    assert "not used" not in describe(intent_of(), told(intent_of()))


def test_what_is_known_before_workers_are_there_is_told_then_and_the_rest_when_they_are() -> None:
    awaited = replace(intent_of(Remaining()), awaits="2 workers, being started on Ray (local)")
    before, forecast = prepare(awaited)
    labels = [line.partition(" ")[0] for line in before.splitlines()]
    assert labels == ["base", "tuned", "skipped", "run", "workers", "alone"] and forecast.share_done == 1
    means = Means(2, MACHINE, "2 workers on Ray, each with 1 thread and 1.0 GB")
    after, forecast = prepare(replace(intent_of(Remaining()), means=means))
    assert [line.partition(" ")[0] for line in after.splitlines()] == ["device", "workers", "time", "memory"]
    assert forecast.share_done == 0
    missing = replace(awaited, study=aftertune.Study("a", "b", device="cuda:7"))  # which workers may have
    assert "alone" not in prepare(missing)[0]


def told(intent: Intent) -> Estimate:
    return estimate(intent, MACHINE)


def test_the_length_of_answers_has_an_option_that_the_plan_names() -> None:
    study = aftertune.Study("a", "b", output_tokens=20)
    assert study.settings["outputs"].answer_tokens == 20 and study.settings["location"].answer_tokens == 32
    assert aftertune.Study(**study.flat()).settings == study.settings and "--output-tokens 20" in command_of(study)
    work = study.explainers["outputs"].prepare(study.settings["outputs"], Inputs([Prompt("p", ())] * 3))
    ((_, text),) = work.chosen()
    assert "3 prompts of the study and always 16 of ours" in text and "at most 20 tokens (--output-tokens)" in text


def test_time_is_that_of_all_steps_of_all_models_and_of_the_report() -> None:
    step, told = Step(Cost(seconds=2), Cost(seconds=6), already=0.25), Cost(seconds=1)
    found = estimate(intent_of(Remaining({"counting": step}, report=told)), MACHINE)
    counting = [Stage(role, "explainer 0", "counting") for role in ("base", "tuned")]
    assert list(found.most) == [TUNED_LOADING, BASE_LOADING, *counting, REPORT]
    assert [found.least[one] for one in counting] == [2, 2] and [found.most[one] for one in counting] == [6, 6]
    assert found.most[REPORT] == SECONDS_OF_REPORT + 2 and found.most[BASE_LOADING] == loading(SIZE).seconds
    tight = estimate(intent_of(Remaining({"counting": step}, report=told)), replace(MACHINE, free_bytes=1))
    assert tight.most[BASE_LOADING] == 2 * loading(SIZE).seconds
    assert [found.already[one] for one in counting] == [0.25, 0.25]
    assert found.seconds[1] - found.seconds[0] == pytest.approx(8)


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
    machine = replace(MACHINE, free_bytes=free_bytes)
    return Estimate({REPORT: 2.0}, {REPORT: 6.0}, {}, 1e8, most_bytes, machine)


def machines(found: Estimate) -> dict[str, Machine]:
    return {"disk": replace(found.machine, on_disk=True), "cuda": replace(found.machine, kind="cuda")}


def test_an_estimate_has_a_middle_and_warns_of_too_little_memory() -> None:
    assert estimated().expected == {REPORT: 4.0} and estimated().seconds == (2.0, 6.0)
    assert memory_warning(estimated()) is None
    told = memory_warning(estimated(most_bytes=3e9, free_bytes=2 * 10**9))
    assert told is not None and "3.0 GB" in told and "2.0 GB" in told and "--dtype bfloat16" in told
    assert "--device disk, which reads weights tensor by tensor" in told
    tight = estimated(most_bytes=3e9, free_bytes=2 * 10**9)
    advised = {kind: memory_warning(replace(tight, machine=machine)) for kind, machine in machines(tight).items()}
    assert "--device" not in str(advised["disk"]) and "--device balanced" in str(advised["cuda"])


def test_times_are_told_as_a_person_would() -> None:
    assert [say_seconds(s) for s in (0.2, 89, 91, 3000, 6000)] == ["1 s", "89 s", "2 min", "50 min", "1.7 h"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_forecast_goes_by_the_pace_of_the_last_units() -> None:
    clock = Clock()
    stages = {BASE_LOADING: 10.0, BASE_HEADS: 30.0, TUNED_LOADING: 10.0, TUNED_HEADS: 30.0}
    forecast = Forecast(stages, clock=clock)
    forecast.tell(BASE_LOADING, 0, 1)
    assert forecast.seconds_left == 80
    clock.now = 4
    assert forecast.seconds_left == 76 and forecast.share_done == 0, "waiting is no work"
    clock.now = 20
    forecast.tell(BASE_LOADING, 1, 1)  # twice the expected time, watched for 20 s: weight 2/3 against 1
    others = 2 ** ((2 / 3) / (1 + 2 / 3))
    assert forecast.seconds_left == pytest.approx(60 * others + 20) and forecast.share_done == 10 / 80
    forecast.tell(BASE_HEADS, 0, 3)
    clock.now = 35
    forecast.tell(BASE_HEADS, 1, 3)  # 10 s of work in 15
    assert forecast.seconds_left == pytest.approx(50 * 1.5 + 20) and forecast.share_done == 20 / 80
    clock.now = 65 + 30
    forecast.tell(BASE_HEADS, 2, 3)  # 10 in 60: what was told a minute ago counts half
    now, mean = (0.5 * 15 + 60) / (0.5 * 10 + 10), 75 / 20
    assert forecast.seconds_left == pytest.approx(40 * now + 20 * now / mean), "loading slows down as heads do"
    forecast.tell(TUNED_LOADING, 0, 1)
    clock.now = 10_000
    assert forecast.seconds_left == pytest.approx(30 * forecast._pace("heads")), "a late stage is over at any time"
    assert forecast.share_done == pytest.approx(40 / 80)


@pytest.mark.parametrize("slow", [0.3, 1.0, 16.0])
def test_a_machine_that_is_slower_throughout_is_told_from_its_first_stages(slow: float) -> None:
    work = {Stage("base", name, name): 60.0 for name in ("loading", "responses", "attribution", "heads", "concepts")}
    clock = Clock()
    forecast, whole = Forecast(work, clock=clock), slow * sum(work.values())
    ratios = []
    for stage in work:
        for done in range(11):
            forecast.tell(stage, done, 10)
            assert forecast.share_done == pytest.approx(clock.now / whole), "half of the work is half, however slow"
            ratios.append(forecast.seconds_left / (whole - clock.now) if whole - clock.now > 1e-6 else 1.0)
            clock.now += 6 * slow if done < 10 else 0
    least, most = (0.35, 1) if slow > 1 else (1, 2)
    assert all(least <= one <= most or one == pytest.approx(1) for one in ratios[22:]), "after two of five stages"


def test_what_becomes_busy_half_way_is_seen_within_a_minute() -> None:
    clock = Clock()
    forecast = Forecast({BASE_HEADS: 1000.0}, clock=clock)
    for done in range(501):
        clock.now = float(done)
        forecast.tell(BASE_HEADS, done, 1000)
    assert forecast.seconds_left == pytest.approx(500)
    for done in range(501, 507):  # ten times as slow
        clock.now += 10
        forecast.tell(BASE_HEADS, done, 1000)
    assert forecast.seconds_left > 0.5 * 494 * 10 / 5
    for done in range(507, 530):
        clock.now += 10
        forecast.tell(BASE_HEADS, done, 1000)
    assert forecast.seconds_left == pytest.approx(471 * 10, rel=0.4)


def test_what_was_done_before_is_no_progress() -> None:
    clock = Clock()
    forecast = Forecast({BASE_HEADS: 10.0}, {BASE_HEADS: 0.5}, clock=clock)
    forecast.tell(BASE_HEADS, 0, 4)
    forecast.tell(BASE_HEADS, 2, 4)
    assert forecast.seconds_left == 10
    clock.now = 5
    forecast.tell(BASE_HEADS, 3, 4)
    assert forecast.seconds_left == pytest.approx(5)


def test_stages_that_nobody_expected_take_no_time() -> None:
    forecast = Forecast({REPORT: 3.0}, clock=Clock())
    forecast.tell(Stage(step="something else"), 1, 2)
    assert forecast.seconds_left == 3


def test_a_run_tells_the_stages_that_were_expected_and_counts_only_what_is_left(
    base: Path, tuned: Path, prompts: Path, tmp_path: Path
) -> None:
    estimates, told = list[Estimate](), list[Stage]()
    study = aftertune.Study(
        base,
        tuned,
        run=tmp_path / "run",
        prompts=prompts,
        limit=2,
        max_new_tokens=4,
        check=1,
        concepts={"words": ["cat", "mat", "text"], "n_components": 4, "n_words": 2},
        skip="heads",
        device="cpu",
    )

    def compare() -> Estimate:
        told.clear()
        with third_party_warnings():
            aftertune.compare(
                study,
                progress=lambda stage, *_: told.append(stage),
                announce=lambda intent: estimates.append(estimate(intent, MACHINE)),
            )
        return estimates[-1]

    found = compare()
    assert list(dict.fromkeys(told)) == list(found.most)
    steps = ("attribution", "responses"), ("attribution", "attribution"), ("concepts", "concepts")
    of_pair = [Stage("base-tuned", "outputs", step) for step in ("texts", "noise", "answers", "free samples")]
    of_pair += [Stage("base-tuned", "location", step) for step in ("sizes", "answers", "swaps")]
    of_pair += [Stage("base-tuned", "attribution", "difference")]
    of_pair += [Stage("base-tuned", "concepts", step) for step in ("change", "noise")]
    of_named = [Stage("base-tuned", "location", "named")]
    of_models = [Stage(role, *step) for role in ("base", "tuned") for step in steps]
    assert list(found.most) == [TUNED_LOADING, BASE_LOADING, *of_models, *of_pair, *of_named, REPORT]
    assert all(found.least[name] <= found.most[name] for name in found.most) and set(found.already.values()) == {0}
    next((tmp_path / "run/attribution/tuned").glob("*.parquet")).unlink()
    rest, attribution = compare(), Stage("tuned", "attribution", "attribution")
    assert list(rest.most) == [TUNED_LOADING, attribution, REPORT]
    assert 0 < rest.already[attribution] < 1 and rest.least == pytest.approx(rest.most), "lengths are known"
    assert list(compare().most) == [REPORT]
    (tmp_path / "run/location/together/base/tuned.parquet").unlink()  # both models are measured, and read again
    left = compare().most
    assert {TUNED_LOADING, BASE_LOADING, Stage("base-tuned", "location", "swaps")} < left.keys()
    assert not any(stage.explainer in ("attribution", "outputs") for stage in left)
