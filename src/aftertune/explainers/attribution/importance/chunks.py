"""Work cut into chunks that fit into memory: measured before, halved when it was not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import psutil
import torch
from torch import Tensor

from aftertune.errors import AttributionError, is_out_of_memory

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.models.backbone import Backbone

Found = TypeVar("Found")
SHARE_OF_FREE_MEMORY = 0.4
MOST_ON_CPU = 16  # more at once no longer fits the caches and gains nothing (NOTES.md)
MOST_ON_GPU = 128
# Positions of changed prompts at once: sixteen of 160 tokens, eight of 320. On a GPU more fill it no better, and of
# fewer prompts at once more of what stands before their changes is kept.
POSITIONS_ON_CPU, POSITIONS_ON_GPU = 2560, 8192
# Where forward mode is written out: rows of the tangents of a block of directions, and queries whose scores are made.
ROWS_ON_CPU = 1536  # what is in work stays in the caches (NOTES.md)
ROWS_ON_GPU = 32768
QUERIES_AT_ONCE = 192
# Prompts in one batch; numbers of a batch depend on its members, so that it is the unit of work.
RESPONSES_AT_ONCE, RESPONSES_AT_ONCE_ON_GPU, FEWEST_AT_ONCE = 16, 64, 8
KEPT_SHARE, KEPT_SHARE_ON_GPU = 0.25, 0.5  # numbers of keys and values of a batch, of those of the weights
KEPT_ALWAYS = 2**28  # 1 GiB in float32
ATTRIBUTIONS_AT_ONCE_ON_GPU = 8


def attributions_at_once(device: str) -> int:
    """How many prompts are attributed in one batch on a kind of device: on the CPU more gain nothing."""
    return ATTRIBUTIONS_AT_ONCE_ON_GPU if device == "cuda" else 1


def responses_at_once(n_parameters: int, kept_of_position: int, n_positions: int, device: str) -> int:
    """How many responses are generated in one batch: sixteen, on a GPU 64, or half of them while their keys and values
    would weigh too much, down to eight.

    ``kept_of_position`` numbers of keys and values are held for each of at most ``n_positions`` of a sequence. It
    depends on the model, the prompts and the kind of device, never on free memory, so that a run that goes on elsewhere
    has the same batches.
    """
    on_gpu = device == "cuda"
    n, share = (RESPONSES_AT_ONCE_ON_GPU, KEPT_SHARE_ON_GPU) if on_gpu else (RESPONSES_AT_ONCE, KEPT_SHARE)
    while n > FEWEST_AT_ONCE and n * kept_of_position * n_positions > max(KEPT_ALWAYS, share * n_parameters):
        n //= 2
    return n


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


def fitting(backbone: Backbone, batch: Batch, written_out: bool = False) -> int:
    """How many directions through ``batch`` fit at once into the share of free memory that we take."""
    config = backbone.checkpoint.model.config
    b, t, _ = batch.embeds.shape
    width = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    dtype_bytes, free = batch.embeds.element_size(), _free_bytes(batch.embeds)
    if written_out:
        fixed, each = bytes_written_out(b, t, width, config.hidden_size, config.num_attention_heads, dtype_bytes)
        return most_at_once(each, free - fixed / SHARE_OF_FREE_MEMORY, batch.n_units)
    scores = scores_of_position(config._attn_implementation, t, config.num_attention_heads)
    each = bytes_of_direction(b, t, width, config.hidden_size, scores, dtype_bytes)
    return most_at_once(each, free, MOST_ON_GPU if batch.embeds.is_cuda else MOST_ON_CPU)


def fitting_variants(backbone: Backbone, batch: Batch) -> int:
    """How many changed prompts are passed through a model at once: fewer of long ones."""
    most = POSITIONS_ON_GPU if batch.embeds.is_cuda else POSITIONS_ON_CPU
    return max(1, min(fitting(backbone, batch), most // batch.embeds.shape[1]))


def scores_of_position(attention: str, t: int, n_heads: int) -> int:
    """Attention scores and weights that one direction holds for each position, by an implementation of attention.

    Plain matrices ("eager") are held about six times. Ours holds those of a block of queries, PyTorch's ("sdpa") no
    more than a mask.
    """
    if attention == "eager":
        return 6 * n_heads * t
    return t if attention == "sdpa" else 3 * n_heads * min(t, QUERIES_AT_ONCE)


def bytes_of_direction(b: int, t: int, d_inner: int, d_model: int, scores: int, dtype_bytes: int) -> int:
    """The bytes that one direction through ``b`` sequences of ``t`` positions needs, in a dtype of so many bytes.

    The widest intermediate results of one layer about four times over, and ``scores`` for each position.
    """
    return b * t * (4 * d_inner + 8 * d_model + scores) * dtype_bytes


def bytes_written_out(b: int, t: int, d_inner: int, d_model: int, n_heads: int, dtype_bytes: int) -> tuple[int, int]:
    """The bytes that forward mode as it is written out needs, however many directions there are, and for each of them.

    Plain values of one layer with its attention weights, and the intermediate results of one block of directions; of
    each direction only the tangent of the residual stream is kept.
    """
    plain = b * t * (6 * d_model + 4 * d_inner + n_heads * t)
    work = max(ROWS_ON_CPU, b * t) * (4 * d_inner + 10 * d_model + 2 * n_heads * QUERIES_AT_ONCE)
    return (plain + work) * dtype_bytes, b * t * d_model * dtype_bytes


def most_at_once(each: int, free_bytes: float, most: int) -> int:
    """How many directions that need so many bytes each are taken at once, at most ``most``."""
    return int(max(1, min(most, SHARE_OF_FREE_MEMORY * free_bytes // each)))


def _free_bytes(like: Tensor) -> int:
    if like.is_cuda:
        return int(torch.cuda.mem_get_info(like.device)[0])
    return int(psutil.virtual_memory().available)
