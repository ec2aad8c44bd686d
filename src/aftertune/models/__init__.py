"""THE SUBJECT: the only place that knows Hugging Face."""

from aftertune.models.checkpoint import Checkpoint, load, must_be_loadable, read_tokenizer

__all__ = ["Checkpoint", "load", "must_be_loadable", "read_tokenizer"]
