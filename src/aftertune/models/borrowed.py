"""A model lent to us: evaluation mode and an attention that has forward mode inside the block, as it was after it."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from aftertune.models.quiet import quiet


@contextmanager
def borrowed(model: PreTrainedModel, attention: str | None = None) -> Iterator[None]:
    """Put ``model`` into evaluation mode, with the given attention implementation, and put all back afterwards."""
    training = [module for module in model.modules() if module.training]
    before = model.config._attn_implementation
    model.eval()
    try:
        with quiet():
            if attention:
                model.set_attn_implementation(attention)
            yield
    finally:
        if attention:
            model.set_attn_implementation(before)
        for module in training:
            module.training = True
