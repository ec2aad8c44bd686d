"""Along which directions do the rows of a feed-forward network's down projection spread?  (Paper 5.2, Eq. 3.)

1. Centre the columns of W_p (n_neurons, d_model).
2. The eigenvectors of the covariance of its rows, those of largest eigenvalue first, in float64.
"""

import torch
from torch import Tensor


def principal_components(weights: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The ``n`` first components (n, d_model), and the variance (d_model,) along all of them, largest first.

    ``weights`` is (n_neurons, d_model); components are unit vectors of its precision, orthogonal to one another, at
    most d_model of them. Their sign is arbitrary.
    """
    # Eigenvectors of like eigenvalues mix by rounding errors over the gap between them, so float64 it is.
    rows = weights.to("cpu" if weights.device.type == "mps" else weights.device, torch.float64)
    rows = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    components = vectors.flip(1).T[:n].to(weights.dtype)
    return components, values.flip(0).clamp(min=0)
