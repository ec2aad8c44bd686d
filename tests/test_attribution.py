"""The three routes against independent oracles, in all families."""

import inspect

import numpy as np
import pytest
import torch

import aftertune
from aftertune.errors import AttributionError, PromptError
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.another import another_token
from aftertune.explainers.attribution.importance.batch import Task
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.removal import N_DRAWN, n_passes
from aftertune.explainers.attribution.importance.routes import attribute_batch, choose_route
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.prompts.prompt import Message, Prompt
from oracles.importance import average_each, delete_each, finite_difference, mean_each, replace_each, zero_each
from tiny import FAMILIES, make_model, make_tokenizer

PROMPT, RESPONSE = "Rewrite the text. the cat sat", " on the mat."

WAYS = [{"method": "removal"}, *({"method": "gradient", "route": route} for route in ("forward", "reverse"))]


def load(family: str = "llama", dtype: torch.dtype = torch.float64) -> aftertune.Checkpoint:
    return aftertune.load(make_model(family, dtype), tokenizer=make_tokenizer(chat=False))


def ids_of(checkpoint: aftertune.Checkpoint) -> tuple[list[int], list[int]]:
    encoded = encode_for(checkpoint, Prompt("p", (Message("user", PROMPT),)), "raw", RESPONSE)
    assert encoded.response_ids is not None
    return encoded.ids.tolist(), encoded.response_ids.tolist()


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest) -> aftertune.Checkpoint:
    return load(request.param)


def test_forward_is_the_derivative_of_the_probability(checkpoint: aftertune.Checkpoint) -> None:
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route="forward")
    # Transformers keeps the norms of most families in float32 even in a float64 model, but not those of these two.
    is_precise = checkpoint.provenance.architecture in ("gpt2", "phimoe")
    # One embedding here is 0.0001 from where Phi-3.5-MoE's router chooses another expert and the probability jumps.
    step = 1e-5 if checkpoint.provenance.architecture == "phimoe" else 4e-3
    expected = finite_difference(checkpoint.model, *ids_of(checkpoint), step)
    assert relative(found.importance, expected) < (1e-6 if is_precise else 2e-3)


def test_forward_equals_reverse(checkpoint: aftertune.Checkpoint) -> None:
    forward = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route="forward")
    reverse = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route="reverse")
    assert relative(forward.importance, reverse.importance) < 5e-6
    assert np.allclose(forward.probability, reverse.probability, rtol=1e-4)


def test_zeroing_equals_a_loop_over_whole_sequences(checkpoint: aftertune.Checkpoint) -> None:
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="removal", removal="zeroed")
    assert relative(found.importance, zero_each(checkpoint.model, *ids_of(checkpoint))) < 5e-6


def test_deleting_equals_a_loop_over_whole_sequences(checkpoint: aftertune.Checkpoint) -> None:
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="removal", removal="deleted")
    assert relative(found.importance, delete_each(checkpoint.model, *ids_of(checkpoint))) < 5e-6


def test_float32_stays_close_to_float64(checkpoint: aftertune.Checkpoint) -> None:
    narrow = load(checkpoint.provenance.architecture, torch.float32)
    found = aftertune.attribute(narrow, PROMPT, RESPONSE, method="gradient", route="forward").importance
    assert (
        relative(
            found, aftertune.attribute(checkpoint, PROMPT, RESPONSE, method="gradient", route="forward").importance
        )
        < 1e-4
    )


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_batch_gives_what_each_prompt_gives_alone(way: dict[str, str]) -> None:
    checkpoint = load("mistral")
    texts = [("the cat", " sat on the mat."), ("Rewrite the text. Input: the mat", " Output")]
    encoded = [encode_for(checkpoint, Prompt(p, (Message("user", p),)), "raw", r) for p, r in texts]
    for one, (prompt, response) in zip(attribute_batch(checkpoint, encoded, **way), texts, strict=True):
        alone = aftertune.attribute(checkpoint, prompt, response, **way)
        assert relative(one.importance, alone.importance) < 1e-6
        assert np.allclose(one.probability, alone.probability)


@pytest.mark.parametrize("unit", ["word", "sentence", "line"])
def test_the_first_order_of_a_unit_is_the_sum_over_its_tokens(unit: str) -> None:
    checkpoint = load("llama")
    prompt = "Rewrite the text.\nInput: the cat sat. the mat"
    tokens = aftertune.attribute(checkpoint, prompt, RESPONSE, method="gradient", route="forward")
    units = aftertune.attribute(checkpoint, prompt, RESPONSE, method="gradient", route="forward", unit=unit)
    assert 1 < len(units.prompt_tokens) < len(tokens.prompt_tokens)
    for row, (start, end) in zip(units.importance, units.offsets, strict=True):
        inside = (tokens.offsets[:, 0] >= start) & (tokens.offsets[:, 1] <= end)
        assert np.allclose(row, tokens.importance[inside].sum(0), atol=1e-7)


def test_own_spans_are_the_only_units() -> None:
    checkpoint = load("qwen3")
    spans = [(0, 7), (8, 17)]
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, unit=spans, method="gradient", route="forward")
    assert found.prompt_tokens[0] == "Rewrite" and found.unit == "spans"
    assert found.importance.shape[0] == 2
    reverse = aftertune.attribute(checkpoint, PROMPT, RESPONSE, unit=spans, method="gradient", route="reverse")
    assert relative(found.importance, reverse.importance) < 5e-6


REMOVED_BY_HAND = {"zeroed": zero_each, "deleted": delete_each, "mean": mean_each, "averaged": average_each}


def test_mixed_is_the_mean_of_all_removals_and_of_other_tokens_in_the_units_place() -> None:
    checkpoint = load("gemma2")
    prompt_ids, response_ids = ids_of(checkpoint)
    drawn = [[] for _ in range(N_DRAWN)]
    for place, token in enumerate(prompt_ids):
        rng = np.random.default_rng([N_DRAWN, place])
        for own in drawn:
            own.append(another_token(checkpoint.tokenizer, token, rng))
    assert all(one != own for ids in drawn for one, own in zip(ids, prompt_ids, strict=True))
    by_hand = [one(checkpoint.model, prompt_ids, response_ids) for one in (delete_each, mean_each, zero_each)]
    by_hand += [replace_each(checkpoint.model, prompt_ids, response_ids, ids) for ids in drawn]
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, removal="mixed").importance
    assert relative(found, np.mean(by_hand, axis=0)) < 1e-6
    assert len(by_hand) == n_passes("mixed") == 8 and n_passes("averaged") == 2 and n_passes("mean") == 1


def test_the_mean_of_all_embeddings_is_put_in_a_tokens_place_by_default() -> None:
    asked = (aftertune.attribute, aftertune.attribute_all, aftertune.attribute_difference)
    assert {inspect.signature(one).parameters["removal"].default for one in asked} == {"mean"}
    assert AttributionSettings().removal == "mean"
    checkpoint = load("llama")
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE).importance
    assert relative(found, mean_each(checkpoint.model, *ids_of(checkpoint))) < 1e-6


@pytest.mark.parametrize("removal", REMOVED_BY_HAND)
def test_removing_a_unit_removes_all_of_its_tokens(removal: str) -> None:
    checkpoint = load("gemma2")
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE, "removal", "word", removal=removal)
    prompt_ids, response_ids = ids_of(checkpoint)
    tokens = aftertune.attribute(checkpoint, PROMPT, RESPONSE)
    oracle = REMOVED_BY_HAND[removal]
    units = [[i for i, (s, e) in enumerate(tokens.offsets) if s >= start and e <= end] for start, end in found.offsets]
    assert relative(found.importance, oracle(checkpoint.model, prompt_ids, response_ids, units)) < 1e-6


def test_a_unit_that_is_the_whole_prompt_is_zeroed() -> None:
    deleted, zeroed = (
        aftertune.attribute(load(), "the cat", RESPONSE, unit="line", removal=removal)
        for removal in ("deleted", "zeroed")
    )
    assert np.array_equal(deleted.importance, zeroed.importance) and np.any(deleted.importance)


def test_memory_that_runs_out_halves_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    from aftertune.models.backbone import Backbone

    checkpoint, sizes, states = load("gpt2"), [], Backbone.states
    whole = aftertune.attribute(checkpoint, PROMPT, RESPONSE).importance

    def narrow(self, embeds, cache=None):
        sizes.append(embeds.shape[0])
        if embeds.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return states(self, embeds, cache)

    monkeypatch.setattr(Backbone, "states", narrow)
    found = aftertune.attribute(checkpoint, PROMPT, RESPONSE).importance
    assert np.allclose(found, whole) and max(sizes) > 2 and sizes[-1] <= 2


def test_memory_that_is_too_small_for_one_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from aftertune.explainers.attribution.importance import forward

    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(forward, "vmap", lambda _: fail)
    with pytest.raises(AttributionError, match="one direction at a time"):
        aftertune.attribute(load("gpt2"), PROMPT, RESPONSE, method="gradient", route="forward")


@pytest.mark.parametrize(("family", "experts"), [("qwen2", "eager"), ("mixtral", "grouped_mm")])
def test_the_model_is_left_as_it_was_found(family: str, experts: str) -> None:
    model = make_model(family, torch.float32)
    model.requires_grad_(True).train()
    model.set_attn_implementation("sdpa")
    model.model.layers[0].eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state, settings = torch.random.get_rng_state(), model.generation_config
    assert model.config._experts_implementation == experts
    checkpoint = aftertune.load(model, tokenizer=make_tokenizer(chat=False))
    for way in WAYS:
        aftertune.attribute(checkpoint, PROMPT, RESPONSE, **way)
    aftertune.attribute(checkpoint, PROMPT, max_new_tokens=3, response=None, check=True)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert model.config._attn_implementation == "sdpa" and model.generation_config is settings
    assert model.config._experts_implementation == experts
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_auto_takes_the_route_with_fewer_passes() -> None:
    def task(n: int, m: int) -> Task:
        return Task((3,) * n, (4,) * m, tuple((index,) for index in range(n)))

    for family, last in (("gpt2", 100), ("llama", 180)):  # the units at which a pass each way costs the same
        checkpoint = load(family, torch.float32)
        assert choose_route(checkpoint, [task(last, 100)]) == "forward"
        assert choose_route(checkpoint, [task(last + 1, 100)]) == "reverse"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"route": "sideways"}, "route 'sideways'"),
        ({"method": "guess"}, "method 'guess'"),
        ({"route": "forward"}, "route 'forward' is one of the gradient, and the method is 'removal'"),
        ({"unit": "syllable"}, "unit 'syllable'"),
        ({"unit": [(3, 900)]}, "3..900"),
        ({"unit": []}, "No range"),
        ({"unit": [(0, 7), (0, 7)]}, "no token"),
        ({"removal": "halved"}, "removal 'halved'"),
    ],
)
def test_a_setting_that_is_not_known_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(AttributionError, match=message):
        aftertune.attribute(load(), PROMPT, RESPONSE, **changes)


def test_an_empty_prompt_and_an_empty_response_are_refused() -> None:
    with pytest.raises(PromptError):
        aftertune.attribute(load(), "  ", RESPONSE)
    with pytest.raises(PromptError):
        aftertune.attribute(load(), PROMPT, "")


def test_several_prompts_come_back_in_their_order() -> None:
    checkpoint = load("qwen3")
    prompts = ["Rewrite the text. the cat sat on the mat", "the cat", "answer the question"]
    found = aftertune.attribute_all(checkpoint, prompts, max_new_tokens=5, batch_size=2)
    for one, prompt in zip(found, prompts, strict=True):
        alone = aftertune.attribute(checkpoint, prompt, max_new_tokens=5)
        assert one.text == prompt and one.response == alone.response
        assert relative(one.importance, alone.importance) < 1e-4
    with pytest.raises(PromptError, match="1 responses to 3 prompts"):
        aftertune.attribute_all(checkpoint, prompts, ["only one"])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_bfloat16_model_gives_float32_results_of_the_same_kind(way: dict[str, str]) -> None:
    wide, narrow = load("qwen2", torch.float32), load("qwen2", torch.bfloat16)
    found, expected = (aftertune.attribute(one, PROMPT, RESPONSE, **way) for one in (narrow, wide))
    assert found.importance.dtype == found.probability.dtype == np.float32
    assert np.corrcoef(found.importance.ravel(), expected.importance.ravel())[0, 1] > 0.9


def test_chunks_shrink_with_length_and_never_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from aftertune.explainers.attribution.importance import chunks
    from aftertune.explainers.attribution.importance.batch import make_batch
    from aftertune.models.backbone import Backbone

    backbone = Backbone(load("llama", torch.float32))
    batch = make_batch(backbone, [Task((5,) * 60, (6,) * 41, ((0,),))])
    # Numbers of attention that a direction holds for each position: 4 heads, 100 keys, a block of 100 queries.
    for attention, scores in (("eager", 6 * 4 * 100), (FUSED, 3 * 4 * 100), ("sdpa", 100)):
        each = 100 * (4 * 48 + 8 * 32 + scores) * 4
        backbone.checkpoint.model.set_attn_implementation(attention)
        for free, expected in ((each / 0.4 * 3.5, 3), (0, 1), (each * 1e6, chunks.MOST_ON_CPU)):
            monkeypatch.setattr(chunks, "_free_bytes", lambda _, free=free: free)
            assert chunks.fitting(backbone, batch) == expected
    assert chunks.scores_of_position(FUSED, 1000, 4) == 3 * 4 * chunks.QUERIES_AT_ONCE


def test_chunks_of_what_is_written_out_hold_what_is_left_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from aftertune.explainers.attribution.importance import chunks
    from aftertune.explainers.attribution.importance.batch import make_batch
    from aftertune.models.backbone import Backbone

    backbone = Backbone(load("llama", torch.float32))
    batch = make_batch(backbone, [Task((5,) * 60, (6,) * 41, tuple((place,) for place in range(60)))])
    plain, work = 100 * (6 * 32 + 4 * 48 + 4 * 100), chunks.ROWS_ON_CPU * (4 * 48 + 10 * 32 + 2 * 4 * 192)
    fixed, each = (plain + work) * 4, 100 * 32 * 4
    for free, expected in (((fixed + 7.5 * each) / 0.4, 7), (0, 1), (1e12, 60)):
        monkeypatch.setattr(chunks, "_free_bytes", lambda _, free=free: free)
        assert chunks.fitting(backbone, batch, written_out=True) == expected
