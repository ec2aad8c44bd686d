"""An architecture that only its user knows, described as data; and the part of a model that reads text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding, apply_rotary_pos_emb

import aftertune
from aftertune.errors import CheckpointError
from aftertune.explainers.attribution.importance import forward
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp.rows import rows_of
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.models.backbone import Backbone
from aftertune.models.description import Description, read_description
from aftertune.models.temporary_state import borrowed
from aftertune.models.weights import down_weights, query_key_weights
from oracles.importance import finite_difference
from tiny import make_model, make_tokenizer

TASK = Task(tuple(range(3, 12)), tuple(range(5, 14)), tuple((place,) for place in range(9)))
MINE: dict[str, Any] = {
    "name": "Mine",
    "backbone": "trunk",
    "layers": "blocks",
    "final_norm": "last",
    "attention": "mix",
    "norm": "before",
    "projections": ["ask", "offer"],
    "value": "give",
    "out": "join",
    "network_norm": "between",
    "gates": ["net.open", "net.pass_"],
    "activation": "net.act",
    "down": "net.write",
    "written_out": True,
}


class MineConfig(PreTrainedConfig):
    model_type = "mine"

    def __init__(self, **settings: Any) -> None:
        self.vocab_size, self.hidden_size, self.num_hidden_layers = 300, 32, 2
        self.num_attention_heads, self.num_key_value_heads, self.head_dim = 4, 2, 8
        self.rope_parameters = {"rope_type": "default", "rope_theta": 1e4}
        self.max_position_embeddings = 128
        super().__init__(**settings)


class Mix(nn.Module):
    def __init__(self, config: MineConfig, plain: bool) -> None:
        super().__init__()
        self.config, self.plain, self.is_causal, self.num_key_value_groups = config, plain, True, 2
        self.ask, self.offer, self.give, self.join = (nn.Linear(32, n, bias=False) for n in (32, 16, 16, 32))

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        query, key, value = (
            part(x).unflatten(-1, (-1, 8)).transpose(1, 2) for part in (self.ask, self.offer, self.give)
        )
        query, key = apply_rotary_pos_emb(query, key, *turn)
        if self.plain:  # attention of its own, that no one else can see
            return self.join(query.transpose(1, 2).flatten(2))
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        return self.join(attend(self, query, key, value, mask, scaling=8**-0.5)[0].flatten(2))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.open, self.pass_, self.write = nn.Linear(32, 48), nn.Linear(32, 48), nn.Linear(48, 32)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.write(self.act(self.open(x)) * self.pass_(x))


class Block(nn.Module):
    def __init__(self, config: MineConfig, plain: bool) -> None:
        super().__init__()
        self.before, self.between = LlamaRMSNorm(32), LlamaRMSNorm(32)
        self.mix, self.net = Mix(config, plain), Net()

    def forward(self, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        hidden_states = hidden_states + self.mix(self.before(hidden_states), position_embeddings, mask)
        return hidden_states + self.net(self.between(hidden_states))


class Trunk(nn.Module):
    def __init__(self, config: MineConfig, plain: bool) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(300, 32), LlamaRMSNorm(32)
        self.blocks = nn.ModuleList([Block(config, plain) for _ in range(2)])
        self.rotary = LlamaRotaryEmbedding(config)

    def forward(self, inputs_embeds: Tensor, **_: Any) -> BaseModelOutputWithPast:
        n = inputs_embeds.shape[1]
        turn = self.rotary(inputs_embeds, torch.arange(n)[None])
        mask = torch.full((1, 1, n, n), -1e9, dtype=inputs_embeds.dtype).triu(1)
        for block in self.blocks:
            inputs_embeds = block(inputs_embeds, position_embeddings=turn, mask=mask)
        return BaseModelOutputWithPast(last_hidden_state=self.last(inputs_embeds))


class Mine(PreTrainedModel):
    config_class = MineConfig
    base_model_prefix = "trunk"
    _supports_sdpa = _supports_attention_backend = True
    plain = False

    def __init__(self, config: MineConfig) -> None:
        super().__init__(config)
        self.trunk, self.head = Trunk(config, self.plain), nn.Linear(32, 300, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.trunk.words

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **_: Any) -> Any:
        embeds = self.trunk.words(input_ids) if inputs_embeds is None else inputs_embeds
        return CausalLMOutputWithPast(logits=self.head(self.trunk(embeds)[0]))


class Hidden(Mine):
    plain = True


def mine(kind: type[Mine] = Mine) -> Mine:
    torch.manual_seed(0)
    model = kind(MineConfig()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model.double().requires_grad_(False)


def as_mapping(_: Path) -> Any:
    return MINE


def as_json(folder: Path) -> Any:
    (folder / "mine.json").write_text(json.dumps(MINE))
    return folder / "mine.json"


def as_yaml(folder: Path) -> Any:
    (folder / "mine.yaml").write_text(yaml.safe_dump(MINE))
    return str(folder / "mine.yaml")


def as_description(_: Path) -> Any:
    return read_description(MINE)


@pytest.mark.parametrize("given", [as_mapping, as_json, as_yaml, as_description])
def test_an_architecture_can_be_described_as_data(given: Callable[[Path], Any], tmp_path: Path) -> None:
    model = mine()
    checkpoint = aftertune.load(model, tokenizer=make_tokenizer(), architecture=given(tmp_path))
    assert checkpoint.description == read_description(MINE) and checkpoint.description.gates == (
        "net.open",
        "net.pass_",
    )
    query, key = query_key_weights(checkpoint, 1)
    block = model.trunk.blocks[1]
    torch.testing.assert_close(query.flatten(0, 1), block.mix.ask.weight * block.before.weight)
    torch.testing.assert_close(key.flatten(0, 1), block.mix.offer.weight * block.before.weight)
    assert torch.equal(next(down_weights(checkpoint, 1)), block.net.write.weight.T)


def test_attribution_of_a_model_that_is_described_as_data() -> None:
    checkpoint = aftertune.load(mine(), tokenizer=make_tokenizer(), architecture=MINE)
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention=FUSED):
        batch = make_batch(backbone, [TASK])
        found = forward.forward_importance(backbone, batch)[0][0].numpy()
        states = batch.at_responses(backbone.states(batch.embeds))
        written = rows_of(backbone, batch, states, torch.ones_like(states), batch.embeds.dtype)
    assert written is not None and written(0, 2) is not None
    expected = finite_difference(checkpoint.model, TASK.prompt_ids, TASK.response_ids)
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_a_model_of_another_class_is_told_by_its_structure_too() -> None:
    found = aftertune.load(mine(), tokenizer=make_tokenizer()).description
    assert found == read_description({**MINE, "name": "mine"})


def test_attention_that_no_one_can_see_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match="attention of layer 0 does not go through transformers' attention functions"
    ):
        aftertune.load(mine(Hidden), tokenizer=make_tokenizer(), architecture=MINE)


BAD: dict[str, tuple[Any, str]] = {
    "no name": ({}, "A description can't be used: name is missing."),
    "unknown": ({"name": "x", "family": "y"}, "A description has no field 'family'. Allowed: name, backbone, layers"),
    "number": (
        {"name": "x", "norm": 3},
        "A description can't be used: norm is 3, which should be a valid str",
    ),
    "layout": (
        {"name": "x", "fused": "rows"},
        "A description can't be used: fused is 'rows', which should be 'blo",
    ),
    "one projection": ({"name": "x", "projections": ["qkv"]}, "names 1 projections, it must name 2"),
    "two fused": ({"name": "x", "fused": "heads"}, "names 2 projections, it must name 1"),
    "three gates": ({"name": "x", "gates": ["a", "b", "c"]}, "names 3 gates, it must name 1 or 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_description_that_can_not_be_used_is_refused(case: str) -> None:
    given, expected = BAD[case]
    with pytest.raises(CheckpointError) as refused:
        aftertune.load(mine(), tokenizer=make_tokenizer(), architecture=given)
    assert expected in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("no.json", None, ""),
        ("x.json", "{", "is no JSON: "),
        ("x.yaml", "a: [", "is no YAML: "),
        ("x.yaml", "- a", "holds a list, not fields"),
    ],
)
def test_a_file_that_holds_no_description_is_refused(
    name: str, text: str | None, expected: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError) as refused:
        read_description(tmp_path / name)
    what = "There is no file at" if text is None else "The description"
    assert f"{what} {tmp_path / name} {expected}".rstrip() in str(refused.value) and "\n" not in str(refused.value)


def test_the_defaults_are_llamas() -> None:
    assert read_description({"name": "Llama", "written_out": True}) == Description("Llama", written_out=True)
    model = make_model()
    assert aftertune.load(model, tokenizer=make_tokenizer(), architecture={"name": "Llama"}).description.name == "Llama"


def with_images() -> PreTrainedModel:
    text = dict(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, head_dim=8)
    text |= dict(num_attention_heads=4, num_key_value_heads=2, sliding_window=6, max_position_embeddings=128)
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    config = Gemma3Config(
        text_config=text, vision_config=vision | dict(image_size=28, patch_size=14), mm_tokens_per_image=4
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


def test_the_part_of_a_model_with_images_that_reads_text_is_taken(tmp_path: Path) -> None:
    model = with_images()
    assert type(model) is Gemma3ForConditionalGeneration
    model.save_pretrained(tmp_path / "m")
    make_tokenizer().save_pretrained(tmp_path / "m")
    assert aftertune.models.must_be_loadable(tmp_path / "m").model_type == "gemma3_text"
    ids = torch.tensor([[5, 9, 30, 7, 41, 8, 3, 12, 77]])
    whole = model(input_ids=ids).logits
    for checkpoint in (
        aftertune.load(model, tokenizer=make_tokenizer()),
        aftertune.load(tmp_path / "m", tokenizer=make_tokenizer()),
    ):
        assert checkpoint.provenance.architecture == "gemma3_text" and checkpoint.description.name == "Gemma 3"
        backbone = Backbone(checkpoint)
        assert torch.allclose(checkpoint.model(ids).logits, whole, atol=1e-5)
        assert torch.allclose(backbone.logits(backbone.states(backbone.embed(ids))), whole, atol=1e-5)
        assert not any(weight.is_meta for weight in checkpoint.model.state_dict().values())
        assert query_key_weights(checkpoint, 1)[0].shape == (4, 8, 32)


def test_two_checkpoints_of_a_described_architecture_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MineConfig, "architectures", ["Mine"], raising=False)
    AutoConfig.register("mine", MineConfig, exist_ok=True)
    AutoModelForCausalLM.register(MineConfig, Mine, exist_ok=True)
    for seed, name in enumerate(("base", "tuned")):
        torch.manual_seed(seed)
        Mine(MineConfig()).save_pretrained(tmp_path / name)
        make_tokenizer().save_pretrained(tmp_path / name)
    concepts = {"words": ["cat", "mat", "text"], "n_components": 4, "n_words": 2}
    given = {"only": "concepts", "concepts": concepts, "device": "cpu", "architecture": as_json(tmp_path)}
    study = aftertune.Study(tmp_path / "base", tmp_path / "tuned", run=tmp_path / "run", **given)
    assert aftertune.compare(study).concepts.layers == (0, 1)
