"""How many layers, heads and dimensions does a configuration say that a model's attention has?"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AttentionShape:
    """Numbers of layers, query heads, key heads, and dimensions of a head."""

    n_layers: int
    n_heads: int
    n_key_heads: int
    d_head: int

    @property
    def n_sharing(self) -> int:
        """How many query heads share a key head (grouped-query attention); query head h uses key head h // this."""
        return self.n_heads // self.n_key_heads


def shape_of(config: Any) -> AttentionShape:
    """The shape of the attention that a Hugging Face configuration describes."""
    n_heads = config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // n_heads
    n_key_heads = getattr(config, "num_key_value_heads", None) or n_heads
    return AttentionShape(config.num_hidden_layers, n_heads, n_key_heads, d_head)
