"""A model in three steps: tokens -> embeddings -> final states -> logits."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from aftertune.models.checkpoint import Checkpoint


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

    def states(self, embeds: Tensor, cache: DynamicCache | None = None) -> Tensor:
        """Final normalised states (batch, positions, d_model) of embeddings of that shape.

        With a ``cache`` the embeddings continue the positions that lie in it.
        """
        inner: Any = getattr(self.checkpoint.model, self.checkpoint.family.backbone)
        found: Tensor = inner(inputs_embeds=embeds, past_key_values=cache, use_cache=cache is not None)[0]
        return found

    def logits(self, states: Tensor) -> Tensor:
        """Logits (..., n_vocabulary) in float32 or better of final states (..., d_model)."""
        config = self.checkpoint.model.config
        found: Tensor = self.checkpoint.model.get_output_embeddings()(states)
        scaling = getattr(config, "logits_scaling", None)
        if scaling is not None:
            found = found / scaling
        cap = getattr(config, "final_logit_softcapping", None)
        if cap is not None:
            found = torch.tanh(found / cap) * cap
        return found if found.dtype == torch.float64 else found.float()
