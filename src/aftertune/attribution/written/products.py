"""Products of tangents with a projection's weight, many of them with the same one.

PyTorch multiplies float32 matrices on CPUs by MKL. oneDNN, which it brings too, lays a weight out once for all products
with it, and was 1.1 to 1.3 times as fast on two cores with AVX-512 (NOTES.md). PyTorch itself calls it so in compiled
models, by operators without a public name; where they are not there, the plain product is taken.
"""

from typing import Any

import torch
from torch import Tensor

LAID_OUT = (torch.float32, torch.bfloat16)
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")


class Weight:
    """The weight (d_out, d_in) of a projection, made ready for products in ``number``."""

    def __init__(self, weight: Tensor, number: torch.dtype) -> None:
        self.plain = weight.to(number)
        self.laid_out = _laid_out(self.plain)

    def product(self, tangents: Tensor) -> Tensor:
        """Tangents (..., d_in) through the projection: (..., d_out).

        As one product of two matrices: PyTorch takes a slower way for tensors of more dimensions.
        """
        rows = tangents.reshape(-1, tangents.shape[-1])
        if self.laid_out is None:
            found = torch.mm(rows, self.plain.t())
        else:
            found = torch.ops.mkldnn._linear_pointwise(rows, self.laid_out, None, "none", [], "")
        return found.view(*tangents.shape[:-1], len(self.plain))


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
