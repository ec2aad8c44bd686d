"""Forward mode as it is written out for models of Llama's build, against `torch.func` on the model itself."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import aftertune
from aftertune.attribution import forward, llama
from aftertune.attribution.batch import Task, make_batch
from aftertune.models.backbone import Backbone
from aftertune.models.borrowed import borrowed
from tiny import make_model, make_tokenizer

LONG = Task(tuple(range(3, 12)), tuple(range(5, 20)), tuple((place,) for place in range(9)))
SHORT = Task(tuple(range(4, 10)), tuple(range(2, 9)), ((0, 1), (2,), (4, 5)))


def load(family: str, window: int | None = None) -> aftertune.Checkpoint:
    model = make_model(family, torch.float64)
    for layer in model.model.layers:
        layer.self_attn.sliding_window = window
    model.config.sliding_window = window
    return aftertune.load(model, tokenizer=make_tokenizer())


def importance(
    checkpoint: aftertune.Checkpoint, tasks: list[Task], monkeypatch: pytest.MonkeyPatch, at_once: int, general: bool
) -> tuple[list[np.ndarray], bool]:
    """The importance of each task, and whether the written-out path was taken."""
    taken: list[bool] = []

    def push_of(*given: object) -> Callable[[Tensor], Tensor] | None:
        found = None if general else llama.push_of(*given)  # type: ignore[arg-type]
        taken.append(found is not None)
        return found

    monkeypatch.setattr(forward, "push_of", push_of)
    monkeypatch.setattr(forward, "fitting", lambda *_: at_once)
    with borrowed(checkpoint.model, attention="eager"):
        backbone = Backbone(checkpoint)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, tasks))
    own = [found[row, : len(task.units), : len(task.response_ids)].numpy() for row, task in enumerate(tasks)]
    return own, taken[0]


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize(("tasks", "at_once"), [([LONG], 16), ([LONG], 2), ([SHORT, LONG], 4)])
def test_it_gives_what_torch_gives(
    family: str, tasks: list[Task], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama, "QUERIES_AT_ONCE", 5)  # so that tiny inputs have several blocks
    checkpoint = load(family)
    found, taken = importance(checkpoint, tasks, monkeypatch, at_once, general=False)
    expected, _ = importance(checkpoint, tasks, monkeypatch, 16, general=True)
    assert taken
    for one, other in zip(found, expected, strict=True):
        # Transformers takes norms in float32 whatever the model's type; here they are in float64.
        assert np.abs(one - other).max() < 5e-6 * np.abs(other).max()


def test_what_it_does_not_write_out_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for checkpoint in (load("mistral", window=8), aftertune.load(make_model("gpt2"), tokenizer=make_tokenizer())):
        assert importance(checkpoint, [SHORT, LONG], monkeypatch, 4, general=False)[1] is False


def test_a_model_that_computes_something_else_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load("llama")
    network: nn.Module = checkpoint.model.model.layers[1].mlp
    handle = network.register_forward_hook(lambda _module, _given, written: 1.01 * written)
    found, taken = importance(checkpoint, [LONG], monkeypatch, 4, general=False)
    expected, _ = importance(checkpoint, [LONG], monkeypatch, 4, general=True)
    handle.remove()
    assert not taken and np.array_equal(found[0], expected[0])
