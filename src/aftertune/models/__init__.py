"""THE SUBJECT: a checkpoint, its tokens, its weights and its answers; the only place that knows Hugging Face."""

from typing import TYPE_CHECKING

from aftertune.lazy_exports import lazy_face

if TYPE_CHECKING:
    from aftertune.models.checkpoint import Checkpoint, load, read_tokenizer
    from aftertune.models.loadable import must_be_loadable

__all__ = ["Checkpoint", "load", "must_be_loadable", "read_tokenizer"]
__getattr__ = lazy_face(
    __name__,
    {
        "checkpoint": ("Checkpoint", "load", "read_tokenizer"),
        "loadable": ("must_be_loadable",),
    },
)
