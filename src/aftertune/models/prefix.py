"""The beginning that several sequences share, read once: its keys and values are seen by all of them."""

from collections.abc import Sequence
from contextlib import suppress
from os.path import commonprefix
from typing import TYPE_CHECKING

from transformers import DynamicCache

from aftertune.errors import CheckpointError
from aftertune.models.weights import attending, attention_shape

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

LEAST_SHARED = 4  # tokens: of fewer, nothing is gained


def keeps_every_position(checkpoint: "Checkpoint") -> bool:
    """Whether all layers keep keys and values, which can be cut at a position; what others keep can't (Qwen3.5)."""
    with suppress(CheckpointError):  # of a model that is not described, nothing is known
        n_layers = attention_shape(checkpoint).n_layers
        return len(attending(checkpoint, range(n_layers))) == n_layers
    return False


def n_shared(checkpoint: "Checkpoint", prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, but for the last of each; 0 where they are few, or can't be cut off."""
    n = len(commonprefix([tuple(prompt[:-1]) for prompt in prompts]))  # noqa: RUF071  (of token ids, not of paths)
    return n if n >= LEAST_SHARED and keeps_every_position(checkpoint) else 0


def seen_by(rows: int, cache: DynamicCache, length: int) -> DynamicCache:
    """Keys and values of the first ``length`` positions of a sequence, as ``rows`` sequences see them."""
    found = DynamicCache()
    for index, layer in enumerate(cache.layers):
        keys, values = layer.keys[:, :, :length], layer.values[:, :, :length]
        found.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return found
