"""Where a model of Llama's build keeps the parts of its layers.

A layer is x + attention(norm(x)), x + network(norm(x)), with root mean square norms, rotary positions and a gated
network. Architectures differ in which norms there are, in what is fused into one projection, and in factors. Where
parts lie is what the architecture's description says; the rest is found out on the model (`facts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from aftertune.models.description import Description, at
from aftertune.models.weights import AttentionShape, attention_shape

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.explicit_jvp.facts import Facts, LayerFacts
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
    """Projections of queries, keys, values and of what is read; norms of queries and keys."""

    query: Affine
    key: Affine
    value: Affine
    out: Affine
    query_norm: Norm | None
    key_norm: Norm | None
    d_head: int


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

    ``facts`` are what the description does not say, among them the factor of what each half writes. Where it is
    ``held``, denominators of norms, weights of attention and gates are constants for tangents.
    """

    attention: AttentionParts
    network: NetworkParts
    before_attention: Norm | None
    after_attention: Norm | None
    before_network: Norm | None
    after_network: Norm | None
    facts: LayerFacts
    held: bool = False


def is_of_this_build(backbone: Backbone) -> bool:
    """Whether layers are built as `LayerParts` says, of plain linear modules in float32 or float64 on one device."""
    checkpoint = backbone.checkpoint
    if not checkpoint.description.written_out:
        return False
    parameters = list(checkpoint.model.parameters())
    layers = at(at(checkpoint.model, checkpoint.description.backbone), checkpoint.description.layers)
    modules = (module for layer in layers for module in _projections(layer, checkpoint.description))
    return (
        len({parameter.device for parameter in parameters}) == 1
        and {parameter.dtype for parameter in parameters} in ({torch.float32}, {torch.float64})
        and all(type(module) is nn.Linear for module in modules)
    )


def layers_of(backbone: Backbone, facts: Facts, held: bool = False) -> Iterator[LayerParts]:
    """The parts of every layer, from the first on."""
    described, shape = backbone.checkpoint.description, attention_shape(backbone.checkpoint)
    layers = at(at(backbone.checkpoint.model, described.backbone), described.layers)
    for layer, own in zip(layers, facts.layers, strict=True):
        norms = (described.norm, described.attended_norm, described.network_norm, described.written_norm)
        before_attention, after_attention, before_network, after_network = (_norm(layer, one, facts) for one in norms)
        yield LayerParts(
            attention=_attention_parts(at(layer, described.attention), described, shape, facts),
            network=_network_parts(layer, described),
            before_attention=before_attention,
            after_attention=after_attention,
            before_network=before_network,
            after_network=after_network,
            facts=own,
            held=held,
        )


def final_norm(backbone: Backbone, facts: Facts) -> Norm:
    """The norm after the last layer."""
    described = backbone.checkpoint.description
    found = _norm(at(backbone.checkpoint.model, described.backbone), described.final_norm, facts)
    assert found is not None
    return found


def _norm(owner: Any, place: str | None, facts: Facts) -> Norm | None:
    if place is None:
        return None
    kind = facts.norms[place]
    weight = at(owner, place).weight
    return Norm(weight + kind.offset if kind.offset else weight, kind.epsilon)


def _projections(layer: Any, described: Description) -> Iterator[nn.Module]:
    attention = at(layer, described.attention)
    for place in (*described.projections, described.value, described.out):
        yield at(attention, place)
    for place in (*described.gates, described.down):
        yield at(layer, place)


def _attention_parts(attention: Any, described: Description, shape: AttentionShape, facts: Facts) -> AttentionParts:
    if described.fused == "blocks":
        n_keys = shape.n_key_heads * shape.d_head
        sizes = (shape.n_heads * shape.d_head, n_keys, n_keys)
        query, key, value = _cut(at(attention, described.projections[0]), sizes)
    else:
        query, key, value = (_affine(at(attention, place)) for place in (*described.projections, described.value))
    query_norm, key_norm = (_norm(attention, place, facts) for place in described.head_norms or (None, None))
    out = _affine(at(attention, described.out))
    return AttentionParts(query, key, value, out, query_norm, key_norm, shape.d_head)


def _network_parts(layer: Any, described: Description) -> NetworkParts:
    down, first = at(layer, described.down), at(layer, described.gates[0])
    if len(described.gates) == 1:
        gate, up = _cut(first, (down.in_features, down.in_features))
    else:
        gate, up = _affine(first), _affine(at(layer, described.gates[1]))
    return NetworkParts(gate, up, _affine(down), at(layer, described.activation or ""))


def _affine(module: Any) -> Affine:
    return Affine(module.weight, module.bias)


def _cut(module: Any, sizes: tuple[int, ...]) -> list[Affine]:
    """A fused projection as the projections that lie in it one after the other."""
    biases = [None] * len(sizes) if module.bias is None else list(module.bias.split(sizes))
    return [Affine(weight, bias) for weight, bias in zip(module.weight.split(sizes), biases, strict=True)]
