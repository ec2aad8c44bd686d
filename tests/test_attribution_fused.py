"""Attention and projections whose tangents are ours, against `torch.func` on every architecture of the table."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

import aftertune
from aftertune.explainers.attribution.importance import chunks, forward, fused, routes
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from tiny import FAMILIES, make_model, make_tokenizer

LONG = Task(tuple(range(3, 12)), tuple(range(5, 20)), tuple((place,) for place in range(9)))
SHORT = Task(tuple(range(4, 10)), tuple(range(2, 9)), ((0, 1), (2,), (4, 5)))


def importance(checkpoint: aftertune.Checkpoint, at_once: int, *, plain: bool = False) -> list[np.ndarray]:
    backbone, attention = Backbone(checkpoint), "eager" if plain else FUSED
    with borrowed(checkpoint.model, attention=attention, experts="eager"), pytest.MonkeyPatch.context() as patched:
        patched.setattr(forward, "rows_of", lambda *_: None)
        if plain:
            patched.setattr(forward, "OneProduct", nullcontext)
        patched.setattr(forward, "fitting", lambda *_, **__: at_once)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, [SHORT, LONG]))
    tasks = enumerate((SHORT, LONG))
    return [found[row, : len(task.units), : len(task.response_ids)].numpy() for row, task in tasks]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("at_once", [1, 9])
def test_tangents_are_those_of_the_plain_model(family: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "QUERIES_AT_ONCE", 5)  # so that tiny inputs have several blocks
    checkpoint = aftertune.load(make_model(family, torch.float64), tokenizer=make_tokenizer())
    for own, plain in zip(importance(checkpoint, at_once), importance(checkpoint, 9, plain=True), strict=True):
        # Transformers takes the weights of most families in float32 whatever the model's type; ours are in float64.
        assert np.abs(own - plain).max() < 5e-6 * np.abs(plain).max()


def test_tangents_of_all_directions_are_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    class Watched(fused.Weight):
        def product(self, tangents: torch.Tensor) -> torch.Tensor:
            rows.append(tangents[..., 0].numel())
            return super().product(tangents)

    monkeypatch.setattr(fused, "Weight", Watched)
    checkpoint = aftertune.load(make_model("gpt_neox"), tokenizer=make_tokenizer())
    importance(checkpoint, 9)
    positions = len(LONG.prompt_ids) + len(LONG.response_ids) - 1
    # Two prompts, nine directions; queries, keys and values in one projection, its output, and the two of the network.
    assert rows == [9 * 2 * positions] * 4 * checkpoint.model.config.num_hidden_layers


def test_a_weight_that_is_not_a_parameter_is_left_to_torch() -> None:
    weight = torch.randn(3, 4, dtype=torch.float64)

    def of_its_input(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, weight * x.sum())

    x, dx = torch.randn(2, 4, dtype=torch.float64)
    expected = torch.func.jvp(of_its_input, (x,), (dx,))[1]
    with fused.OneProduct():
        found = torch.func.vmap(lambda tangent: torch.func.jvp(of_its_input, (x,), (tangent,))[1])(dx[None])
    assert torch.allclose(found[0], expected)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_which_attention_each_route_runs_on(family: str) -> None:
    checkpoint = aftertune.load(make_model(family), tokenizer=make_tokenizer())
    assert {routes.attention_for(route, checkpoint) for route in routes.FORWARD} == {FUSED}
    other = "eager" if family == "gemma2" else "sdpa"  # PyTorch's leaves Gemma 2's soft-capping out
    assert {routes.attention_for(route, checkpoint) for route in ("reverse", "removal")} == {other}
