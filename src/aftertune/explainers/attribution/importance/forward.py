"""Forward mode: one directional derivative per prompt unit gives its whole row of the importance matrix.

Question: how does p(y_m) change, for every m at once, when the embeddings of one unit are scaled by (1 + a)?
Section 4.1: I[n, m] = dp(y_m)/dE[x_n] . E[x_n] is that derivative at a = 0.
1. One plain pass: states at the response positions, p(y_m) and its gradient g_m by the state (head.py).
2. For a chunk of units: the tangent is the unit's own embedding, 0 elsewhere; one JVP through the layers, by
   `torch.func` for any model.  For models of Llama's build it is written out (`explicit_jvp`), which is faster.
3. I[n, m] = <g_m, dh_m>.  Nothing is stored for a backward pass, so memory is bounded by the chunk.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import jvp, vmap

from aftertune.errors import AttributionError
from aftertune.explainers.attribution.importance.chunks import fitting, in_chunks
from aftertune.explainers.attribution.importance.explicit_jvp.rows import Rows, rows_of
from aftertune.explainers.attribution.importance.fused import OneProduct
from aftertune.explainers.attribution.importance.head import predict
from aftertune.explainers.attribution.importance.held import holding

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Batch
    from aftertune.models.backbone import Backbone


def forward_importance(
    backbone: Backbone, batch: Batch, dtype: torch.dtype | None = None, held: bool = False
) -> tuple[Tensor, Tensor]:
    """Importance (B, n_units, M) and probability (B, M); padded units and response tokens hold no meaning.

    With a ``dtype`` products of tangents are taken in it, for models that forward mode is written out for; raises
    `AttributionError` for others. ``held`` is the locally linear network, whose final states are a sum over the
    embeddings before them (arXiv 2505.24293).
    """

    def states(embeds: Tensor) -> Tensor:
        return batch.at_responses(backbone.states(embeds))

    def general(start: int, stop: int) -> Tensor:
        tangents = batch.mask(start, stop) * batch.embeds
        with OneProduct(), holding(backbone.checkpoint) if held else nullcontext():
            change: Tensor = vmap(lambda tangent: jvp(states, (batch.embeds,), (tangent,))[1])(tangents)
        return (gradient * change.to(gradient.dtype)).sum(-1)

    with torch.no_grad():
        plain = states(batch.embeds)
        p, gradient = predict(backbone, plain, batch.targets, batch.contrast)
        written = rows_of(backbone, batch, plain, gradient, dtype or batch.embeds.dtype, held)
        found = None if written is None else _all_rows(written, batch, fitting(backbone, batch, written_out=True))
        if found is None and dtype is not None:
            raise AttributionError(
                f"{backbone.checkpoint.provenance.name} does not compute what its architecture says, so that its "
                "tangents in bfloat16 can't be taken. Take route auto."
            )
        if found is None:
            found = _all_rows(general, batch, fitting(backbone, batch))
        assert found is not None  # the general way always finds rows
        return found.movedim(0, 1), p


def _all_rows(rows: Rows, batch: Batch, at_once: int) -> Tensor | None:
    chunks = []
    for _, _, chunk in in_chunks(batch.n_units, at_once, rows):
        if chunk is None:
            return None
        chunks.append(chunk)
    return torch.cat(chunks)
