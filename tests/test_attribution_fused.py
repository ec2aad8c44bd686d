"""Attention whose tangent is written out, against `torch.func` on the attention of every family."""

import numpy as np
import pytest
import torch

import aftertune
from aftertune.attribution import chunks, forward, routes
from aftertune.attribution.batch import Task, make_batch
from aftertune.attribution.fused import FUSED
from aftertune.models.backbone import Backbone
from aftertune.models.borrowed import borrowed
from tiny import FAMILIES, make_model, make_tokenizer

LONG = Task(tuple(range(3, 12)), tuple(range(5, 20)), tuple((place,) for place in range(9)))
SHORT = Task(tuple(range(4, 10)), tuple(range(2, 9)), ((0, 1), (2,), (4, 5)))


def importance(checkpoint: aftertune.Checkpoint, attention: str, at_once: int) -> list[np.ndarray]:
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention=attention, experts="eager"), pytest.MonkeyPatch.context() as patched:
        patched.setattr(forward, "rows_of", lambda *_: None)
        patched.setattr(forward, "fitting", lambda *_, **__: at_once)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, [SHORT, LONG]))
    tasks = enumerate((SHORT, LONG))
    return [found[row, : len(task.units), : len(task.response_ids)].numpy() for row, task in tasks]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("at_once", [1, 9])
def test_its_tangent_is_that_of_plain_attention(family: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "QUERIES_AT_ONCE", 5)  # so that tiny inputs have several blocks
    checkpoint = aftertune.load(make_model(family, torch.float64), tokenizer=make_tokenizer())
    for own, plain in zip(importance(checkpoint, FUSED, at_once), importance(checkpoint, "eager", 9), strict=True):
        # Transformers takes the weights of most families in float32 whatever the model's type; ours are in float64.
        assert np.abs(own - plain).max() < 5e-6 * np.abs(plain).max()


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_which_attention_each_route_runs_on(family: str) -> None:
    checkpoint = aftertune.load(make_model(family), tokenizer=make_tokenizer())
    assert {routes.attention_for(route, checkpoint) for route in routes.FORWARD} == {FUSED}
    other = "eager" if family == "gemma2" else "sdpa"  # PyTorch's leaves Gemma 2's soft-capping out
    assert {routes.attention_for(route, checkpoint) for route in ("reverse", "removal")} == {other}
