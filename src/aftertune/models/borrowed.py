"""A model lent to us: evaluation mode, attention and experts that have forward mode inside, as it was afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from aftertune.models.quiet import quiet


@contextmanager
def borrowed(model: PreTrainedModel, attention: str | None = None, experts: str | None = None) -> Iterator[None]:
    """Put ``model`` into evaluation mode, with the given attention and experts implementations; put back afterwards.

    A model without experts has nothing to change there.
    """
    training = [module for module in model.modules() if module.training]
    before, experts_before = model.config._attn_implementation, model.config._experts_implementation
    model.eval()
    try:
        with quiet():
            if attention:
                model.set_attn_implementation(attention)
            if experts:
                model.set_experts_implementation(experts)
            yield
    finally:
        if attention:
            model.set_attn_implementation(before)
        if experts:
            model.set_experts_implementation(experts_before)
        for module in training:
            module.training = True
