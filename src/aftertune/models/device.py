"""Which device, and which type of numbers, does a setting name?"""

import re

import torch

from aftertune.errors import CheckpointError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")


def chosen_device(device: str) -> str:
    """The device that a setting stands for ("auto" is CUDA, else the CPU); `CheckpointError` if it can't be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "balanced":
        return device
    try:
        if not DEVICE.fullmatch(device):
            raise RuntimeError("it is not one of those allowed")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = re.split(r"\.\s|\n", str(error))[0].rstrip(".")
        raise CheckpointError(
            f"The device {device!r} can't be used here: {reason}. Allowed: auto, cpu, cuda, cuda:N, mps, balanced."
        ) from error
    return device


def chosen_dtype(dtype: str) -> torch.dtype:
    """The type that a setting names; raises `CheckpointError` for another."""
    if dtype not in DTYPES:
        raise CheckpointError(f"The dtype {dtype!r} is not known. Allowed: {', '.join(DTYPES)}.")
    return DTYPES[dtype]
