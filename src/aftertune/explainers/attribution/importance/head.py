"""The vocabulary projection, once: p(y_m) and its gradient with respect to the state that predicts y_m.

With h_m the final normalised state, dp_m = <g_m, dh_m> where g_m = p_m (W[y_m] - sum_v p_v W[v]) for a plain
output embedding W.  Autograd gives g_m for every head (soft-capped logits too); no direction needs the vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from aftertune.models.backbone import Backbone

STATES_AT_ONCE = 128


def predict(
    backbone: Backbone, states: Tensor, targets: Tensor, contrast: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Probability (B, M) of the targets (B, M), and its gradient (B, M, d_model) by the states (B, M, d_model).

    With a ``contrast`` (B, M) the gradient is that of p(y_m) - p(c_m). Both in float32 or better, whatever the model's
    type.
    """
    wanted = torch.stack([targets] if contrast is None else [targets, contrast])
    chunks = zip(torch.split(states, STATES_AT_ONCE, dim=1), torch.split(wanted, STATES_AT_ONCE, dim=2), strict=True)
    parts = [_predict(backbone, *chunk) for chunk in chunks]
    return torch.cat([p for p, _ in parts], 1), torch.cat([g for _, g in parts], 1)


def log_probability(backbone: Backbone, states: Tensor, targets: Tensor) -> Tensor:
    """log p (k, ...) of k targets (k, ...) for each of the states (..., d_model).

    The vocabulary is held for a few at a time, and once for all targets of a state.
    """
    rows, wanted = states.flatten(0, -2), targets.flatten(1)
    pieces = zip(torch.split(rows, STATES_AT_ONCE), torch.split(wanted, STATES_AT_ONCE, dim=1), strict=True)
    found = [_log_p(backbone.many_logits(states), some) for states, some in pieces]
    return torch.cat(found, dim=1).view(targets.shape)


def _log_p(logits: Tensor, targets: Tensor) -> Tensor:
    wanted = torch.take_along_dim(logits[None], targets[..., None], dim=-1)[..., 0]
    return wanted - torch.logsumexp(logits, dim=-1)


def _predict(backbone: Backbone, states: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = states.detach().requires_grad_()
        p = _log_p(backbone.logits(leaf), targets).exp()
        (gradient,) = torch.autograd.grad((p[0] - p[1:].sum(0)).sum(), leaf)
    return p[0].detach(), gradient.to(p.dtype)
