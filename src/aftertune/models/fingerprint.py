"""The fingerprint of a model's weights, and the versions that read them."""

import hashlib
import importlib.metadata
import json
import platform
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftertune.errors import CheckpointError

OF_ORIGIN = frozenset(
    {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "_from_model_config", "truncation", "padding"}
)  # the last two are the state that the last call left a tokenizer in
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


def configuration_digest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of all that decides beside the weights what a model does: configurations, tokens, the chat template.

    What only says where they come from is left out.
    """
    generation = getattr(model, "generation_config", None)
    told = [model.config.to_dict(), {} if generation is None else generation.to_dict(), _tokenizer(tokenizer)]
    plain = [{name: value for name, value in one.items() if name not in OF_ORIGIN} for one in told]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _tokenizer(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    found: dict[str, Any] = tokenizer.get_vocab() if backend is None else json.loads(backend.to_str())
    own = {"kind": type(tokenizer).__name__, "special": tokenizer.special_tokens_map, "ids": tokenizer.all_special_ids}
    return found | own | {"template": getattr(tokenizer, "chat_template", None)}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages whose numbers end up in a result."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
