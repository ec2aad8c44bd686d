"""The locally linear network: against autograd on the model with what is held detached, and shares add up."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.func import functional_call, jvp
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import aftertune
from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance import chunks, forward
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp.rows import rows_of
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.held import holding
from aftertune.explainers.attribution.importance.routes import must_suit_architecture
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from test_attribution_written import LONG, SHORT, WRITTEN_OUT, load
from tiny import DERIVED, FAMILIES, make_config

# LFM2 and the hybrid Qwen3.5 have layers without attention.
HOLDABLE = [*FAMILIES, *sorted(set(DERIVED) - {"lfm2", "qwen3_5_text-hybrid"})]
HELD = {torch.rsqrt, torch.pow, functional.softmax, torch.softmax, functional.silu, functional.gelu, torch.tanh}


class Held(TorchFunctionMode):
    """Denominators of norms, weights of attention and gates are constants."""

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if func is functional.layer_norm:
            return centred(*args, **(kwargs or {}))
        found = func(*args, **(kwargs or {}))
        named = {"rsqrt", "pow", "softmax", "sigmoid"}
        return found.detach() if func in HELD or getattr(func, "__name__", "") in named else found


def centred(x: torch.Tensor, _: object, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    moved = x - x.mean(-1, keepdim=True)
    return moved / (x.var(-1, keepdim=True, correction=0) + eps).sqrt().detach() * weight + bias


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


class OfEmbeddings(torch.nn.Module):
    """The final states of a model as a module whose parameters are the model's."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.model, self.backbone = backbone.checkpoint.model, backbone

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        return self.backbone.states(embeds)


@pytest.mark.parametrize("family", HOLDABLE)
def test_shares_of_tokens_and_biases_add_up_to_the_logit_in_any_model(family: str) -> None:
    """The held network is affine, so its slopes along all that is added, embeddings and biases, are the logit."""
    checkpoint = load(family)
    backbone, model = Backbone(checkpoint), checkpoint.model
    row = model.get_output_embeddings().weight[40]
    with borrowed(model, attention=FUSED, experts="eager"), torch.no_grad():
        embeds = backbone.embed(torch.tensor([list(range(3, 14))]))
        plain = backbone.states(embeds)
        states = OfEmbeddings(backbone)
        added = {name: p for name, p in states.named_parameters() if name.endswith("bias") or "wpe" in name}

        def shares(function: Callable[..., torch.Tensor], given: object) -> float:
            return float(jvp(function, (given,), (given,))[1][0, -1] @ row)

        with holding(checkpoint):
            assert torch.equal(backbone.states(embeds), plain)
            found = shares(states, embeds)
            if added:
                found += shares(lambda parameters: functional_call(states, parameters, (embeds,)), added)
        without = shares(states, embeds)
    logit = float(plain[0, -1] @ row)
    assert found == pytest.approx(logit, rel=1e-5)
    assert abs(without - logit) > 1e-3 * abs(logit)  # the slopes of the model itself do not
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("family", WRITTEN_OUT)
def test_torch_func_gives_what_is_written_out(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load(family)
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention=FUSED, experts="eager"):
        written, _ = forward.forward_importance(backbone, make_batch(backbone, [LONG]), held=True)
        monkeypatch.setattr(forward, "rows_of", lambda *_: None)
        general, _ = forward.forward_importance(backbone, make_batch(backbone, [LONG]), held=True)
    assert float((general - written).abs().max()) < 5e-6 * float(written.abs().max())


@pytest.mark.parametrize("family", ["gpt2", "mixtral", "qwen2_moe", "olmoe", "granitemoe"])
def test_it_is_the_slope_with_all_that_is_held_detached_in_models_that_are_built_otherwise(family: str) -> None:
    checkpoint = load(family)
    with borrowed(checkpoint.model, attention="eager", experts="eager"):
        backbone = Backbone(checkpoint)
        found, _ = forward.forward_importance(backbone, make_batch(backbone, [LONG]), held=True)
        expected = by_autograd(checkpoint, LONG)
    assert np.abs(found[0].numpy() - expected).max() < 5e-6 * np.abs(expected).max()


def test_it_is_refused_where_positions_are_mixed_without_attention() -> None:
    for family in ("lfm2", "qwen3_5_text-hybrid"):
        with pytest.raises(AttributionError, match=r"mix positions in another way.* Take method removal"):
            aftertune.attribute(load(family), "the cat", " sat", method="locally-linear")
        with pytest.raises(AttributionError, match=r"The architecture '.*' has layers that mix positions"):
            must_suit_architecture(make_config(family), "float32", "locally-linear", "auto")
    for family in ("llama", "gpt2"):
        must_suit_architecture(make_config(family), "bfloat16", "locally-linear", "auto")
        found = aftertune.attribute(load(family), "the cat sat", " on the mat", method="locally-linear")
        assert found.route == "locally-linear" and np.isfinite(found.importance).all()
