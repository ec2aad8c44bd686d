"""The fingerprint of a model's weights, and the versions that read them."""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftertune.errors import CheckpointError
from aftertune.models.files.narrower import is_narrow
from aftertune.models.mapped.computing import dtype_of

OF_ORIGIN = frozenset(
    {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "_from_model_config", "truncation", "padding"}
)  # the last two are the state that the last call left a tokenizer in
# How `fingerprint` is defined, kept beside each: 1, which nobody wrote down, was one digest over the bytes of all.
FINGERPRINT_VERSION = 2
NUMBERS_AT_ONCE, MOST_THREADS = 2**22, 16
PACKAGES = ("aftertune", "torch", "transformers", "numpy")


def fingerprint(model: PreTrainedModel, name: str) -> str:
    """SHA-256 over names, types, shapes and digests of all parameters; raises `CheckpointError` if one is not finite.

    Of a model on disk they count as they are computed with. Parameters are digested side by side.
    """
    whole, numbers = hashlib.sha256(), sorted(_numbers(model))
    kinds = [_kind(model, key, weight) for key, weight in numbers]
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
        named = (f"{key} of {name}" for key, _ in numbers)
        digests = threads.map(_digest, (weight for _, weight in numbers), kinds, named)
        for (key, weight), kind, digest in zip(numbers, kinds, digests, strict=True):
            whole.update(f"{key} {kind} {tuple(weight.shape)} {digest}\n".encode())
    return whole.hexdigest()


def _kind(model: PreTrainedModel, key: str, weight: Tensor) -> torch.dtype:
    return weight.dtype if is_narrow(model) else dtype_of(model.get_submodule(key.rpartition(".")[0]), weight)


def _digest(weight: Tensor, kind: torch.dtype, name: str) -> str:
    """That of a parameter's bytes, in a type."""
    digest = hashlib.sha256()
    for block in torch.split(weight.detach().reshape(-1), NUMBERS_AT_ONCE):
        found = block.to(kind)
        if not torch.isfinite(found).all():
            raise CheckpointError(
                f"The weight {name} holds NaN or infinity. "
                "The checkpoint is damaged or was cast to too narrow a type; read it again, or in float32."
            )
        content: Any = found.cpu().contiguous().view(torch.uint8).numpy()
        digest.update(content)
    return digest.hexdigest()


def _numbers(model: PreTrainedModel) -> Iterable[tuple[str, Tensor]]:
    """The parameters; of codes their scales too, which are part of what they mean."""
    held: Iterable[tuple[str, Any]] = model.state_dict().items() if is_narrow(model) else model.named_parameters()
    return ((name, one) for name, one in held if isinstance(one, Tensor))


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
