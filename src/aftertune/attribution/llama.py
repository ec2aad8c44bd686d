"""Forward mode written out for models of Llama's build: what `forward` computes, with less around the products.

The general path lets `torch.func` differentiate the model as it is. Here the derivative of every step is written down,
for models whose layers are x + attention(norm(x)), x + network(norm(x)) with root mean square norms, rotary positions
and a gated network (Llama, Mistral, Qwen 2 and 3). For a chunk of directions, layer by layer:
1. The plain values once, for all directions.
2. Norm: with u = x / rms(x), du = (dx - u mean(u dx)) / rms(x).
3. Attention: with scores S and weights A, P = A dS; dO = P V - rowsum(P) O + A dV. One product of queries beside their
   tangents with keys beside theirs gives dS, and a column of ones beside V the row sums; queries go in blocks, each
   with the keys that it sees.
4. Network: with h = silu(g) v, dh = silu'(g) v dg + silu(g) dv.
Nothing is computed for positions before a chunk's first unit, whose tangent is 0, nor in the last layer for positions
that predict no response token.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, silu

from aftertune.attribution.batch import Batch
from aftertune.models.backbone import Backbone

BUILT_ALIKE = frozenset({"llama", "mistral", "qwen2", "qwen3"})
QUERIES_AT_ONCE = 128
AGREEMENT = 1e-3

Push = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class _Attention:
    """Plain queries (B, G, R, T, d_head), keys and values (B, G, T, d_head); R query heads share a key head."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    scaling: float


@dataclass(frozen=True, eq=False)
class _Change:
    """Tangents of queries (D, B, G, R, T', d_head), and of keys and values (D, B, G, T - start, d_head)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    start: int


def push_of(backbone: Backbone, batch: Batch, states: Tensor) -> Push | None:
    """The function that pushes tangents (D, B, T, d_model) of the embeddings to the states (D, B, M, d_model).

    ``states`` (B, M, d_model) are the model's own at the response positions. None where the model is not of this build,
    or where what is written here does not give its states.
    """
    if not _is_of_this_build(backbone, batch):
        return None
    plain = _run(backbone, batch, None)
    if (plain - states).abs().max() > AGREEMENT * states.abs().max():
        return None
    return lambda tangent: _run(backbone, batch, tangent)


def _is_of_this_build(backbone: Backbone, batch: Batch) -> bool:
    model: Any = backbone.checkpoint.model
    config, n_positions = model.config, batch.embeds.shape[1]
    if config.model_type not in BUILT_ALIKE or config.hidden_act not in ("silu", "swish"):
        return False
    windows = [getattr(layer.self_attn, "sliding_window", None) for layer in model.model.layers]
    modules = (module for layer in model.model.layers for module in _projections(layer))
    return (
        batch.embeds.dtype in (torch.float32, torch.float64)
        and all(window is None or n_positions <= window for window in windows)
        and all(type(module) is nn.Linear for module in modules)
        and len({parameter.device for parameter in model.parameters()}) == 1
    )


def _projections(layer: Any) -> Iterator[nn.Module]:
    attention, network = layer.self_attn, layer.mlp
    yield from (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    yield from (network.gate_proj, network.up_proj, network.down_proj)


def _run(backbone: Backbone, batch: Batch, tangent: Tensor | None) -> Tensor:
    """The states at the response positions, or, with a tangent of the embeddings, theirs."""
    inner: Any = backbone.checkpoint.model.model
    x, first = batch.embeds, int(batch.places.min())
    start = 0 if tangent is None else _first_place(tangent)
    dx = None if tangent is None else tangent[..., start:, :]
    positions = torch.arange(x.shape[1], device=x.device)[None]
    turn = tuple(part.to(x.dtype)[:, None] for part in inner.rotary_emb(x, positions))
    for index, layer in enumerate(inner.layers):
        # Where the last layer begins: later layers would need all positions, the states only those of the response.
        begin = max(start, first) if index == len(inner.layers) - 1 else start
        x, dx = _layer(layer, x, dx, turn, start, begin)
    u, du = _norm(inner.norm, x, dx, x.shape[1] - dx.shape[-2] if dx is not None else 0)
    if du is None:
        return batch.at_responses(u)
    shift = x.shape[1] - du.shape[-2]
    places = (batch.places - shift).clamp(min=0).expand(len(du), -1, -1)  # those of padding point nowhere
    return torch.take_along_dim(du, places[..., None], dim=2)


def _first_place(tangent: Tensor) -> int:
    """The first position at which any direction has a tangent."""
    moved = tangent.abs().amax(dim=(0, 1, 3)).nonzero()
    return int(moved[0]) if len(moved) else 0


def _layer(
    layer: Any, x: Tensor, dx: Tensor | None, turn: tuple[Tensor, ...], start: int, begin: int
) -> tuple[Tensor, Tensor | None]:
    """One layer; tangents come for the positions from ``start`` on, and go on for those from ``begin`` on."""
    u, du = _norm(layer.input_layernorm, x, dx, start)
    written, d_written = _attend(layer.self_attn, u, du, turn, start, begin)
    x = x + written
    if dx is not None and d_written is not None:
        dx = d_written.add_(dx[..., begin - start :, :])
    u, du = _norm(layer.post_attention_layernorm, x, dx, begin)
    written, d_written = _network(layer.mlp, u, du, begin)
    return x + written, None if dx is None or d_written is None else d_written.add_(dx)


def _norm(norm: Any, x: Tensor, dx: Tensor | None, start: int) -> tuple[Tensor, Tensor | None]:
    u, inverse = _unit(norm, x)
    if dx is None:
        return u * norm.weight, None
    own, scale = u[..., start:, :], inverse[..., start:, :] * norm.weight
    along = torch.einsum("dbtm,btm->dbt", dx, own)[..., None] / x.shape[-1]
    return u * norm.weight, torch.addcmul(dx, own, along, value=-1).mul_(scale)


def _unit(norm: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """x over its root mean square, and one over that (..., 1)."""
    inverse = (x.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
    return x * inverse, inverse


def _network(network: Any, u: Tensor, du: Tensor | None, start: int) -> tuple[Tensor, Tensor | None]:
    gate, up = network.gate_proj(u), network.up_proj(u)
    opened = silu(gate)
    written = network.down_proj(opened * up)
    if du is None:
        return written, None
    sigmoid = torch.sigmoid(gate[:, start:])
    slope = sigmoid * (1 + gate[:, start:] * (1 - sigmoid)) * up[:, start:]
    change = linear(du, network.up_proj.weight).mul_(opened[:, start:])
    change.addcmul_(linear(du, network.gate_proj.weight), slope)
    return written, linear(change, network.down_proj.weight)


def _attend(
    attention: Any, u: Tensor, du: Tensor | None, turn: tuple[Tensor, ...], start: int, begin: int
) -> tuple[Tensor, Tensor | None]:
    d_head, (q_norm, k_norm) = attention.head_dim, _head_norms(attention)
    n_groups = attention.k_proj.out_features // d_head
    queries, of_queries = _placed(_heads(attention.q_proj(u), d_head), q_norm, turn)
    keys, of_keys = _placed(_heads(attention.k_proj(u), d_head), k_norm, turn)
    plain = _Attention(
        torch.unflatten(queries, 1, (n_groups, -1)), keys, _heads(attention.v_proj(u), d_head), attention.scaling
    )
    if du is None:
        return attention.o_proj(_joined(_read(plain, None, 0)[0])), None
    dq = _heads(linear(du[..., begin - start :, :], attention.q_proj.weight), d_head)
    dk, dv = (_heads(linear(du, one.weight), d_head) for one in (attention.k_proj, attention.v_proj))
    dq, dk = _d_placed(dq, of_queries, turn, begin), _d_placed(dk, of_keys, turn, start)
    read, d_read = _read(plain, _Change(torch.unflatten(dq, 2, (n_groups, -1)), dk, dv, start), begin)
    return attention.o_proj(_joined(read)), linear(_joined(d_read), attention.o_proj.weight)


def _head_norms(attention: Any) -> tuple[Any, Any]:
    return getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)


def _heads(projected: Tensor, d_head: int) -> Tensor:
    """(..., T, heads x d_head) to (..., heads, T, d_head)."""
    return torch.unflatten(projected, -1, (-1, d_head)).transpose(-2, -3)


def _joined(of_heads: Tensor) -> Tensor:
    """(..., G, R, T, d_head) to (..., T, heads x d_head)."""
    return of_heads.flatten(-4, -3).transpose(-2, -3).flatten(-2)


def _placed(heads: Tensor, norm: Any, turn: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Heads, normalised where there is a norm, turned by their positions; and what the norm's tangent needs."""
    if norm is None:
        return _turned(heads, turn), None
    u, inverse = _unit(norm, heads)
    return _turned(u * norm.weight, turn), (u, inverse * norm.weight)


def _d_placed(change: Tensor, normed: tuple[Tensor, Tensor] | None, turn: tuple[Tensor, ...], start: int) -> Tensor:
    """What `_placed` does to the tangent of heads from position ``start`` on."""
    if normed is not None:
        u, scale = (part[..., start:, :] for part in normed)
        change = torch.addcmul(change, u, (change * u).mean(-1, keepdim=True), value=-1).mul_(scale)
    return _turned(change, tuple(part[..., start:, :] for part in turn))


def _turned(heads: Tensor, turn: tuple[Tensor, ...]) -> Tensor:
    """Rotary position: linear, so tangents are turned as values are."""
    cosine, sine = turn
    first, second = heads.chunk(2, dim=-1)
    return torch.addcmul(heads * cosine, torch.cat((-second, first), dim=-1), sine)


def _read(plain: _Attention, change: _Change | None, begin: int) -> tuple[Tensor, Tensor]:
    """What attention reads (B, G, R, T, d_head), and its tangents (D, B, G, R, T - begin, d_head), if any."""
    n_shared, n_positions = plain.queries.shape[2:4]
    read, d_read = [], []
    for low, high in [*_blocks(0, begin), *_blocks(begin, n_positions)]:
        weights = _weights(plain, low, high)
        own = weights @ plain.values[..., :high, :]
        read.append(torch.unflatten(own, 2, (n_shared, -1)))
        if change is not None and low >= begin:
            d_read.append(torch.unflatten(_d_block(plain, change, weights, own, low, high, begin), 3, (n_shared, -1)))
    joined = torch.cat(read, dim=-2)
    return joined, torch.cat(d_read, dim=-2) if d_read else joined[None, ..., :0, :]


def _d_block(
    plain: _Attention, change: _Change, weights: Tensor, read: Tensor, low: int, high: int, begin: int
) -> Tensor:
    """Tangents (D, B, G, R x queries, d_head) of what the queries from ``low`` to ``high`` read."""
    seen = plain.keys[..., :high, :]
    values = torch.cat((plain.values[..., :high, :], seen.new_ones(*seen.shape[:-1], 1)), dim=-1)
    queries = plain.queries[..., low:high, :].flatten(2, 3) * plain.scaling
    found = []
    for dq, dk, dv in zip(change.queries, change.keys, change.values, strict=True):
        own = dq[..., low - begin : high - begin, :].flatten(2, 3) * plain.scaling
        # Keys before every unit did not change: their tangents are 0.
        keys = torch.cat((seen, pad(dk[..., : high - change.start, :], (0, 0, change.start, 0))), dim=-1)
        scores = torch.cat((own, queries), dim=-1) @ keys.transpose(-1, -2)
        summed = scores.mul_(weights) @ values
        through_scores = torch.addcmul(summed[..., :-1], read, summed[..., -1:], value=-1)
        found.append(through_scores + weights[..., change.start :] @ dv[..., : high - change.start, :])
    return torch.stack(found)


def _weights(plain: _Attention, low: int, high: int) -> Tensor:
    """Attention weights (B, G, R x queries, high) of the queries from ``low`` to ``high``."""
    queries = plain.queries[..., low:high, :]
    scores = plain.scaling * queries.flatten(2, 3) @ plain.keys[..., :high, :].transpose(-1, -2)
    unseen = torch.ones(high - low, high, dtype=torch.bool, device=scores.device).triu(low + 1)
    masked = torch.unflatten(scores, 2, (-1, high - low)).masked_fill(unseen, -torch.inf)
    return masked.softmax(-1).flatten(2, 3)


def _blocks(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for low in range(begin, end, QUERIES_AT_ONCE):
        yield low, min(low + QUERIES_AT_ONCE, end)
