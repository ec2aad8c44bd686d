"""In how many digits are products of float32 matrices taken?  In all of them, unless fewer are asked for.

A GPU multiplies float32 in TF32 (10 binary digits of each factor, sums in float32) several times as fast as in float32.
PyTorch has one setting for the process, which it leaves off. Only its settings by backend are read and written here:
it refuses to read the older ones once a user has set these.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from aftertune.errors import CheckpointError

TF32 = "tf32"
PLACES = ("cuda", "balanced")


def multiply_as(dtype: str, device: str) -> None:
    """Let this process multiply float32 matrices in TF32, where a dtype is "tf32"; other dtypes leave it as it is.

    Raises `CheckpointError` for a device that is no GPU.
    """
    if dtype != TF32:
        return
    if not device.startswith(PLACES):
        raise CheckpointError(
            f"The dtype {TF32} is float32 whose products a GPU takes in fewer digits, and the device is {device}. "
            "Give float32 or bfloat16 there."
        )
    torch.backends.cuda.matmul.fp32_precision = TF32


def in_tf32(like: Tensor) -> bool:
    """Whether products of matrices like this one are taken in TF32."""
    return like.is_cuda and like.dtype == torch.float32 and torch.backends.cuda.matmul.fp32_precision == TF32


def are_faster_ones_rougher(like: Tensor) -> bool:
    """Whether `fast_products` may change products of matrices like this one."""
    if like.dtype != torch.float32 or like.device.type not in ("cpu", "cuda"):
        return False
    of_processor = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return like.is_cuda or of_processor is None or bool(of_processor())


@contextmanager
def fast_products() -> Iterator[None]:
    """Let products of float32 matrices be taken in TF32, on a processor in bfloat16, where that is faster."""
    onednn: Any = torch.backends.mkldnn
    of_gpu, of_processor = torch.backends.cuda.matmul, onednn.matmul
    before = of_gpu.fp32_precision, of_processor.fp32_precision
    of_gpu.fp32_precision, of_processor.fp32_precision = TF32, "bf16"
    try:
        yield
    finally:
        of_gpu.fp32_precision, of_processor.fp32_precision = before
