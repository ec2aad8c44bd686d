"""The fingerprint of a model's weights, and the versions that read them."""

import hashlib
import importlib.metadata
import platform

import torch
from transformers import PreTrainedModel

from aftertune.errors import CheckpointError

PACKAGES = ("aftertune", "torch", "transformers", "numpy")


def fingerprint(model: PreTrainedModel, name: str) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters; raises `CheckpointError` if one is not finite."""
    digest = hashlib.sha256()
    for key, weight in sorted(model.named_parameters()):
        if not torch.isfinite(weight).all():
            raise CheckpointError(
                f"The weight {key} of {name} holds NaN or infinity. "
                "The checkpoint is damaged or was cast to too narrow a type; read it again, or in float32."
            )
        digest.update(f"{key} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numbers end up in a result."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
