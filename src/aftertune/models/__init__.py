"""THE SUBJECT: the only place that knows Hugging Face."""

from aftertune.models.checkpoint import Checkpoint, load

__all__ = ["Checkpoint", "load"]
