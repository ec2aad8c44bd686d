"""What is changed for a while and then put back: a model's mode and attention, and Hugging Face's output.

Inside, a caller's model is in evaluation mode, with attention and experts that have forward mode; afterwards it is as
it was. cuDNN's attention, which PyTorch takes first on some GPUs, is left out: it builds a plan for each new length of
a sequence, and nearly every length here is new (docs/performance.md). While a checkpoint is read, progress bars and
warnings are kept back.
"""

import logging as levels
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from huggingface_hub.utils import logging as hub_logging
from transformers import PreTrainedModel
from transformers.utils import logging


@contextmanager
def borrowed(model: PreTrainedModel, attention: str | None = None, experts: str | None = None) -> Iterator[None]:
    """Put ``model`` into evaluation mode, with the given attention and experts implementations; put back afterwards.

    A model without experts has nothing to change there.
    """
    training = [module for module in model.modules() if module.training]
    before, experts_before = model.config._attn_implementation, model.config._experts_implementation
    backends: Any = torch.backends.cuda
    by_cudnn = backends.cudnn_sdp_enabled()
    backends.enable_cudnn_sdp(False)
    model.eval()
    try:
        with quiet():
            if attention:
                model.set_attn_implementation(attention)
            if experts:
                model.set_experts_implementation(experts)
            yield
    finally:
        backends.enable_cudnn_sdp(by_cudnn)
        if attention:
            model.set_attn_implementation(before)
        if experts:
            model.set_experts_implementation(experts_before)
        for module in training:
            module.training = True


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers and the hub's client inside the block, and put their settings back after it.

    The GGUF reader draws a bar that no setting hides, so standard error is kept back too. What they would warn of
    (missing weights, shapes that differ) is checked by us and raised as an error.
    """
    verbosity, bars, hub = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub_logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity(levels.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub)
        if bars:
            logging.enable_progress_bar()
