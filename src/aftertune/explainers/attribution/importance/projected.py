"""Projections whose tangents are one product, for models that `torch.func` differentiates as they are.

Under `vmap` the tangents of all directions often lie such that `linear` becomes a batched product, with the weight
repeated for each of them. While `OneProduct` is active, what `linear` makes of tangents is taken of all directions'
rows at once, as `models.products` does; its values are the model's own.
"""

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.nn import Parameter
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from aftertune.models.products import Weight


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
        push: Any = _Push
        found: Tensor = push.apply(dx, *ctx.saved_tensors)
        return found


class _Push(Function):
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
