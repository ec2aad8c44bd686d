"""Tiny pairs of models that differ where it is known, and what locating their change wrote into a run."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location import LocationExplainer
from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.measure import LocationWork
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.location.texts import Text
from aftertune.models import Checkpoint, load
from aftertune.prompts.prompt import Message, Prompt
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from tiny import make_model, make_tokenizer

PAIR = Pair("base", "tuned")
TEXTS = ("the cat sat", "rewrite the text", "answer the question", "the mat", "sat on the cat", "Input: Output:", "mat")
Change = Callable[[str, torch.Tensor], torch.Tensor | None]


def tuned_pair(
    change: Change, family: str = "llama", dtype: torch.dtype = torch.float32
) -> tuple[Checkpoint, Checkpoint]:
    """A tiny model, and one to whose weights ``change(name, weight)`` was added where it is not None."""
    base = make_model(family, dtype)
    tuned = copy.deepcopy(base)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            added = change(name, weight)
            if added is not None:
                weight += added
    return load(base, tokenizer=make_tokenizer()), load(tuned, tokenizer=make_tokenizer())


def noise(weight: torch.Tensor, size: float = 0.2) -> torch.Tensor:
    """Always the same numbers for a shape."""
    return size * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3), dtype=weight.dtype)


def in_places(*places: str, size: float = 0.2) -> Change:
    """A change of the weights whose names hold one of ``places``."""
    return lambda name, weight: noise(weight, size) if any(one in name for one in places) else None


def prompts(texts: Sequence[str] = TEXTS) -> list[Prompt]:
    return [Prompt(f"p{place}", (Message("user", text),)) for place, text in enumerate(texts)]


def work(given: Sequence[str] = TEXTS, **known: Any) -> LocationWork:
    made = LocationExplainer().prepare(LocationSettings(**{"answer_tokens": 6} | known), Inputs(prompts(given)))
    assert isinstance(made, LocationWork)
    return made


def started(folder: Path) -> RunFolder:
    run = RunFolder.start(folder / "run", {"base": {}, "tuned": {}}, {})
    for role in PAIR:
        run.claim(f"{role}.json", {}, {"name": role})
    return run


def log_p(checkpoint: Any, text: Text) -> torch.Tensor:
    """Log probabilities (n_answer, n_vocabulary) at an answer's tokens, by the library's own pass."""
    with torch.inference_mode():
        logits = checkpoint.model(torch.tensor([[*text.prompt_ids, *text.answer_ids]])).logits[0]
    return torch.log_softmax(logits.double(), dim=1)[len(text.prompt_ids) - 1 : -1]


def located(folder: Path, change: Change, family: str = "llama", **known: Any) -> LocationChange:
    """The change of a tiny pair, measured and compared."""
    run = started(folder)
    work(**known).measure_pair(*tuned_pair(change, family), PAIR, run, silent)
    return opened(run)


def opened(run: RunFolder) -> LocationChange:
    return LocationExplainer().change(Held(run), PAIR, LocationSettings(), {})
