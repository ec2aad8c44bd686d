"""Architectures that are told by their structure: what is read is what the model computes, or it is refused."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

import aftertune
from aftertune.errors import CheckpointError
from aftertune.explainers.attribution.importance import forward
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp import rows
from aftertune.explainers.attribution.importance.explicit_jvp.facts import facts_of
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.removal import removal_importance
from aftertune.explainers.attribution.importance.reverse import reverse_importance
from aftertune.explainers.concepts.measure import read_concepts
from aftertune.explainers.heads.measure import HeadWork, make_lexicon, read_heads
from aftertune.explainers.heads.result import saved_heads
from aftertune.models.architectures import ARCHITECTURES, find_description, is_written_out
from aftertune.models.backbone import Backbone
from aftertune.models.generation import generate
from aftertune.models.loaded import rule_of
from aftertune.models.proof import prove
from aftertune.models.size import size_by_config
from aftertune.models.structure import describe
from aftertune.models.temporary_state import borrowed
from aftertune.models.weights import attending, down_weights, query_key_weights
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from oracles import structures
from oracles.importance import delete_each, finite_difference, zero_each
from test_heads_read import SETTINGS, some_vectors, some_words
from tiny import DERIVED, FAMILIES, GQA, make_config, make_model, make_tokenizer

TASK = Task(tuple(range(3, 12)), tuple(range(5, 20)), tuple((place,) for place in range(9)))
# Their layers are of Llama's build, with factors, layers without rotary position, or pairs of neighbours turned.
WRITTEN_OUT = {
    *("cwm", "ernie4_5", "exaone4", "gemma", "glm", "glm4", "granite", "helium", "hyperclovax", "internlm3"),
    *("iquestcoder", "llama-yarn", "ministral", "ministral3", "olmo3", "phi4_multimodal", "seed_oss", "smollm3"),
    "vaultgemma",
}
OF_LLAMAS_BUILD = [name for name, row in ARCHITECTURES.items() if row.written_out]


def load(model: PreTrainedModel) -> aftertune.Checkpoint:
    return aftertune.load(model, tokenizer=make_tokenizer())


def importance(
    checkpoint: aftertune.Checkpoint, way: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[np.ndarray, list[bool]]:
    """The importance by "written" or "general" forward mode, or by "reverse"; whether what is written out was taken."""
    taken: list[bool] = []

    def rows_of(*given: object) -> Callable[[int, int], torch.Tensor | None] | None:
        found = None if way == "general" else rows.rows_of(*given)  # type: ignore[arg-type]
        if found is None:
            return None
        return lambda start, stop: [chunk := found(start, stop), taken.append(chunk is not None)][0]

    monkeypatch.setattr(forward, "rows_of", rows_of)
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention="eager" if way == "reverse" else FUSED):
        batch = make_batch(backbone, [TASK])
        route = reverse_importance if way == "reverse" else forward.forward_importance
        return route(backbone, batch)[0][0].numpy(), taken


@pytest.mark.parametrize("name", DERIVED)
def test_heads_and_networks_are_those_of_the_oracle(name: str) -> None:
    checkpoint = load(make_model(name, torch.float64))
    for layer in (0, 2):
        for found, expected in zip(
            query_key_weights(checkpoint, layer), structures.query_key(name, checkpoint.model, layer), strict=True
        ):
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
        (found,) = down_weights(checkpoint, layer)
        np.testing.assert_allclose(found.numpy(), structures.down(name, checkpoint.model, layer), atol=1e-12)


# NanoChat normalises embeddings, so that to scale one changes nothing at all.
@pytest.mark.parametrize("name", sorted(set(DERIVED) - {"nanochat"}))
def test_forward_is_reverse_and_both_are_finite_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load(make_model(name, torch.float64))
    (found, taken), (general, _), (reverse, _) = (
        importance(checkpoint, way, monkeypatch) for way in ("written", "general", "reverse")
    )
    largest = np.abs(general).max()
    # Transformers takes norms and weights of attention in float32 whatever the model's type.
    assert np.abs(found - general).max() < 5e-6 * largest
    assert np.abs(reverse - general).max() < 5e-6 * largest
    differences = finite_difference(checkpoint.model, TASK.prompt_ids, TASK.response_ids)
    assert np.abs(differences - general).max() < 2e-3 * largest
    assert taken == ([True] if name in WRITTEN_OUT else [])


@pytest.mark.parametrize("name", ["smollm3", "granite", "olmo3", "cohere2", "lfm2", "qwen3_5_text-hybrid"])
@pytest.mark.parametrize(("removal", "oracle"), [("zeroed", zero_each), ("deleted", delete_each)])
def test_removal_is_removal(name: str, removal: str, oracle: Callable[..., np.ndarray]) -> None:
    checkpoint = load(make_model(name, torch.float64))
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention="sdpa"):
        found, _ = removal_importance(backbone, make_batch(backbone, [TASK]), removal)
        expected = oracle(checkpoint.model, TASK.prompt_ids, TASK.response_ids)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=5e-6 * np.abs(expected).max())


def test_layers_without_attention_have_no_heads_to_read(tmp_path: Path) -> None:
    checkpoint = load(make_model("qwen3_5_text-hybrid"))
    assert attending(checkpoint, range(3)) == (0, 2) and not checkpoint.description.written_out
    with pytest.raises(CheckpointError, match=r"None of the layers .* has attention.* Give those of 0, 2\."):
        query_key_weights(checkpoint, 1)
    assert next(down_weights(checkpoint, 1)).shape == (48, 32)
    reading = read_heads(checkpoint, some_words(), some_vectors(some_words()), SETTINGS)
    assert reading.layers == (0, 2) and set(reading.pairs["layer"]) <= {0, 2}
    lexicon, run = (
        make_lexicon(some_words(), some_vectors(some_words()), SETTINGS),
        RunFolder.start(tmp_path / "run", {}, {}),
    )
    work = HeadWork(lexicon)
    work.measure(checkpoint, "model", run, silent)
    work.finish(run, "model")
    assert work.is_measured(run, "model") and saved_heads(run, "model").pairs.equals(reading.pairs)
    concepts = read_concepts(checkpoint, some_words(), n_components=2, n_words=2)
    assert set(concepts.components["layer"]) == {0, 1, 2}


def test_generation_in_a_batch_is_generation_alone() -> None:
    checkpoint = load(make_model("qwen3_5_text-hybrid"))
    prompts = [[5, 9, 30, 7, 41], [8, 3]]
    alone = [generate(checkpoint, [prompt], 6)[0] for prompt in prompts]
    assert generate(checkpoint, prompts, 6) == alone


@pytest.mark.parametrize("name", DERIVED)
def test_whether_forward_mode_is_written_out_is_told_by_the_configuration(name: str) -> None:
    config, model = make_config(name), make_model(name)
    found = size_by_config(config)
    assert found.written_out == is_written_out(config) == (name in WRITTEN_OUT)
    assert found.n_parameters == sum(weight.numel() for weight in model.parameters())
    assert found.n_neurons == 3 * len(structures.down(name, model, 0))


@pytest.mark.parametrize("name", OF_LLAMAS_BUILD)
def test_rows_of_the_table_are_what_structure_tells(name: str) -> None:
    with torch.device("meta"):
        found = describe(AutoModelForCausalLM.from_config(make_config(name)).eval(), name)
    assert replace(found, name=ARCHITECTURES[name].name) == ARCHITECTURES[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*FAMILIES, "cohere-qk", "granite", "olmo3", "qwen3_5_text", "smollm3"])
def test_right_descriptions_give_back_what_the_model_computes(name: str, dtype: torch.dtype) -> None:
    checkpoint = load(make_model(name, dtype))
    rule = prove(checkpoint)
    assert rule == checkpoint.logit_rule
    if name in FAMILIES:
        assert rule == rule_of(checkpoint.model.config)


WRONG = {
    "another norm": ("llama", {"norm": "post_attention_layernorm"}, "the queries and keys of layer 0 differ by"),
    "no norm": ("smollm3", {"norm": None}, "the queries and keys of layer 0 differ by"),
    "queries for keys": ("olmo", {"projections": ("k_proj", "q_proj")}, "An attention projection has 16 rows"),
    "values for keys": ("qwen2", {"projections": ("q_proj", "v_proj")}, "the queries and keys of layer 0 differ by"),
    "no norms of heads": ("qwen3", {"head_norms": None}, "the queries and keys of layer 0 differ by"),
    "norms of heads changed over": ("qwen3", {"head_norms": ("k_norm", "q_norm")}, "the queries of layer 0 differ by"),
    "gates first": ("qwen3_5_text", {"fused": None}, "64 rows, by the configuration it should have 32"),
    "fused by heads": ("phi3", {"fused": "heads"}, "rows, by the configuration it should have"),
    "another norm after": ("gemma2", {"written_norm": "post_attention_layernorm"}, "the network of layer 0 writes"),
    "no norm after": ("glm4", {"written_norm": None}, "what the network of layer 0 writes differ by"),
    "another backbone": ("llama", {"backbone": "model.layers"}, "does not give back what the model computes"),
    "up for down": ("llama", {"down": "mlp.up_proj"}, "does not give back what the model computes"),
    "no such place": ("llama", {"attention": "attn"}, "has attention, so they have no heads. Give another description"),
    "the lower layers": ("llama", {"layers": "rotary_emb"}, "does not give back what the model computes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_description_is_refused(case: str) -> None:
    name, change, expected = WRONG[case]
    model = make_model(name)
    right = load(model).description
    with pytest.raises(CheckpointError, match=re.escape(expected)) as refused:
        aftertune.load(model, tokenizer=make_tokenizer(), architecture=replace(right, **change))
    assert "\n" not in str(refused.value)
    assert aftertune.load(model, tokenizer=make_tokenizer(), architecture=right).description == right


def test_a_model_that_does_more_to_its_logits_is_refused() -> None:
    model = make_model("smollm3")
    model.lm_head.register_forward_hook(lambda _module, _given, logits: logits)
    assert load(model).logit_rule.divisor == 1
    model.forward = lambda *given, forward=model.forward, **named: _tripled(forward(*given, **named))
    with pytest.raises(CheckpointError, match=r"its logits differ by \d+%"):
        load(model)


def _tripled(output: object) -> object:
    output.logits = 3 * output.logits  # type: ignore[attr-defined]
    return output


def test_loading_leaves_the_model_and_the_random_state_alone() -> None:
    model = make_model("olmo3")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state, attention = torch.random.get_rng_state(), model.config._attn_implementation
    checkpoint = load(model)
    facts_of(Backbone(checkpoint))
    assert torch.equal(torch.random.get_rng_state(), state) and model.config._attn_implementation == attention
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


REFUSED = {
    "deepseek_v2": ({}, "experts.gate_up_proj, that is no matrix"),
    "deepseek_v3": ({}, "its queries, keys or values are not made by one projection each"),
    "minicpm3": ({}, "its queries, keys or values are not made by one projection each"),
    "llama4_text": ({}, "it is not a decoder with an output embedding above it"),
    "gpt_oss": ({}, "experts.gate_up_proj, that is no matrix"),
    "glm4_moe": ({}, "experts.gate_up_proj, that is no matrix"),
    "granite_swa": ({}, "self_attn.sinks, that no description has a place for"),
    "bitnet": ({}, "self_attn.attn_sub_norm.weight, that no description has a place for"),
    "doge": ({}, "input_residual, that no description has a place for"),
    "diffllama": ({}, "not all its layers have attention with queries and keys of their own"),
    "gemma4_text": ({}, "its configuration does not say how many heads all its layers have"),
    "stablelm": ({"qk_layernorm": True}, "its queries and keys do not go through one norm each, or none"),
    "mamba": ({}, "it does not run on embeddings alone"),
    "jamba": ({}, "experts.gate_up_proj, that is no matrix"),
    "falcon_h1": ({}, "its layers have not one feed-forward network each"),
    "qwen3_next": ({}, "experts.gate_up_proj, that is no matrix"),
    "olmo_hybrid": ({"num_hidden_layers": 4}, "its layers are not all built alike"),
    "recurrent_gemma": ({}, "rg_lru.input_gate_weight, that is no matrix"),
    "bloom": ({}, "it does not run on embeddings alone"),
    "gptj": ({}, "it does not run on embeddings alone"),
    "opt": ({}, "it has no list of layers"),
    "falcon": ({}, "its attention does not go through transformers' attention functions"),
    "persimmon": ({}, "its projections have not the numbers of heads of its configuration"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_built_otherwise_is_refused_by_its_configuration(name: str, tmp_path: Path) -> None:
    more, expected = REFUSED[name]
    AutoConfig.for_model(name, **{**GQA, **more}).save_pretrained(tmp_path)  # there are no weights
    with pytest.raises(CheckpointError) as refused:
        aftertune.load(tmp_path, tokenizer=make_tokenizer())
    kind, message = re.escape(name), str(refused.value)
    assert re.match(
        rf"The architecture '{kind}' is not known\. Known: Llama \(llama\), .* This one can't be read: ", message
    )
    assert expected in message and "\n" not in message


def test_a_checkpoint_loads_from_a_folder(tmp_path: Path) -> None:
    make_model("smollm3").save_pretrained(tmp_path / "m")
    make_tokenizer().save_pretrained(tmp_path / "m")
    config = aftertune.models.must_be_loadable(tmp_path / "m")
    assert find_description(config).written_out and config.model_type == "smollm3"
    checkpoint = aftertune.load(tmp_path / "m")
    assert checkpoint.provenance.architecture == "smollm3" and checkpoint.description.name == "smollm3"
