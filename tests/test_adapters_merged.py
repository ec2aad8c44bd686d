"""Every kind of adapter that can be merged: the merged model computes what PEFT computes beside the base."""

import copy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import PreTrainedModel

import aftertune
from aftertune.errors import CheckpointError, RunError
from command_line import edit_json, edit_weights, save_checkpoint
from tiny import make_model, make_tokenizer

IDS = torch.arange(3, 300, 7)[None]
TARGETS: dict[str, Any] = {"r": 2, "target_modules": ["q_proj"]}
EMBEDDINGS = (["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"])


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose embeddings are one tensor, with logits of the size of a real model's."""
    return save_checkpoint(tmp_path_factory.mktemp("tied") / "base")


def trained(model: PreTrainedModel, config: Any) -> Any:
    """PEFT's wrapper of a model, with every trained number away from where training begins."""
    state = torch.random.get_rng_state()
    torch.manual_seed(3)
    with warnings.catch_warnings(action="ignore"):
        wrapped = peft.get_peft_model(model, config)
    for weight in wrapped.parameters():
        if weight.requires_grad:
            weight.data.add_(0.2 * torch.randn_like(weight))
    torch.random.set_rng_state(state)
    return wrapped.eval()


def saved(wrapped: Any, folder: Path, **how: Any) -> Path:
    with warnings.catch_warnings(action="ignore"):
        wrapped.save_pretrained(folder, **how)
    return folder


@torch.no_grad()
def apart(one: Any, other: Any, ids: torch.Tensor = IDS) -> float:
    return float((one(input_ids=ids).logits - other(input_ids=ids).logits).abs().max())


def untied() -> PreTrainedModel:
    model: Any = make_model()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    return model


@pytest.mark.parametrize("make", [untied, make_model], ids=["trained untied", "trained tied"])
@pytest.mark.parametrize("targets", EMBEDDINGS, ids="+".join)
def test_lora_on_tied_embeddings(
    tied: Path, tmp_path: Path, targets: list[str], make: Callable[[], PreTrainedModel]
) -> None:
    wrapped = trained(make(), peft.LoraConfig(r=4, target_modules=["q_proj", *targets], task_type="CAUSAL_LM"))
    found = aftertune.load(tied, adapter=saved(wrapped, tmp_path / "adapter"))
    assert apart(wrapped, found.model) < 1e-4 < 1 < apart(make_model(), found.model)


KINDS: dict[str, Any] = {
    "ensure_weight_tying": lambda: peft.LoraConfig(r=4, target_modules=["embed_tokens"], ensure_weight_tying=True),
    "layer_replication": lambda: peft.LoraConfig(**TARGETS, layer_replication=[[0, 2], [0, 2]]),
    "modules_to_save": lambda: peft.LoraConfig(**TARGETS, modules_to_save=["embed_tokens", "lm_head"]),
    "trainable tokens": lambda: peft.LoraConfig(**TARGETS, trainable_token_indices=[5, 10]),
    "dora": lambda: peft.LoraConfig(**TARGETS, use_dora=True),
    "ia3": lambda: peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "oft": lambda: peft.OFTConfig(oft_block_size=8, r=0, target_modules=["q_proj"]),
    "layer norms": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_can_be_merged(tied: Path, tmp_path: Path, kind: str) -> None:
    wrapped = trained(make_model(), KINDS[kind]())
    found = aftertune.load(tied, adapter=saved(wrapped, tmp_path / "adapter"))
    assert apart(wrapped, found.model) < 1e-4 < 0.05 < apart(make_model(), found.model)


NOTHING_TO_MERGE: dict[str, Any] = {
    "prompt tuning": lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "prefix tuning": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "p tuning": lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
}


@pytest.mark.parametrize("kind", NOTHING_TO_MERGE)
def test_what_puts_vectors_before_the_prompt_is_refused(tied: Path, tmp_path: Path, kind: str) -> None:
    folder = saved(trained(make_model(), NOTHING_TO_MERGE[kind]()), tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=f"is no LoRA adapter but {kind}: it puts trained vectors before the"):
        aftertune.load(tied, adapter=folder)


def test_other_kinds_that_cannot_be_merged(tied: Path, tmp_path: Path) -> None:
    folder = saved(trained(make_model(), peft.LoraConfig(**TARGETS)), tmp_path / "adapter")
    for kind, reason in (("XLORA", "PEFT can't merge that"), ("NEW_KIND", "PEFT here does not know that kind")):
        edit_json(folder / "adapter_config.json", peft_type=kind)
        with pytest.raises(CheckpointError, match=f"is of the kind {kind}: {reason}"):
            aftertune.load(tied, adapter=folder)


def test_an_adapter_trained_on_the_model_without_its_output_head(tied: Path, tmp_path: Path) -> None:
    wrapped = trained(make_model(), peft.LoraConfig(**TARGETS))
    folder = saved(wrapped, tmp_path / "adapter")
    edit_weights(
        folder / "adapter_model.safetensors",
        lambda held: {name.replace(".model.model.", ".model."): weight for name, weight in held.items()},
    )
    assert apart(wrapped, aftertune.load(tied, adapter=folder).model) < 1e-4


def test_settings_that_this_peft_does_not_know(tied: Path, tmp_path: Path) -> None:
    wrapped = trained(make_model(), peft.LoraConfig(**TARGETS))
    folder = saved(wrapped, tmp_path / "adapter")
    edit_json(folder / "adapter_config.json", of_the_future=3, merge_weights=False)
    with warnings.catch_warnings(action="ignore"):
        assert apart(wrapped, aftertune.load(tied, adapter=folder).model) < 1e-4


LIVE: dict[str, Callable[[Any], Any]] = {"wrapper": lambda one: one, "inside": lambda one: one.base_model.model}


@pytest.mark.parametrize("where", LIVE)
@pytest.mark.parametrize(
    "given", [{"target_modules": one} for one in EMBEDDINGS] + [{**TARGETS, "modules_to_save": ["lm_head"]}], ids=str
)
def test_live_models_are_read_as_what_they_are(given: dict[str, Any], where: str) -> None:
    wrapped = trained(make_model(), peft.LoraConfig(**({"r": 2} | given)))
    before = copy.deepcopy(wrapped).state_dict()
    found = aftertune.load(LIVE[where](wrapped), tokenizer=make_tokenizer())
    assert apart(wrapped, found.model) < 1e-4 < 1 < apart(make_model(), found.model)
    assert all(torch.equal(weight, before[name]) for name, weight in wrapped.state_dict().items())


def test_a_live_model_that_loaded_an_adapter(tmp_path: Path) -> None:
    wrapped = trained(make_model(), peft.LoraConfig(**TARGETS))
    live: Any = make_model()
    live.load_adapter(str(saved(wrapped, tmp_path / "adapter")))
    found = aftertune.load(live, tokenizer=make_tokenizer())
    assert apart(wrapped, found.model) < 1e-4
    words = ["cat", "mat", "text"]
    plain = aftertune.read_concepts(aftertune.load(wrapped, tokenizer=make_tokenizer()), words)
    assert aftertune.read_concepts(found, words).components.equals(plain.components)


def test_a_live_model_is_no_checkpoint_of_a_study(tied: Path) -> None:
    with pytest.raises(RunError, match="A LlamaForCausalLM in memory can't be a checkpoint of a study"):
        aftertune.Study(tied, make_model())


def test_weights_saved_from_a_compiled_model(tied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tied, tmp_path / "compiled"))
    edit_weights(
        folder / "model.safetensors", lambda held: {f"_orig_mod.module.{name}": one for name, one in held.items()}
    )
    assert apart(make_model(), aftertune.load(folder).model) == 0


def test_embeddings_that_came_apart_though_the_configuration_says_tied(tied: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tied, tmp_path / "apart"))
    edit_weights(
        folder / "model.safetensors",
        lambda held: held | {"lm_head.weight": held["model.embed_tokens.weight"].flip(0).contiguous()},
    )
    model: Any = aftertune.load(folder).model
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight.flip(0))


def test_repeated_layers_are_told_before_the_plan(tied: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(**TARGETS, layer_replication=[[0, 2], [0, 2]])
    folder = saved(trained(make_model(), config), tmp_path / "adapter")
    study = aftertune.Study(tied, aftertune.Subject(tied, folder), run=tmp_path / "run", only=["location"])
    with pytest.raises(CheckpointError, match=r"3 layers .* and 4 layers"):
        aftertune.compare(study, announce=lambda _: pytest.fail("the plan was told"))
