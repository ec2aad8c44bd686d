"""What does each attention head read out of its layer's input, and what does each feed-forward network write?

Heads (paper 3 and 5.1):
1. Take the query and key projections of a layer out of the model, split into heads.
2. Fold in what the layer does to its input before: the gain of its norm and, for LayerNorm, the centring.
3. Fold in the gain of a norm of queries and keys, where the architecture has one.

Feed-forward networks (paper 3 and 5.2):
1. Take the down projection, one row for each neuron; in a mixture of experts that of each expert, one after another.
2. Fold in the gain of the norm of what the network writes, where the architecture has one.

Biases are left out: they are the same for every word, so they say nothing about which words a head connects. So are
what norms divide by, which depends on the input, and rotary position.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from aftertune.errors import CheckpointError
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.families import Family


@dataclass(frozen=True)
class AttentionShape:
    """Numbers of layers, query heads, key heads, and dimensions of a head."""

    n_layers: int
    n_heads: int
    n_key_heads: int
    d_head: int

    @property
    def n_sharing(self) -> int:
        """How many query heads share a key head (grouped-query attention); query head h uses key head h // this."""
        return self.n_heads // self.n_key_heads


def attention_shape(checkpoint: Checkpoint) -> AttentionShape:
    """The shape of a checkpoint's attention."""
    return shape_of(checkpoint.model.config)


def shape_of(config: Any) -> AttentionShape:
    """The shape of the attention that a Hugging Face configuration describes."""
    n_heads = config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // n_heads
    n_key_heads = getattr(config, "num_key_value_heads", None) or n_heads
    return AttentionShape(config.num_hidden_layers, n_heads, n_key_heads, d_head)


def query_key_weights(checkpoint: Checkpoint, layer: int) -> tuple[Tensor, Tensor]:
    """W_q (n_heads, d_head, d_model) and W_k (n_key_heads, d_head, d_model) of a layer, norms folded in.

    In float32, or float64 for a model in float64. ``query @ x`` is what the head's neurons make of an input x that
    its layer's norm has divided, but not yet scaled. Raises `CheckpointError` if the weights have not the shape that
    the configuration says.
    """
    family, shape = checkpoint.family, attention_shape(checkpoint)
    block = _layer(checkpoint, layer)
    attention = getattr(block, family.attention)
    found = _split(attention, family, shape)
    if family.head_norms:
        gains = [_gain(getattr(attention, name), family) for name in family.head_norms]
        found = [weight * _per_neuron(gain, weight) for weight, gain in zip(found, gains, strict=True)]
    norm = getattr(block, family.norm) if family.norm else None
    query, key = (_fold(weight, norm, family) for weight in found)
    return query, key


def down_weights(checkpoint: Checkpoint, layer: int) -> Iterator[Tensor]:
    """W_p (n_neurons, d_model) of each feed-forward network of a layer, one row for each neuron; METHOD 3.

    In float32, or float64 for a model in float64, one at a time: a layer may have more than a hundred. A layer without
    experts has one network; one with experts has them in their order, the shared expert, if there is one, as the last.
    """
    family, block = checkpoint.family, _layer(checkpoint, layer)
    gain = _gain(getattr(block, family.written_norm), family) if family.written_norm else None
    for weight in _down_projections(block, family):
        rows = _precise(weight if family.transposed else weight.T)
        yield rows if gain is None else rows * gain


def _down_projections(block: Any, family: Family) -> Iterator[Tensor]:
    experts = _found(block, family.experts)
    if experts is None:
        yield attrgetter(family.down)(block).weight
        return
    yield from experts.down_proj
    shared = _found(block, family.shared)
    if shared is not None:
        yield shared.down_proj.weight


def _found(block: Any, path: str | None) -> Any:
    """The module at ``path``; None if the layer has none, as a dense layer of a mixture of experts."""
    for name in path.split(".") if path else ():
        block = getattr(block, name, None)
    return block if path else None


def _layer(checkpoint: Checkpoint, layer: int) -> Any:
    return getattr(getattr(checkpoint.model, checkpoint.family.backbone), checkpoint.family.layers)[layer]


def _split(attention: Any, family: Family, shape: AttentionShape) -> list[Tensor]:
    """The weights of queries and keys, (heads, d_head, d_model) each."""
    weights = [_weight(getattr(attention, name), family.transposed) for name in family.projections]
    d_model, q, k = weights[0].shape[1], shape.n_heads * shape.d_head, shape.n_key_heads * shape.d_head
    if family.fused == "heads":
        _must_have(weights[0], 3 * q)
        by_head = weights[0].view(shape.n_heads, 3, shape.d_head, d_model)
        return [by_head[:, 0], by_head[:, 1]]
    if family.fused == "blocks":
        _must_have(weights[0], q + 2 * k)
        weights = [weights[0][:q], weights[0][q : q + k]]
    for weight, rows in zip(weights, (q, k), strict=True):
        _must_have(weight, rows)
    return [weight.reshape(-1, shape.d_head, d_model) for weight in weights]


def _weight(projection: Any, transposed: bool) -> Tensor:
    weight = _precise(projection.weight)
    return weight.T if transposed else weight


def _must_have(weight: Tensor, rows: int) -> None:
    if weight.shape[0] != rows:
        raise CheckpointError(
            f"An attention projection has {weight.shape[0]} rows, by the configuration it should have {rows}. "
            "Give a checkpoint whose weights fit its configuration."
        )


def _gain(norm: Any, family: Family) -> Tensor:
    return _precise(norm.weight) + family.norm_offset


def _per_neuron(gain: Tensor, weight: Tensor) -> Tensor:
    # The gain is for one head, shared by all (Qwen3, Gemma 3), or for all heads in a row (OLMo 2).
    heads = gain.reshape(-1, weight.shape[1], 1)
    return heads.expand(weight.shape[0], -1, -1)


def _fold(weight: Tensor, norm: Any, family: Family) -> Tensor:
    if norm is None:
        return weight
    scaled = weight * _gain(norm, family)
    # LayerNorm takes away the mean over d_model before it scales; to centre the weights comes to the same.
    return scaled - scaled.mean(dim=-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else scaled


def _precise(weight: Tensor) -> Tensor:
    return weight.detach() if weight.dtype == torch.float64 else weight.detach().float()
