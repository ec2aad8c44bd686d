"""Work cut into chunks that fit into memory: measured before, halved when it was not enough."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import torch
from torch import Tensor

from aftertune.attribution.batch import Batch
from aftertune.errors import AttributionError
from aftertune.models.backbone import Backbone

Found = TypeVar("Found")
SHARE_OF_FREE_MEMORY = 0.4
MOST_ON_CPU = 16  # more at once no longer fits the caches and gains nothing (NOTES.md)
MOST_ON_GPU = 128


def in_chunks(n: int, size: int, compute: Callable[[int, int], Found]) -> Iterator[tuple[int, int, Found]]:
    """(start, stop, compute(start, stop)) over 0..n in chunks of ``size``, halved whenever memory runs out.

    Raises `AttributionError` if even one at a time does not fit.
    """
    start = 0
    while start < n:
        stop = min(start + size, n)
        try:
            found = compute(start, stop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise AttributionError(
                    "Memory ran out with one direction at a time. Give a shorter prompt or response, or more memory."
                ) from error
            size = max(1, size // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield start, stop, found
        start = stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the CPU or on a GPU."""
    text = str(error).lower()
    told = "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or told


def fitting(backbone: Backbone, batch: Batch) -> int:
    """How many directions through ``batch`` fit at once into the share of free memory that we take.

    One direction needs the widest intermediate results of one layer about four times over, and, with eager attention,
    the attention weights of one layer about six times; fused attention keeps no more than a mask.
    """
    config = backbone.checkpoint.model.config
    b, t, _ = batch.embeds.shape
    size = batch.embeds.element_size()
    width = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    matrices = 6 * config.num_attention_heads if config._attn_implementation == "eager" else 1
    each = b * t * (4 * width + 8 * config.hidden_size + matrices * t) * size
    room = SHARE_OF_FREE_MEMORY * _free_bytes(batch.embeds)
    most = MOST_ON_GPU if batch.embeds.is_cuda else MOST_ON_CPU
    return int(max(1, min(most, room // each)))


def _free_bytes(like: Tensor) -> int:
    if like.is_cuda:
        return int(torch.cuda.mem_get_info(like.device)[0])
    return int(psutil.virtual_memory().available)
