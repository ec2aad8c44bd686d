"""Reverse mode: one pass forward, then the response tokens' cotangents backward in batches.

Question and paper section as in forward.py; cheaper where the response is shorter than the prompt.
1. One pass with a graph: states at the response positions; p(y_m) and g_m (head.py).
2. For a chunk of response tokens: the cotangent is g_m at its own position, 0 elsewhere; one batched VJP.
3. I[n, m] = sum over the unit's tokens of <gradient, embedding>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aftertune.explainers.attribution.importance.chunks import fitting, in_chunks
from aftertune.explainers.attribution.importance.head import predict

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.models.backbone import Backbone


def reverse_importance(backbone: Backbone, batch: Batch) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning."""
    leaf = batch.embeds.detach().requires_grad_()
    with torch.enable_grad():
        states = batch.at_responses(backbone.states(leaf))
    p, gradient = predict(backbone, states, batch.targets, batch.contrast)
    members = batch.mask(0, batch.n_units)[..., 0].to(p.dtype)

    def columns(start: int, stop: int) -> Tensor:
        cotangents = torch.zeros(stop - start, *states.shape, dtype=states.dtype, device=states.device)
        for index in range(start, stop):
            cotangents[index - start, :, index] = gradient[:, index].to(states.dtype)
        (slopes,) = torch.autograd.grad(states, leaf, cotangents, retain_graph=True, is_grads_batched=True)
        per_position = (slopes.to(p.dtype) * batch.embeds).sum(-1)
        return torch.einsum("cbt,nbt->bnc", per_position, members)

    chunks = in_chunks(batch.n_response, fitting(backbone, batch), columns)
    return torch.cat([found for _, _, found in chunks], dim=-1), p
