"""W_q and W_k, norms folded in, give the queries and keys that the model itself computes; in every architecture."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import aftertune
from aftertune.errors import CheckpointError
from aftertune.models.weights import attention_shape, query_key_weights
from oracles.heads import head_weights
from tiny import FAMILIES, make_model, make_tokenizer

OVER_ALL_HEADS = ("olmo2", "olmoe")
WITH_HEAD_NORMS = ("qwen3", "gemma3_text", "qwen3_moe", "dots1", *OVER_ALL_HEADS)
LAYER_NORM = ("gpt2", "gpt_neox", "phimoe")
LARGER_EPSILON = (*LAYER_NORM, "phi3", "mixtral", "olmoe", "ernie4_5_moe")


def checkpoint_of(family: str, dtype: torch.dtype = torch.float64) -> aftertune.Checkpoint:
    return aftertune.load(make_model(family, dtype), tokenizer=make_tokenizer())


def run_through(model: PreTrainedModel, inputs: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Of each layer its input (batch, d_model), queries and keys (batch, heads, d_head) of one token at position 0.

    There rotary position is the identity, so what reaches the attention function is what the projections gave.
    """
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def attend(_, query, key, value, *__, **___):  # type: ignore[no-untyped-def]
        seen.append((query[:, :, 0], key[:, :, 0]))
        shared = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
        return shared.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register("recorded", attend)
    before = model.config._attn_implementation
    states: list[torch.Tensor] = []
    family = aftertune.models.architectures.find_description(model.config)
    layers = getattr(getattr(model, family.backbone), family.layers)
    hooks = [
        one.register_forward_pre_hook(
            lambda _, given, named: states.append((given or [named["hidden_states"]])[0][:, 0]), with_kwargs=True
        )
        for one in layers
    ]
    try:
        model.config._attn_implementation = "recorded"
        model(inputs_embeds=inputs[:, None])
    finally:
        model.config._attn_implementation = before
        for hook in hooks:
            hook.remove()
    return [(state, *both) for state, both in zip(states, seen, strict=True)]


def divided(state: torch.Tensor, family: str) -> torch.Tensor:
    """What the layer's norm makes of its input before it scales; nothing where the layer has none."""
    if family == "olmo2":
        return state
    if family in LAYER_NORM:
        state = state - state.mean(-1, keepdim=True)
    epsilon = 1e-5 if family in LARGER_EPSILON else 1e-6
    return state / (state.square().mean(-1, keepdim=True) + epsilon).sqrt()


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_give_the_queries_and_keys_of_the_model(family: str) -> None:
    checkpoint = checkpoint_of(family)
    inputs = torch.randn(5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for layer, (state, *seen) in enumerate(run_through(checkpoint.model, inputs)):
        for weights, actual in zip(query_key_weights(checkpoint, layer), seen, strict=True):
            found = torch.einsum("hdm,bm->bhd", weights, divided(state, family))
            if family in WITH_HEAD_NORMS:  # these divide once more, by one number for all (OLMo) or for each head
                last = (1, 2) if family in OVER_ALL_HEADS else 2
                found, actual = (one / one.norm(dim=last, keepdim=True) for one in (found, actual))
                torch.testing.assert_close(found, actual, rtol=0, atol=1e-6)
            else:  # a bias is the same for all inputs, so it cancels
                torch.testing.assert_close(found[1:] - found[:1], actual[1:] - actual[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_those_of_the_oracle(family: str) -> None:
    checkpoint = checkpoint_of(family)
    for layer in range(3):
        query, key = (weights.numpy() for weights in query_key_weights(checkpoint, layer))
        expected_query, expected_key = head_weights(checkpoint.model, layer)
        np.testing.assert_allclose(query, expected_query, atol=1e-12)
        sharing = attention_shape(checkpoint).n_sharing
        np.testing.assert_allclose(np.repeat(key, sharing, axis=0), expected_key, atol=1e-12)


def test_half_precision_weights_are_read_in_float32() -> None:
    query, _ = query_key_weights(checkpoint_of("llama", torch.bfloat16), 0)
    assert query.dtype == torch.float32


def test_a_projection_of_another_size_is_refused() -> None:
    checkpoint = checkpoint_of("llama")
    checkpoint.model.config.num_key_value_heads = 4
    with pytest.raises(CheckpointError, match="16 rows, by the configuration it should have 32"):
        query_key_weights(checkpoint, 0)
