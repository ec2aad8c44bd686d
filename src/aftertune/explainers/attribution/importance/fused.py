"""Attention and projections whose tangents are fused, for models that `torch.func` differentiates as they are.

1. `FUSED` attention. `torch.func` would keep tangents of scores and weights, (positions, positions) for each head and
   direction, and pass over them a dozen times. Transformers lets a model's attention be replaced by name; this one
   computes the same, and takes its tangent block by block, for all directions of a chunk at once, as
   `explicit_jvp.attention` does. `HELD` attention is the same with its patterns held constant.
2. `OneProduct`. Under `vmap` the tangents of all directions often lie such that `linear` becomes a batched product,
   with the weight repeated for each of them. While it is active, what `linear` makes of tangents is taken of all
   directions' rows at once, as `models.products.weight` does; its values are the model's own.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import Parameter
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from aftertune.explainers.attribution.importance.explicit_jvp.attention import (
    Plain,
    blocks_of,
    plain_in,
    push,
    push_values,
)
from aftertune.explainers.attribution.importance.held import HELD
from aftertune.models.products.weight import Weight

FUSED = "aftertune"
N_PLAIN = 5  # queries, keys, values, mask, soft cap
_SEEN = -1.0  # what is added to the score of a key that is not seen lies far below, of one that is seen it is 0


def _attend(
    _module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of query (B, heads, T, d_head) to key and value (B, key heads, T, d_head): (B, T, heads, d_head)."""
    queries = torch.unflatten(query * scaling, 1, (key.shape[1], -1))
    attention: Any = _Attention
    read: Tensor = attention.apply(queries, key, value, attention_mask, softcap)
    return read.flatten(1, 2).transpose(1, 2).contiguous(), None


def _attend_held(module: Any, query: Tensor, key: Tensor, *given: Any, **named: Any) -> tuple[Tensor, None]:
    return _attend(module, query.detach(), key.detach(), *given, **named)


class _Attention(Function):
    """What attention reads (B, G, R, T, d_head)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, softcap: float | None) -> Tensor:
        blocks = blocks_of(queries, keys, values, softcap, partial(_unseen, mask))
        return torch.cat([block.read for block in blocks], dim=-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        *tensors, ctx.softcap = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def jvp(ctx: Any, dq: Tensor | None, dk: Tensor | None, dv: Tensor, *_: Any) -> Tensor:
        push_one: Any = _PushAttention
        changes = (dv,) if dq is None and dk is None else (dq, dk, dv)
        found: Tensor = push_one.apply(*ctx.saved_tensors, ctx.softcap, *changes)
        return found


class _PushAttention(Function):
    """The tangent of what attention reads, for one direction; under `vmap` for all of them at once.

    From those of queries, keys and values, or of values alone.
    """

    @staticmethod
    def forward(
        queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, softcap: float | None, *changes: Tensor
    ) -> Tensor:
        return _pushed(queries, keys, values, mask, softcap, *(change[None] for change in changes))[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *given: Any) -> tuple[Tensor, int]:
        plain, changes = given[:N_PLAIN], given[N_PLAIN:]
        assert not any(dim is not None for dim in in_dims[:N_PLAIN])  # all directions share the plain values
        side_by_side = [
            change.expand(info.batch_size, *change.shape) if dim is None else change.movedim(dim, 0)
            for change, dim in zip(changes, in_dims[N_PLAIN:], strict=True)
        ]
        return _pushed(*plain, *side_by_side), 0


def _pushed(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, softcap: float | None, *changes: Tensor
) -> Tensor:
    blocks = list(blocks_of(queries, keys, values, softcap, partial(_unseen, mask)))
    plain: Plain = plain_in(queries.dtype, queries, keys, values, blocks)
    if len(changes) == 1:
        pushed = push_values(plain, changes[0], 0, 0)
    else:
        dq, dk, dv = changes
        pushed = push(plain, dq, dk, dv, 0, 0)
    found = torch.unflatten(pushed, -1, (keys.shape[1], -1, keys.shape[-1]))
    return found.permute(0, 1, 3, 4, 2, 5)


def _unseen(mask: Tensor, low: int, high: int) -> Tensor:
    return mask[:, :, None, low:high, :high] < _SEEN


class OneProduct(TorchFunctionMode):
    """A context in which `torch.nn.functional.linear` is ours, where weight and bias are a model's parameters."""

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_project if func is linear else func)(*args, **(kwargs or {}))


def _project(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if not isinstance(weight, Parameter) or not isinstance(bias, Parameter | None):
        return linear(input, weight, bias)  # may have tangents of its own
    projection: Any = _Linear
    found: Tensor = projection.apply(input, weight, bias)
    return found


class _Linear(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.set_materialize_grads(False)  # zeros of the weight's shape otherwise
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, *_: Any) -> Tensor:
        push_one: Any = _PushLinear
        found: Tensor = push_one.apply(dx, *ctx.saved_tensors)
        return found


class _PushLinear(Function):
    """Tangents through a projection, of one direction; under `vmap` of all of them at once."""

    @staticmethod
    def forward(dx: Tensor, weight: Tensor) -> Tensor:
        return linear(dx, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[int | None, ...], dx: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        assert in_dims[0] is not None and in_dims[1] is None  # all directions share the model's weight
        return Weight(weight, weight.dtype).product(dx.movedim(in_dims[0], 0)), 0


for _name, _way in ((FUSED, _attend), (HELD, _attend_held)):
    AttentionInterface.register(_name, _way)
    AttentionMaskInterface.register(_name, eager_mask)
