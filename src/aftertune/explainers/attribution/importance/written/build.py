"""Where a model of Llama's build keeps the parts of its layers.

A layer is x + attention(norm(x)), x + network(norm(x)), with root mean square norms, rotary positions and a gated
network. Families differ in which norms there are, and in what is fused into one projection.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aftertune.models.backbone import Backbone


@dataclass(frozen=True, eq=False)
class Norm:
    """A root mean square norm with its gain (d,), or (d_head,) where each head has its own."""

    gain: Tensor
    epsilon: float


@dataclass(frozen=True, eq=False)
class Affine:
    """A projection: weight (d_out, d_in), bias (d_out,) or None."""

    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, eq=False)
class AttentionParts:
    """Projections of queries, keys, values and of what is read; norms of queries and keys; how scores are made."""

    query: Affine
    key: Affine
    value: Affine
    out: Affine
    query_norm: Norm | None
    key_norm: Norm | None
    d_head: int
    scaling: float
    softcap: float | None
    window: int | None


@dataclass(frozen=True, eq=False)
class NetworkParts:
    """A gated network: down(act(gate(x)) * up(x))."""

    gate: Affine
    up: Affine
    down: Affine
    act: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LayerParts:
    """One layer. Each of its two halves may have a norm of what it is given and one of what it writes.

    ``kind`` is the layer's type where rotary positions differ by it, else None.
    """

    attention: AttentionParts
    network: NetworkParts
    before_attention: Norm | None
    after_attention: Norm | None
    before_network: Norm | None
    after_network: Norm | None
    kind: str | None


def is_of_this_build(backbone: Backbone) -> bool:
    """Whether layers are built as `LayerParts` says, of plain linear modules in float32 or float64 on one device."""
    checkpoint = backbone.checkpoint
    if not checkpoint.family.written_out:
        return False
    model: Any = checkpoint.model
    parameters = list(model.parameters())
    modules = (module for layer in model.model.layers for module in _projections(layer))
    return (
        len({parameter.device for parameter in parameters}) == 1
        and {parameter.dtype for parameter in parameters} in ({torch.float32}, {torch.float64})
        and all(type(module) is nn.Linear for module in modules)
    )


def layers_of(backbone: Backbone) -> Iterator[LayerParts]:
    """The parts of every layer, from the first on."""
    family, model = backbone.checkpoint.family, backbone.checkpoint.model
    inner: Any = model.model
    for layer in inner.layers:
        yield LayerParts(
            attention=_attention_parts(layer.self_attn, model.config, family.norm_offset),
            network=_network_parts(layer.mlp),
            before_attention=_norm(layer, family.norm, family.norm_offset),
            after_attention=_norm(layer, family.attended_norm, family.norm_offset),
            before_network=_norm(layer, family.network_norm, family.norm_offset),
            after_network=_norm(layer, family.written_norm, family.norm_offset),
            kind=_kind(layer, inner),
        )


def norm_of(module: Any, offset: float) -> Norm:
    """A norm as a family's module keeps it; ``offset`` is added to its weight."""
    epsilon = getattr(module, "variance_epsilon", None) or module.eps
    return Norm(module.weight + offset if offset else module.weight, epsilon)


def _norm(owner: Any, name: str | None, offset: float) -> Norm | None:
    module = None if name is None else getattr(owner, name, None)
    return None if module is None else norm_of(module, offset)


def _kind(layer: Any, inner: Any) -> str | None:
    return getattr(layer.self_attn, "layer_type", None) if hasattr(inner.rotary_emb, "layer_types") else None


def _projections(layer: Any) -> Iterator[nn.Module]:
    names = ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "gate_proj", "up_proj", "gate_up_proj", "down_proj")
    for name in names:
        for owner in (layer.self_attn, layer.mlp):
            if hasattr(owner, name):
                yield getattr(owner, name)


def _attention_parts(attention: Any, config: Any, offset: float) -> AttentionParts:
    d_head = attention.head_dim
    if hasattr(attention, "qkv_proj"):
        n_keys = config.num_key_value_heads * d_head
        query, key, value = _cut(attention.qkv_proj, (config.num_attention_heads * d_head, n_keys, n_keys))
    else:
        query, key, value = (_affine(getattr(attention, f"{name}_proj")) for name in "qkv")
    query_norm, key_norm = (_norm(attention, name, offset) for name in ("q_norm", "k_norm"))
    softcap = getattr(attention, "attn_logit_softcapping", None)
    window = getattr(attention, "sliding_window", getattr(config, "sliding_window", None))
    return AttentionParts(
        query, key, value, _affine(attention.o_proj), query_norm, key_norm, d_head, attention.scaling, softcap, window
    )


def _network_parts(network: Any) -> NetworkParts:
    if hasattr(network, "gate_up_proj"):
        d_inner = network.down_proj.in_features
        gate, up = _cut(network.gate_up_proj, (d_inner, d_inner))
    else:
        gate, up = _affine(network.gate_proj), _affine(network.up_proj)
    act = network.act_fn if hasattr(network, "act_fn") else network.activation_fn
    return NetworkParts(gate, up, _affine(network.down_proj), act)


def _affine(module: Any) -> Affine:
    return Affine(module.weight, module.bias)


def _cut(module: Any, sizes: tuple[int, ...]) -> list[Affine]:
    """A fused projection as the projections that lie in it one after the other."""
    biases = [None] * len(sizes) if module.bias is None else list(module.bias.split(sizes))
    return [Affine(weight, bias) for weight, bias in zip(module.weight.split(sizes), biases, strict=True)]
