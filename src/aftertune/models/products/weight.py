"""Products of many rows with one weight, many times.

PyTorch multiplies float32 matrices on CPUs by MKL. oneDNN, which it brings too, lays a weight out once for all products
with it, and was 1.1 to 1.3 times as fast on two cores with AVX-512, and more than that where the weight has tens of
thousands of outputs (NOTES.md). PyTorch itself calls it so in compiled models, by operators without a public name;
where they are not there, the plain product is taken.
"""

from typing import Any

import torch
from torch import Tensor

LAID_OUT = (torch.float32, torch.bfloat16)
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
OUTPUTS_ON_CPU = 4096  # with some hundred rows their product lies in the caches (NOTES.md)


class Weight:
    """The weight (d_out, d_in) of a projection, made ready for products in ``number``."""

    def __init__(self, weight: Tensor, number: torch.dtype) -> None:
        plain = weight.to(number)
        self.n_outputs, self.laid_out = len(plain), _laid_out(plain)
        self.plain = plain.t() if self.laid_out is None else None

    def product(self, rows: Tensor) -> Tensor:
        """Rows (..., d_in) through the projection: (..., d_out).

        As one product of two matrices: PyTorch takes a slower way for tensors of more dimensions.
        """
        flat = rows.reshape(-1, rows.shape[-1])
        if self.plain is not None:
            found = torch.mm(flat, self.plain)
        else:
            found = torch.ops.mkldnn._linear_pointwise(flat, self.laid_out, None, "none", [], "")
        return found.view(*rows.shape[:-1], self.n_outputs)


class TallWeight:
    """A weight (d_out, d_in) of very many outputs; on the CPU in parts."""

    def __init__(self, weight: Tensor) -> None:
        self.device, self.dtype, self.n_outputs = weight.device, weight.dtype, len(weight)
        size = OUTPUTS_ON_CPU if weight.device.type == "cpu" else max(1, len(weight))
        self.parts = [Weight(part, weight.dtype) for part in torch.split(weight, size)]

    def product(self, rows: Tensor) -> Tensor:
        """Rows (n, d_in) times the weight, where it lies and of its type: (n, d_out)."""
        rows = rows.to(self.device, self.dtype)
        found = [part.product(rows) for part in self.parts]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)


def _laid_out(weight: Tensor) -> Tensor | None:
    """The weight as oneDNN lays it out, or None where that can't be used."""
    onednn: Any = torch.backends.mkldnn
    able = onednn.is_available() and onednn.enabled
    if weight.device.type != "cpu" or weight.dtype not in LAID_OUT or not able:
        return None
    operators = torch.ops.mkldnn
    if not all(hasattr(operators, name) for name in OPERATORS):
        return None
    if weight.dtype == torch.bfloat16 and not operators._is_mkldnn_bf16_supported():  # by the processor
        return None
    found: Tensor = operators._reorder_linear_weight(weight)
    return found
