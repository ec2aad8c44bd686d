"""Attention and its tangent, for several directions at once.

With scores S, weights A = softmax(S) and what is read O = A V:  dO = P V - rowsum(P) O + A dV,  P = A dS.
1. Queries in blocks, each with the keys before its end; their weights in the plain pass are kept while a layer is run.
2. Held, A is a constant, and dO = A dV.
3. One product of queries beside their tangents with keys beside theirs gives dS, and a column of ones beside V the row
   sums.
B sequences, G key heads, R query heads that share one, T positions, D directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from aftertune.explainers.attribution.importance import chunks
from aftertune.explainers.attribution.importance.explicit_jvp.facts import Rotary, rotated
from aftertune.explainers.attribution.importance.explicit_jvp.steps import Normed, normed, through
from aftertune.models.products.weight import Weight

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.explicit_jvp.build import LayerParts, Norm

PushRead = Callable[[Tensor, int, int], Tensor]
"""Tangents (D, B, T - start, d_model), start, begin -> those (D, B, T - begin, heads x d_head) of what is read."""


@dataclass(frozen=True, eq=False)
class Block:
    """Queries from ``low`` to ``high``: weights (B, G, R, queries, high), what they read (B, G, R, queries, d_head).

    ``slopes`` is the weights times the slope of the soft-capping of scores.
    """

    low: int
    high: int
    weights: Tensor
    slopes: Tensor
    read: Tensor


@dataclass(frozen=True, eq=False)
class Plain:
    """Scaled queries (B, G, R, T, d_head), keys (B, G, T, d_head), values beside a one (B, G, T, d_head + 1)."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    blocks: list[Block]


def attend(layer: LayerParts, given: Normed, rotary: Rotary | None, number: torch.dtype) -> tuple[Tensor, PushRead]:
    """What attention reads (B, T, heads x d_head) of a normalised input, and its push, with products in ``number``."""
    parts, facts, d_head = layer.attention, layer.facts, layer.attention.d_head
    of_queries = normed(parts.query_norm, _split(through(parts.query, given.value), parts.query_norm, d_head))
    of_keys = normed(parts.key_norm, _split(through(parts.key, given.value), parts.key_norm, d_head))
    keys = rotated(_heads(of_keys.value, d_head), rotary)
    queries = torch.unflatten(rotated(_heads(of_queries.value, d_head), rotary), 1, (keys.shape[1], -1)) * facts.scaling
    values = _heads(_split(through(parts.value, given.value), None, d_head), d_head)
    unseen = partial(_unseen, window=facts.window, device=keys.device)
    blocks = list(blocks_of(queries, keys, values, facts.softcap, unseen))
    read = torch.cat([block.read for block in blocks], dim=-2).permute(0, 3, 1, 2, 4).flatten(2)
    plain = plain_in(number, queries, keys, values, blocks)
    of_query, of_key, of_value = (Weight(part.weight, number) for part in (parts.query, parts.key, parts.value))

    def push_read(dx: Tensor, start: int, begin: int) -> Tensor:
        du = given.push(dx, start).to(number)
        if layer.held:
            return push_values(plain, _heads(_split(of_value.product(du), None, d_head), d_head), start, begin)
        dq, dk, dv = of_query.product(du[:, :, begin - start :]), of_key.product(du), of_value.product(du)
        dq = _placed(_split(dq, parts.query_norm, d_head), of_queries, rotary, begin, d_head).mul_(facts.scaling)
        dk = _placed(_split(dk, parts.key_norm, d_head), of_keys, rotary, start, d_head)
        dv = _heads(_split(dv, None, d_head), d_head)
        return push(plain, torch.unflatten(dq, 2, (keys.shape[1], -1)), dk, dv, start, begin)

    return read, push_read


def _split(projected: Tensor, norm: Norm | None, d_head: int) -> Tensor:
    """(..., heads x d_head) in pieces as wide as ``norm`` takes them: heads, or all of them in one."""
    whole = norm is not None and len(norm.gain) != d_head
    return torch.unflatten(projected, -1, (1, -1) if whole else (-1, d_head))


def _heads(pieces: Tensor, d_head: int) -> Tensor:
    """(..., T, pieces, d) to (..., heads, T, d_head)."""
    return torch.unflatten(pieces.flatten(-2), -1, (-1, d_head)).transpose(-2, -3)


def _placed(change: Tensor, norm: Normed, rotary: Rotary | None, start: int, d_head: int) -> Tensor:
    """Tangents of queries or keys, normalised and rotated, from position ``start`` on."""
    heads = _heads(norm.push(change, start).to(change.dtype), d_head)
    return rotated(heads, None if rotary is None else rotary.after(start, change.dtype))


def blocks_of(
    queries: Tensor, keys: Tensor, values: Tensor, softcap: float | None, unseen: Callable[[int, int], Tensor]
) -> Iterator[Block]:
    """Attention of scaled queries (B, G, R, T, d_head) to keys and values (B, G, T, d_head), block by block.

    ``unseen(low, high)`` (..., high - low, high) says which keys the queries of a block do not see.
    """
    n_positions, n_shared = keys.shape[-2], queries.shape[2]
    size = ceil(n_positions / ceil(n_positions / chunks.QUERIES_AT_ONCE))  # of blocks as even as can be
    for low in range(0, n_positions, size):
        high = min(low + size, n_positions)
        scores = queries[..., low:high, :].flatten(2, 3) @ keys[..., :high, :].transpose(-1, -2)
        slope = None
        if softcap is not None:
            capped = torch.tanh(scores / softcap)
            scores, slope = softcap * capped, 1 - capped.square()
        shape = (n_shared, high - low)
        weights = torch.unflatten(scores, 2, shape).masked_fill(unseen(low, high), -torch.inf).softmax(-1)
        slopes = weights if slope is None else weights * torch.unflatten(slope, 2, shape)
        read = torch.unflatten(weights.flatten(2, 3) @ values[..., :high, :], 2, shape)
        yield Block(low, high, weights, slopes, read)


def _unseen(low: int, high: int, window: int | None, device: torch.device) -> Tensor:
    """Which keys before ``high`` the queries from ``low`` on do not see: later ones, and those before the window."""
    ages = torch.arange(low, high, device=device)[:, None] - torch.arange(high, device=device)
    return (ages < 0) if window is None else (ages < 0) | (ages >= window)


def plain_in(number: torch.dtype, queries: Tensor, keys: Tensor, values: Tensor, blocks: list[Block]) -> Plain:
    """What `push` needs, in another type."""
    ones = values.new_ones(*values.shape[:-1], 1)
    cast = [
        Block(one.low, one.high, one.weights.to(number), one.slopes.to(number), one.read.to(number)) for one in blocks
    ]
    return Plain(queries.to(number), keys.to(number), torch.cat((values, ones), dim=-1).to(number), cast)


def push_values(plain: Plain, dv: Tensor, start: int, begin: int) -> Tensor:
    """Tangents (D, B, T - begin, heads x d_head) of what is read where weights are held, from those of values."""
    n, b, g, _, d_head = dv.shape
    r, n_positions = plain.queries.shape[2], plain.queries.shape[3] - begin
    found = dv.new_empty(n, b, n_positions, g, r, d_head)
    at, beside = found.permute(0, 1, 3, 4, 2, 5), dv.permute(1, 2, 3, 0, 4).flatten(3)
    for block in plain.blocks:
        low, high = max(block.low, begin), block.high
        if low < high:
            weights = block.weights[..., low - block.low :, start:].flatten(2, 3)
            change = torch.unflatten(weights @ beside[..., : high - start, :], -1, (n, d_head)).movedim(3, 0)
            at[..., low - begin : high - begin, :] = torch.unflatten(change, 3, (r, high - low))
    return found.flatten(3)


def push(plain: Plain, dq: Tensor, dk: Tensor, dv: Tensor, start: int, begin: int) -> Tensor:
    """Tangents (D, B, T - begin, heads x d_head) of what is read.

    From those of scaled queries (D, B, G, R, T - begin, d_head), and of keys and values (D, B, G, T - start, d_head).
    """
    n, b, g, r, n_positions, d_head = dq.shape
    found = dq.new_empty(n, b, n_positions, g, r, d_head)
    at = found.permute(0, 1, 3, 4, 2, 5)
    both_queries = torch.cat((dq, plain.queries[..., begin:, :].expand_as(dq)), dim=-1)
    # Keys before every unit did not change: their tangents are 0.
    both_keys = torch.cat((plain.keys.expand(n, -1, -1, -1, -1), pad(dk, (0, 0, start, 0))), dim=-1)
    beside = dv.permute(1, 2, 3, 0, 4).flatten(3)  # directions side by side, since A is the same for all
    for block in plain.blocks:
        low, high = max(block.low, begin), block.high
        if low >= high:
            continue
        weights, slopes, read = (
            part[..., low - block.low :, :].flatten(2, 3) for part in (block.weights, block.slopes, block.read)
        )
        queries = both_queries[..., low - begin : high - begin, :].flatten(3, 4)
        summed = (queries @ both_keys[..., :high, :].transpose(-1, -2)).mul_(slopes) @ plain.values[..., :high, :]
        change = torch.addcmul(summed[..., :-1], read, summed[..., -1:], value=-1)
        by_values = weights[..., start:] @ beside[..., : high - start, :]
        change += torch.unflatten(by_values, -1, (n, d_head)).movedim(3, 0)
        at[..., low - begin : high - begin, :] = torch.unflatten(change, 3, (r, high - low))
    return found.flatten(3)
