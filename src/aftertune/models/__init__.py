"""THE SUBJECT: a checkpoint, its tokens, its weights and its answers; the only place that knows Hugging Face."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aftertune.models.checkpoint import Checkpoint, load, must_be_loadable, read_tokenizer

__all__ = ["Checkpoint", "load", "must_be_loadable", "read_tokenizer"]


def __getattr__(name: str) -> Any:  # so that what needs a name of this package only does not wait for torch
    if name not in __all__:
        raise AttributeError(f"module 'aftertune.models' has no attribute {name!r}")
    return getattr(import_module("aftertune.models.checkpoint"), name)
