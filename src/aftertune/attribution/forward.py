"""Forward mode: one directional derivative per prompt unit gives its whole row of the importance matrix.

Question: how does p(y_m) change, for every m at once, when the embeddings of one unit are scaled by (1 + a)?
Section 4.1: I[n, m] = dp(y_m)/dE[x_n] . E[x_n] is that derivative at a = 0.
1. One plain pass: states at the response positions, p(y_m) and its gradient g_m by the state (head.py).
2. For a chunk of units: the tangent is the unit's own embedding, 0 elsewhere; one JVP through the layers, by
   `torch.func` for any model, or as it is written out in `llama` for models of that build.
3. I[n, m] = <g_m, dh_m>.  Nothing is stored for a backward pass, so memory is bounded by the chunk.
"""

import torch
from torch import Tensor
from torch.func import jvp, vmap

from aftertune.attribution.batch import Batch
from aftertune.attribution.chunks import fitting, in_chunks
from aftertune.attribution.head import predict
from aftertune.attribution.written.rows import rows_of
from aftertune.models.backbone import Backbone


def forward_importance(
    backbone: Backbone, batch: Batch, number: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning."""

    def states(embeds: Tensor) -> Tensor:
        return batch.at_responses(backbone.states(embeds))

    def push(tangents: Tensor) -> Tensor:
        found: Tensor = vmap(lambda tangent: jvp(states, (batch.embeds,), (tangent,))[1])(tangents)
        return found

    def general(start: int, stop: int) -> Tensor:
        change = push(batch.mask(start, stop) * batch.embeds)
        return (gradient * change.to(gradient.dtype)).sum(-1)

    def rows(start: int, stop: int) -> Tensor:
        found = None if written is None else written(start, stop)
        return general(start, stop) if found is None else found

    with torch.no_grad():
        plain = states(batch.embeds)
        p, gradient = predict(backbone, plain, batch.targets)
        written = rows_of(backbone, batch, plain, gradient, number or batch.embeds.dtype)
        chunks = in_chunks(batch.n_units, fitting(backbone, batch), rows)
        return torch.cat([found for _, _, found in chunks]).movedim(0, 1), p
