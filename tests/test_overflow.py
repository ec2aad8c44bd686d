"""Finite weights whose logits are not: what overflows everywhere is refused, one prompt that does is left out and told.

Planted: one direction of the stream is written by one token's embedding alone, and the first feed-forward network
multiplies it by so much that its product is infinite. Every text with that token overflows, no other does.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

import aftertune
from aftertune.errors import AttributionError, CheckpointError
from aftertune.explainers.attribution.score import sparsify
from command_line import CommandLine, save_prompts
from tiny import make_model, make_tokenizer

pytest_plugins = ("cli_fixtures",)
HUGE = 1e30
WORD = " mat"
PROMPTS = ("the cat sat", "answer the question on the mat", "rewrite the text", "sat on the cat")


def token() -> int:
    (found,) = make_tokenizer()(WORD, add_special_tokens=False)["input_ids"]
    return int(found)


def overflowing(seed: int = 0) -> PreTrainedModel:
    """A model whose logits overflow where the token of `WORD` was read."""
    model = make_model("llama", seed=seed)
    with torch.no_grad():
        embedding = model.get_input_embeddings().weight
        embedding[:, 0] = 0
        embedding[token(), 0] = 1
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0
        for part in (model.model.layers[0].mlp.gate_proj, model.model.layers[0].mlp.up_proj):
            part.weight[0] = 0
            part.weight[0, 0] = HUGE
    return model


def save(folder: Path, seed: int) -> Path:
    overflowing(seed).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def test_a_model_that_predicts_nothing_is_refused_when_it_is_loaded() -> None:
    model = make_model("llama")
    model.model.norm.weight.data.fill_(1e38)
    model.get_output_embeddings().weight.data.mul_(1e10)
    with pytest.raises(CheckpointError, match="predicts nothing: in float32"):
        aftertune.load(model, tokenizer=make_tokenizer())


@pytest.mark.parametrize("method", ["removal", "gradient", "locally-linear"])
def test_a_prompt_that_overflows_has_no_map(method: str) -> None:
    checkpoint = aftertune.load(overflowing(), tokenizer=make_tokenizer())
    given = {"response": " sat", "method": method, "template": "raw", "removal": "deleted"}  # the mean has the word
    assert aftertune.attribute(checkpoint, PROMPTS[0], **given).is_finite
    with pytest.raises(AttributionError, match="overflow on prompt 'prompt'"):
        aftertune.attribute(checkpoint, PROMPTS[1], **given)


def test_levels_are_not_made_of_what_is_no_number() -> None:
    with pytest.raises(AttributionError, match="NaN or infinity"):
        sparsify(np.array([[0.5, np.nan], [0.1, 0.2]]))


def test_a_prompt_that_overflows_is_left_out_of_a_comparison_and_told(cli: CommandLine, tmp_path: Path) -> None:
    models = [str(save(tmp_path / name, seed)) for name, seed in (("base", 0), ("tuned", 1))]
    rest = [text for text in PROMPTS if WORD not in text]
    found = {}
    for name, texts in (("all", PROMPTS), ("rest", rest)):
        rows = [{"id": f"p{PROMPTS.index(text)}", "prompt": text, "response": " the cat sat"} for text in texts]
        file = save_prompts(tmp_path / f"{name}.jsonl", rows)
        options = ["--prompts", file, "--run", tmp_path / f"run-{name}", "--device", "cpu", "--max-new-tokens", "4"]
        options += ["--removal", "deleted"]
        skipped = [part for one in ("heads", "concepts") for part in ("--skip", one)]
        found[name] = json.loads(cli.succeeds("compare", *models, *options, *skipped, "--template", "raw", "--json"))
    every, other = found["all"], found["rest"]
    (told,) = [one for one in every["findings"] if one["kind"] == "attribution.overflow"]
    assert told["evidence"] == {"n_overflowed": 1, "n_prompts": len(PROMPTS)} and "'p1'" in told["sentence"]
    assert not [one for one in other["findings"] if one["kind"] == "attribution.overflow"]
    assert every["attribution"]["overflowed"] == ["p1"]
    for table in ("instances", "table2", "table2_controls"):
        assert every["attribution"][table] == other["attribution"][table]
    assert every["location"]["total"]["n_left_out"] == 1 and other["location"]["total"]["n_left_out"] == 0
