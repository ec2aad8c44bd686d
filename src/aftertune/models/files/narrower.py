"""Weights held in 8 or 4 bit while a model is run, so that a GPU holds one two to four times as large.

bitsandbytes rounds the matrices of the layers while they are read; embeddings, norms and the output head stay as they
are, and what is between is bfloat16. What is computed is the rounded model's: its outputs, and attribution by removal.
The weights are codes, which can't be compared.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from aftertune.errors import AttributionError, CheckpointError
from aftertune.models.files.quantised import BITSANDBYTES, quantised_by

NARROW = ("int8", "int4")
COMPUTED = torch.bfloat16


def must_be_able(dtype: str, config: Any, ref: str, *, is_gguf: bool, adapter: object, device: str) -> None:
    """Raise `CheckpointError` for a checkpoint that can't be held in 8 or 4 bit."""
    if find_spec(BITSANDBYTES) is None:
        raise CheckpointError(
            f"{dtype} needs the package {BITSANDBYTES}. Install it: pip install 'aftertune[quantised]'."
        )
    how = "a GGUF file" if is_gguf else quantised_by(config)
    if how is not None:
        raise CheckpointError(
            f"The weights of {ref} are quantised already ({how}). Give the checkpoint in full precision, or another "
            f"dtype than {dtype}."
        )
    if adapter is not None:
        raise CheckpointError(
            f"The adapter {adapter} can't be merged into weights in {dtype}. Merge it in full precision, save the "
            "model and give its folder, or give another dtype."
        )
    if device in ("disk", "mps"):
        raise CheckpointError(f"The dtype {dtype} is for device cpu, cuda or balanced, not {device}.")


def must_have_plain_weights(dtype: str, readers: Sequence[str]) -> None:
    """Raise `AttributionError` where ``readers`` of weights are to read some that are held in 8 or 4 bit."""
    if dtype in NARROW and readers:
        raise AttributionError(
            f"The weights are rounded codes in {dtype}, which {', '.join(readers)} can't read. Give another "
            f"dtype (--device disk reads safetensors larger than memory), or compare --skip {','.join(readers)}."
        )


def arguments_of(dtype: str, place: str) -> dict[str, Any]:
    """What transformers is told to hold weights so."""
    kinds: dict[str, dict[str, Any]] = {
        "int8": {"load_in_8bit": True},
        "int4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": COMPUTED},
    }
    return {
        "dtype": COMPUTED,
        "device_map": place if place == "balanced" else {"": place},
        "quantization_config": BitsAndBytesConfig(**kinds[dtype]),
    }


def is_narrow(model: PreTrainedModel) -> bool:
    """Whether a model's weights are codes of bitsandbytes."""
    return any(getattr(model, f"is_loaded_in_{bits}bit", False) for bits in (8, 4))
