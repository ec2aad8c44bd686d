"""Pairs of tiny models of eight layers in which the change of weights is planted, or is noise."""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import tiny
from aftertune.explainers.concepts import ConceptExplainer, ConceptSettings
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.explainer import Inputs
from aftertune.models.checkpoint import load
from aftertune.models.loaded import Checkpoint
from aftertune.runs.held import Held
from aftertune.runs.roles import NAMES, Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent

PAIR = Pair("base", "tuned")
N_LAYERS, D_MODEL = 8, 64
WORDS = ("tree", "stone", "river", "write", "walk", "tell", "seven", "the")
Change = Callable[[LlamaForCausalLM], None]


def base(seed: int = 0) -> LlamaForCausalLM:
    """A Llama of random weights, its input and output embeddings apart."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=D_MODEL,
        intermediate_size=96,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def checkpoint(model: LlamaForCausalLM, name: str) -> Checkpoint:
    model.config.name_or_path = name
    return load(model, tokenizer=tiny.make_tokenizer(False))


def tuned(change: Change, seed: int = 0) -> LlamaForCausalLM:
    model = base(seed)
    change(model)
    return model


@torch.no_grad()
def add_noise(model: LlamaForCausalLM, seed: int, size: float = 0.05) -> None:
    """Gaussian noise in every tensor, as large as a share of its norm."""
    generator = torch.Generator().manual_seed(1_000 + seed)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight += size * weight.norm() * noise / noise.norm()


@torch.no_grad()
def write_token(model: LlamaForCausalLM, token: int, layer: int, strength: float) -> None:
    """Let a layer's feed-forward network write a token's centred output embedding, from random neurons."""
    embeddings = model.lm_head.weight
    direction = torch.nn.functional.normalize(embeddings[token] - embeddings.mean(0), dim=0)
    weight = model.model.layers[layer].mlp.down_proj.weight
    drive = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(5))
    weight += strength * torch.outer(direction, drive / drive.norm())


@torch.no_grad()
def read_token(model: LlamaForCausalLM, token: int, layer: int, strength: float) -> None:
    """Let a layer's feed-forward network read a token's input embedding, into random neurons."""
    direction = torch.nn.functional.normalize(model.model.embed_tokens.weight[token], dim=0)
    weight = model.model.layers[layer].mlp.gate_proj.weight
    drive = torch.randn(weight.shape[0], generator=torch.Generator().manual_seed(5))
    weight += strength * torch.outer(drive / drive.norm(), direction)


def run_in(folder: Path) -> RunFolder:
    run = RunFolder.start(folder, {"base": {}, "tuned": {}}, {})
    for role in PAIR:
        run.claim(f"{role}.json", {}, {"name": role})
    run.remember(NAMES, {})
    return run


def measured(run: RunFolder, own: Checkpoint, other: Checkpoint, **known: object) -> ConceptChange:
    """The concepts of two models, read into a run and compared."""
    settings = ConceptSettings(words=WORDS, n_components=3, n_words=2, **known)  # type: ignore[arg-type]
    explainer = ConceptExplainer()
    work = explainer.prepare(settings, Inputs())
    for role, one in zip(PAIR, (own, other), strict=True):
        work.measure(one, role, run, silent)
    work.measure_pair(own, other, PAIR, run, silent)
    assert work.is_pair_measured(run, PAIR)
    for role in PAIR:
        work.finish(run, role)
    found = explainer.change(Held(run), PAIR, settings, {})
    assert found is not None
    return found
