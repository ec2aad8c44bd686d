"""The steps of a layer: each gives its value and a function that pushes tangents through it.

1. Norm: with u = x / rms(x), du = (dx - u mean(u dx)) gain / rms(x).
2. Network: with h = act(g) v, dh = act'(g) v dg + act(g) dv.
3. Held, the network is linear in what it is given: rms(x) and act(g) are constants, and only dx / rms(x) and dv remain.

Plain tensors are (B, T, ...), tangents (D, B, T - start, ...): nothing is kept for positions before ``start``, where
they are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.functional import linear

from aftertune.models.products.weight import Weight

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.explicit_jvp.build import Affine, LayerParts, NetworkParts, Norm

Push = Callable[[Tensor, int], None]
"""Adds to tangents, in place, what a step makes of them; the second argument is ``start``."""


@dataclass(frozen=True, eq=False)
class Normed:
    """What a norm made of x: x over its root mean square, and the gain over that; both None where there is no norm.

    Where it is ``held`` the root mean square is a constant.
    """

    value: Tensor
    unit: Tensor | None = None
    scale: Tensor | None = None
    held: bool = False

    def push(self, dx: Tensor, start: int) -> Tensor:
        """Tangents of the value."""
        if self.unit is None or self.scale is None:
            return dx
        unit, scale, dx = self.unit[:, start:], self.scale[:, start:], dx.to(self.unit.dtype)
        if self.held:
            return dx * scale
        along = torch.einsum("dbt...m,bt...m->dbt...", dx, unit)[..., None] / dx.shape[-1]
        return torch.addcmul(dx, unit, along, value=-1).mul_(scale)


def normed(norm: Norm | None, x: Tensor, held: bool = False) -> Normed:
    """x (B, T, ..., d) through a norm, if there is one."""
    if norm is None:
        return Normed(x)
    inverse = (x.square().mean(-1, keepdim=True) + norm.epsilon).rsqrt()
    unit = x * (inverse.detach() if held else inverse)
    return Normed(unit * norm.gain, unit, inverse * norm.gain, held)


def through(affine: Affine, x: Tensor) -> Tensor:
    """x through a projection."""
    return linear(x, affine.weight, affine.bias)


def add_product(dx: Tensor, tangents: Tensor, weight: Weight, after: Normed, start: int, factor: float) -> None:
    """Add tangents, through a projection, the norm after it and a factor, to those of the residual stream."""
    dx.add_(after.push(weight.product(tangents), start), alpha=factor)


def added(written: Normed, factor: float) -> Tensor:
    """What a half of a layer adds to the residual stream."""
    return written.value if factor == 1 else written.value * factor


def written_by(parts: NetworkParts, given: Tensor, held: bool = False) -> Tensor:
    """What the network writes (B, T, d_model) of a normalised input."""
    opened = parts.act(through(parts.gate, given))
    return through(parts.down, (opened.detach() if held else opened) * through(parts.up, given))


def network(layer: LayerParts, x: Tensor, number: torch.dtype) -> tuple[Tensor, Push]:
    """What the network adds (B, T, d_model), and its push; products of tangents are taken in ``number``."""
    parts, factor = layer.network, layer.facts.residual
    given = normed(layer.before_network, x, layer.held)
    gate, up = through(parts.gate, given.value), through(parts.up, given.value)
    found: tuple[Tensor, Tensor] = jvp(parts.act, (gate,), (torch.ones_like(gate),))  # type: ignore[assignment]
    opened, slope = found
    written = normed(layer.after_network, through(parts.down, opened * up), layer.held)
    slope, opened = slope.mul_(up).to(number), opened.to(number)
    of_gate, of_up, of_down = (Weight(part.weight, number) for part in (parts.gate, parts.up, parts.down))

    def push(dx: Tensor, start: int) -> None:
        du = given.push(dx, start).to(number)
        change = of_up.product(du).mul_(opened[:, start:])
        if not layer.held:
            change.addcmul_(of_gate.product(du), slope[:, start:])
        add_product(dx, change, of_down, written, start, factor)

    return added(written, factor), push
