"""The locally linear network: against autograd on the model with what is held detached, and shares add up."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import aftertune
from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance import chunks, forward
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp.rows import rows_of
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from test_attribution_written import LONG, SHORT, WRITTEN_OUT, load

HELD = {torch.rsqrt, torch.pow, functional.softmax, torch.softmax, functional.silu, functional.gelu, torch.tanh}


class Held(TorchFunctionMode):
    """Denominators of norms, weights of attention and gates are constants."""

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        found = func(*args, **(kwargs or {}))
        return found.detach() if func in HELD or getattr(func, "__name__", "") in {"rsqrt", "pow", "softmax"} else found


def by_autograd(checkpoint: aftertune.Checkpoint, task: Task) -> np.ndarray:
    """Importance (n_units, M): slopes of p(y_m) along each unit's embeddings, with the final state's gradient."""
    model, ids = Backbone(checkpoint), torch.tensor([task.prompt_ids + task.response_ids[:-1]])
    leaf = model.embed(ids).detach().requires_grad_()
    with Held():
        states = model.states(leaf)
    found = np.zeros((len(task.units), len(task.response_ids)))
    for m, target in enumerate(task.response_ids):
        state = states[:, len(task.prompt_ids) - 1 + m]
        at = state.detach().requires_grad_()
        p = model.logits(at).softmax(-1)[0, target]
        (gradient,) = torch.autograd.grad(p, at)
        (slope,) = torch.autograd.grad((state * gradient).sum(), leaf, retain_graph=True)
        along = (slope * leaf).sum(-1)[0].detach().numpy()
        found[:, m] = [along[list(unit)].sum() for unit in task.units]
    return found


@pytest.mark.parametrize("family", WRITTEN_OUT)
def test_it_is_the_slope_of_the_network_with_all_that_is_held_detached(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "QUERIES_AT_ONCE", 5)
    checkpoint = load(family)
    with borrowed(checkpoint.model, attention="eager", experts="eager"):
        backbone = Backbone(checkpoint)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, [SHORT, LONG]), held=True)
        plain, _ = forward.forward_importance(backbone, make_batch(backbone, [LONG]))
        for row, task in enumerate((SHORT, LONG)):
            own = found[row, : len(task.units), : len(task.response_ids)].numpy()
            expected = by_autograd(checkpoint, task)
            assert np.abs(own - expected).max() < 5e-6 * np.abs(expected).max()
    assert not np.allclose(own, plain[0].numpy(), rtol=0.01)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma2", "olmo2", "phi3"])
def test_shares_of_all_tokens_add_up_to_the_logit(family: str) -> None:
    """One response token, so that every token before it is one of the prompt: their shares are the logit itself."""
    checkpoint, ids = load(family), tuple(range(3, 14))
    task = Task(ids, (40,), tuple((place,) for place in range(len(ids))))
    with borrowed(checkpoint.model, attention="eager", experts="eager"), torch.no_grad():
        backbone = Backbone(checkpoint)
        batch = make_batch(backbone, [task])
        state = batch.at_responses(backbone.states(batch.embeds))
        row = checkpoint.model.get_output_embeddings().weight[40]
        rows = rows_of(backbone, batch, state, row.expand_as(state), torch.float64, held=True)
        assert rows is not None
        shares = rows(0, len(ids))
        assert shares is not None
        logit = float(state[0, 0] @ row)
        assert float(shares.sum()) == pytest.approx(logit, rel=1e-5)
        plain = rows_of(backbone, batch, state, row.expand_as(state), torch.float64)
        assert plain is not None and abs(float(plain(0, len(ids)).sum()) - logit) > 0.1 * abs(logit)


def test_it_is_refused_for_models_that_are_built_otherwise() -> None:
    with pytest.raises(
        AttributionError, match=r"Method 'locally-linear' is for models in float32 .* Take method removal"
    ):
        aftertune.attribute(load("gpt2"), "the cat", " sat", method="locally-linear")
    found = aftertune.attribute(load("llama"), "the cat sat", " on the mat", method="locally-linear")
    assert found.route == "locally-linear" and np.isfinite(found.importance).all()
