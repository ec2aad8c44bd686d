"""A model in three steps: tokens -> embeddings -> final states -> logits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from aftertune.models.description import at
from aftertune.models.mapped.memory import is_mapped
from aftertune.models.products.weight import TallWeight

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

AT_ONCE = 8192  # embeddings


@dataclass(frozen=True, eq=False)
class Backbone:
    """The model of a checkpoint, cut where attribution needs to take hold of it.

    Sequences are padded on the right, if at all: with causal attention no real position sees a later one, so that
    no mask is needed.
    """

    checkpoint: Checkpoint

    @property
    def device(self) -> torch.device:
        """Where the embeddings lie."""
        weight: Tensor = self.checkpoint.model.get_input_embeddings().weight
        return weight.device

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings (batch, positions, d_model) of token ids (batch, positions)."""
        embedded: Tensor = self.checkpoint.model.get_input_embeddings()(ids)
        return embedded

    @cached_property
    def mean_embedding(self) -> Tensor:
        """The mean (d_model,) of the embeddings of all tokens, in float32 or better."""
        n = self.checkpoint.model.get_input_embeddings().weight.shape[0]
        total = torch.zeros((), device=self.device)
        for some in torch.split(torch.arange(n, device=self.device), AT_ONCE):
            embedded = self.embed(some[None])[0]
            total = total + embedded.to(torch.promote_types(embedded.dtype, torch.float32)).sum(0)
        mean: Tensor = total / n
        return mean

    def states(self, embeds: Tensor, cache: DynamicCache | None = None) -> Tensor:
        """Final normalised states (batch, positions, d_model) of embeddings of that shape.

        With a ``cache`` the embeddings continue the positions that lie in it.
        """
        inner: Any = at(self.checkpoint.model, self.checkpoint.description.backbone)
        found: Tensor = inner(inputs_embeds=embeds, past_key_values=cache, use_cache=cache is not None)[0]
        return found

    def logits(self, states: Tensor) -> Tensor:
        """Logits (..., n_vocabulary) in float32 or better of final states (..., d_model)."""
        return self._by_rule(self.checkpoint.model.get_output_embeddings()(states))

    def many_logits(self, states: Tensor) -> Tensor:
        """Logits as above of states (n, d_model), without gradients: faster where they are asked for again and again.

        Those of weights as they were when it was first called.
        """
        return self.logits(states) if self._laid_out is None else self._by_rule(self._laid_out.product(states))

    @cached_property
    def _laid_out(self) -> TallWeight | None:
        """The output embeddings made ready for many products; None where they do more than multiply."""
        head = self.plain_head
        is_ready = head is not None and head.dtype == torch.float32 and head.device.type == "cpu"
        return TallWeight(head) if head is not None and is_ready else None

    @property
    def plain_head(self) -> Tensor | None:
        """The output embeddings (n_vocabulary, d_model) in memory; None where they do more than multiply."""
        head: Any = self.checkpoint.model.get_output_embeddings()
        is_plain = type(head) is nn.Linear and head.bias is None and not is_mapped(head.weight)
        return head.weight.detach() if is_plain else None

    def _by_rule(self, found: Tensor) -> Tensor:
        rule = self.checkpoint.logit_rule
        if rule.divisor != 1:
            found = found / rule.divisor
        if rule.cap is not None:
            found = torch.tanh(found / rule.cap) * rule.cap
        return found if found.dtype == torch.float64 else found.float()
