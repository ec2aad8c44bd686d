"""Pairs of tiny models whose outputs are compared: planted, random, and the same."""

from pathlib import Path
from typing import Any

import torch

import tiny
from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs import OutputExplainer, OutputSettings
from aftertune.explainers.outputs.change import OutputChange
from aftertune.models.checkpoint import load
from aftertune.models.loaded import Checkpoint
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.held import Held
from aftertune.runs.roles import NAMES, Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import StepProgress, silent

PAIR = Pair("base", "tuned")
QUICK = {"n_samples": 2, "answer_tokens": 6}
PROMPTS = (Prompt("one", (Message("user", "the cat sat"),)), Prompt("two", (Message("user", "Rewrite it"),)))


def checkpoint(model: Any, chat: bool = True) -> Checkpoint:
    return load(model, tokenizer=tiny.make_tokenizer(chat))


def base(family: str = "qwen2", dtype: torch.dtype = torch.float32) -> Checkpoint:
    return checkpoint(tiny.make_model(family, dtype))


@torch.no_grad()
def planted(token: int, size: float = 4.0) -> Checkpoint:
    """The base with one token likelier wherever its mean final state is."""
    model = tiny.make_model("qwen2")
    states = model.model(torch.arange(3, 290).reshape(7, 41))[0].reshape(-1, 32)
    mean = states.mean(0)
    model.lm_head.weight[token] += size * mean / mean.square().sum()
    return checkpoint(model)


@torch.no_grad()
def noisy(seed: int, size: float = 0.2) -> Checkpoint:
    """The base with Gaussian noise in every tensor, as large as a share of its norm."""
    model, generator = tiny.make_model("qwen2"), torch.Generator().manual_seed(10_000 + seed)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight += size * weight.norm() * noise / noise.norm()
    return checkpoint(model)


def run_in(folder: Path) -> RunFolder:
    run = RunFolder.start(folder, {"base": {}, "tuned": {}}, {})
    for role in PAIR:
        run.claim(f"{role}.json", {"fingerprint": role}, {"name": role})
    run.remember(NAMES, {})
    return run


def measure(
    run: RunFolder, tuned: Checkpoint, own: Checkpoint | None = None, progress: StepProgress = silent, **known: Any
) -> None:
    work = OutputExplainer().prepare(OutputSettings(**QUICK | known), Inputs(PROMPTS))
    work.measure_pair(own or base(), tuned, PAIR, run, progress)
    work.finish(run, "tuned")


def change_of(run: RunFolder) -> OutputChange:
    found = OutputExplainer().change(Held(run), PAIR, OutputSettings(), {})
    assert found is not None
    return found
