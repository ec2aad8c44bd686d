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

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from aftertune.errors import CheckpointError
from aftertune.models.description import AttentionShape as AttentionShape
from aftertune.models.description import Description, at, found_at
from aftertune.models.description import shape_of as shape_of
from aftertune.models.norms import Norm, norm_of, precise

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint


def attention_shape(checkpoint: Checkpoint) -> AttentionShape:
    """The shape of a checkpoint's attention."""
    return shape_of(checkpoint.model.config)


def attending(checkpoint: Checkpoint, layers: Iterable[int]) -> tuple[int, ...]:
    """Those of ``layers`` that have attention; some models mix positions in other ways in most of theirs (Qwen3.5).

    Raises `CheckpointError` if none has.
    """
    place = checkpoint.description.attention
    found = tuple(layer for layer in layers if found_at(block_of(checkpoint, layer), place) is not None)
    if found:
        return found
    able = [
        n for n in range(attention_shape(checkpoint).n_layers) if found_at(block_of(checkpoint, n), place) is not None
    ]
    named = f"those of {', '.join(map(str, able))}" if able else f"another description, which does not say {place!r}"
    raise CheckpointError(
        f"None of the layers asked for of {checkpoint.provenance.name} has attention, so they have no heads. "
        f"Give {named}."
    )


def query_key_weights(checkpoint: Checkpoint, layer: int) -> tuple[Tensor, Tensor]:
    """W_q (n_heads, d_head, d_model) and W_k (n_key_heads, d_head, d_model) of a layer, norms folded in.

    In float32, or float64 for a model in float64. ``query @ x`` is what the head's neurons make of an input x that
    its layer's norm has divided, but not yet scaled. Raises `CheckpointError` if the weights have not the shape that
    the configuration says, or if the layer has no attention.
    """
    described, shape = checkpoint.description, attention_shape(checkpoint)
    attending(checkpoint, (layer,))
    block = block_of(checkpoint, layer)
    attention = at(block, described.attention)
    found = _split(attention, described, shape)
    if described.norm:
        norm = norm_of(at(block, described.norm), found[0].shape[-1])
        found = [_fold(weight, norm) for weight in found]
    if described.head_norms:
        found = [
            _fold_after(weight, norm_of(at(attention, name), shape.d_head))
            for weight, name in zip(found, described.head_norms, strict=True)
        ]
    query, key = found
    return query, key


def down_weights(checkpoint: Checkpoint, layer: int) -> Iterator[Tensor]:
    """W_p (n_neurons, d_model) of each feed-forward network of a layer, one row for each neuron (paper 5.2).

    In float32, or float64 for a model in float64, one at a time: a layer may have more than a hundred. A layer without
    experts has one network; one with experts has them in their order, the shared expert, if there is one, as the last.
    """
    described, block = checkpoint.description, block_of(checkpoint, layer)
    for weight in down_projections(block, described):
        rows = precise(weight if described.transposed else weight.T)
        yield (
            scaled(rows, norm_of(at(block, described.written_norm), rows.shape[1])) if described.written_norm else rows
        )


def down_projections(block: Any, described: Description) -> Iterator[Tensor]:
    """The weights of the down projections of a layer's networks as the model has them."""
    experts = found_at(block, described.experts)
    if experts is None:
        yield at(block, described.down).weight
        return
    yield from experts.down_proj
    shared = found_at(block, described.shared)
    if shared is not None:
        yield shared.down_proj.weight


def block_of(checkpoint: Checkpoint, layer: int) -> Any:
    """A layer of the model."""
    described = checkpoint.description
    return at(at(checkpoint.model, described.backbone), described.layers)[layer]


def _split(attention: Any, described: Description, shape: AttentionShape) -> list[Tensor]:
    """The weights of queries and keys, (heads, d_head, d_model) each."""
    weights = [_weight(at(attention, name), described.transposed) for name in described.projections]
    d_model, q, k = weights[0].shape[1], shape.n_heads * shape.d_head, shape.n_key_heads * shape.d_head
    if described.fused == "heads":
        _must_have(weights[0], 3 * q)
        by_head = weights[0].view(shape.n_heads, 3, shape.d_head, d_model)
        return [by_head[:, 0], by_head[:, 1]]
    if described.fused == "blocks":
        _must_have(weights[0], q + 2 * k)
        weights = [weights[0][:q], weights[0][q : q + k]]
    if described.fused == "gated":
        _must_have(weights[0], 2 * q)
        weights[0] = weights[0].view(shape.n_heads, 2, shape.d_head, d_model)[:, 0].reshape(q, d_model)
    for weight, rows in zip(weights, (q, k), strict=True):
        _must_have(weight, rows)
    return [weight.reshape(-1, shape.d_head, d_model) for weight in weights]


def _weight(projection: Any, transposed: bool) -> Tensor:
    weight = precise(projection.weight)
    return weight.T if transposed else weight


def _must_have(weight: Tensor, rows: int) -> None:
    if weight.shape[0] != rows:
        raise CheckpointError(
            f"An attention projection has {weight.shape[0]} rows, by the configuration it should have {rows}. "
            "Give a checkpoint whose weights fit its configuration."
        )


def _fold(weight: Tensor, norm: Norm) -> Tensor:
    """Weights of what a norm is given before they see it."""
    scaled = weight * norm.gain
    # LayerNorm takes away the mean over d_model before it scales; to centre the weights comes to the same.
    return scaled - scaled.mean(dim=-1, keepdim=True) if norm.kind.centred else scaled


def _fold_after(weight: Tensor, norm: Norm) -> Tensor:
    """Weights of queries or keys (heads, d_head, d_model) with the norm that comes after them."""
    # It is of one head, with a gain that all share (Qwen3) or one of its own (Cohere), or of all in a row (OLMo 2).
    whole = norm.gain.numel() != weight.shape[1] and norm.gain.ndim == 1
    if norm.kind.centred:
        weight = weight - weight.mean(dim=(0, 1) if whole else 1, keepdim=True)
    return weight * norm.gain.reshape(-1, weight.shape[1], 1)


def scaled(rows: Tensor, norm: Norm) -> Tensor:
    """Rows of what is written with the norm that comes after them."""
    return (rows - rows.mean(dim=-1, keepdim=True) if norm.kind.centred else rows) * norm.gain
