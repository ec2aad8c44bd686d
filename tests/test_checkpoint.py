"""Checkpoints from every kind of reference, with their provenance."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import aftertune
from aftertune.errors import CheckpointError
from aftertune.models.adapters import merge
from aftertune.models.adapters.tying import is_tied
from aftertune.models.backbone import Backbone
from tiny import FAMILIES, make_model, make_tokenizer


def save(folder: Path, family: str = "llama") -> Path:
    make_model(family).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_from_a_folder_and_its_parts_make_the_whole(family: str, tmp_path: Path) -> None:
    # With Qwen2's configuration transformers adds tokens of its own to any tokenizer that it reads.
    checkpoint = aftertune.load(save(tmp_path / "m", family), tokenizer=make_tokenizer())
    assert checkpoint.provenance.architecture == family and checkpoint.provenance.name == "m"
    backbone, ids = Backbone(checkpoint), torch.tensor([[5, 9, 30, 7, 41, 8, 3, 12, 77]])
    whole = checkpoint.model(ids).logits
    assert torch.allclose(backbone.logits(backbone.states(backbone.embed(ids))), whole, atol=1e-5)
    assert not checkpoint.model.training
    assert not any(weight.requires_grad for weight in checkpoint.model.parameters())


def test_fingerprint_is_that_of_the_weights(tmp_path: Path) -> None:
    model, tokenizer = make_model("gpt2"), make_tokenizer()
    first = aftertune.load(model, tokenizer=tokenizer).provenance.fingerprint
    assert first == aftertune.load(save(tmp_path / "x", "gpt2")).provenance.fingerprint
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters()):
        own = hashlib.sha256(weight.detach().numpy().tobytes()).hexdigest()
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} {own}\n".encode())
    assert first == digest.hexdigest()
    with torch.no_grad():
        model.transformer.wte.weight[0, 0] += 1e-3
    assert aftertune.load(model, tokenizer=tokenizer).provenance.fingerprint != first


def test_dtype_is_that_which_was_asked_for(tmp_path: Path) -> None:
    folder = save(tmp_path)
    assert aftertune.load(folder, dtype="bfloat16").model.dtype == torch.bfloat16
    assert aftertune.load(folder, dtype="float64").provenance.dtype == "float64"


def test_an_adapter_is_merged_into_the_weights(tmp_path: Path) -> None:
    folder = save(tmp_path / "base")
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    tuned = get_peft_model(make_model(), config)
    generator = torch.Generator().manual_seed(0)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=generator)
    tuned.save_pretrained(tmp_path / "adapter")
    ids = torch.tensor([[5, 9, 30]])
    checkpoint = aftertune.load(folder, adapter=tmp_path / "adapter")
    assert torch.allclose(checkpoint.model(ids).logits, tuned(ids).logits, atol=1e-3)
    assert type(checkpoint.model).__name__ == "LlamaForCausalLM"
    assert checkpoint.provenance.adapter == "adapter" and checkpoint.provenance.name == "base + adapter"
    assert checkpoint.provenance.fingerprint != aftertune.load(folder).provenance.fingerprint
    expected = tuned.base_model.model.model.layers[0].mlp.down_proj
    merged = expected.base_layer.weight + 2 * expected.lora_B["default"].weight @ expected.lora_A["default"].weight
    assert torch.allclose(checkpoint.model.model.layers[0].mlp.down_proj.weight, merged, atol=1e-5)


EMBEDDINGS = ["embed_tokens", "lm_head"]


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": EMBEDDINGS},
        {"target_modules": ["q_proj"], "modules_to_save": EMBEDDINGS},
        {"target_modules": ["q_proj"], "trainable_token_indices": [3, 5, 9]},
        {"target_modules": ["q_proj", "down_proj"], "use_dora": True},
    ],
    ids=["input", "output", "both", "saved", "tokens", "dora"],
)
def test_an_adapter_of_tied_embeddings_computes_what_it_computed_in_training(tmp_path: Path, settings: Any) -> None:
    folder = save(tmp_path / "base", "gemma2")
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert is_tied(model)
    tuned = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM", **settings)).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weight in tuned.named_parameters():
        if weight.requires_grad and "magnitude" not in name:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    tuned.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    ids = torch.arange(5, 40)[None]
    found, expected = aftertune.load(folder, adapter=tmp_path / "adapter").model(ids).logits, tuned(ids).logits
    assert torch.allclose(found, expected, atol=1e-4) and expected.std() > 0.5


@pytest.mark.parametrize("kind", ["wrapper", "inside", "loaded"])
def test_a_model_in_memory_with_an_adapter_is_read_as_it_computes(kind: str) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model, ids = make_model(), torch.arange(5, 25)[None]
    plain = model(ids).logits
    if kind == "loaded":
        model.add_adapter(config)
    given: Any = model if kind == "loaded" else get_peft_model(model, config)
    given = given.base_model.model if kind == "inside" else given
    given.eval()
    expected, names = given(ids).logits, [name for name, _ in given.named_modules()]
    found = aftertune.load(given, tokenizer=make_tokenizer()).model
    assert torch.allclose(found(ids).logits, expected, atol=1e-4) and not torch.allclose(expected, plain, atol=1e-2)
    assert not [name for name, _ in found.named_modules() if "lora" in name]
    assert [name for name, _ in given.named_modules()] == names and torch.equal(given(ids).logits, expected)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning")
def test_a_model_in_memory_whose_adapter_can_not_be_merged_is_refused() -> None:
    config = LoraConfig(r=2, target_modules=["q_proj"], lora_bias=True, task_type="CAUSAL_LM")
    with warnings.catch_warnings(action="ignore"):
        live = get_peft_model(make_model(), config).base_model.model
    with pytest.raises(CheckpointError, match=r"in your model can't be merged: Impossible to merge LoRA"):
        aftertune.load(live, tokenizer=make_tokenizer())


def test_an_adapter_that_can_not_be_merged_rightly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "part_shared", lambda _: None)  # so that repeated layers are merged into twice
    folder = save(tmp_path / "base")
    config = LoraConfig(r=2, target_modules=["q_proj"], layer_replication=[(0, 2), (1, 2)], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=r"can't be merged rightly: .* Merge it with the package that trained it"):
        aftertune.load(folder, adapter=tmp_path / "adapter")


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    folder, state = save(tmp_path), torch.random.get_rng_state()
    aftertune.load(folder)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
def test_a_gguf_file_loads_as_a_plain_model(tmp_path: Path) -> None:
    from aftertune.demo import find_demo_base

    checkpoint = aftertune.load(find_demo_base())
    assert checkpoint.provenance.n_parameters == 134_515_008
    found = checkpoint.model
    assert found.lm_head.weight is found.model.embed_tokens.weight
    found.save_pretrained(tmp_path / "copy")
    checkpoint.tokenizer.save_pretrained(tmp_path / "copy")
    again = aftertune.load(tmp_path / "copy")
    assert again.provenance.fingerprint == checkpoint.provenance.fingerprint
    result = aftertune.attribute(again, "The capital of France is", template="raw", max_new_tokens=3)
    assert "Paris" in result.response and np.isfinite(result.importance).all()
    assert found.half().dtype == torch.float16
