"""Along which directions do the rows of a feed-forward network's down projection spread?  (Paper 5.2, Eq. 3.)

1. Centre the columns of W_p (n_neurons, d_model).
2. The eigenvectors of the covariance of its rows, those of largest eigenvalue first, in float64: eigenvectors of like
   eigenvalues mix by rounding errors over the gap between them.

On the CPU, where n is a small part of a large d_model, step 2 takes about half of the time that a product and `eigh`
take, since half of the covariance is enough (it is symmetric), and Q is applied to the n first eigenvectors only:
a. The covariance C, one triangle of it.
b. Reflections Q that leave C tridiagonal: C = Q T Q'.
c. The eigenvalues of T are those of C, its eigenvectors those of C once Q is applied to them.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy import linalg
from scipy.linalg import blas, lapack
from torch import Tensor

BLOCK = 64  # columns that LAPACK reflects together
COPIES_OF_ROWS, COPIES_OF_COVARIANCE = 2, 4  # what is held at once, in float64
LARGE = 1024  # below, the threads that SciPy leaves waiting cost more time than is saved (NOTES.md)

Found = tuple[Tensor, Tensor]


def principal_components(weights: Tensor, n: int) -> Found:
    """The ``n`` first components (n, d_model), and the variance (d_model,) along all of them, largest first.

    ``weights`` is (n_neurons, d_model); components are unit vectors of its precision, orthogonal to one another, at
    most d_model of them, and fewer than neurons: no more directions have any variance. Their sign is arbitrary.
    """
    rows = weights.to("cpu" if weights.device.type == "mps" else weights.device, torch.float64)
    is_large = rows.device.type == "cpu" and rows.shape[1] >= LARGE
    spread: Callable[[Tensor, int], Found] = _on_cpu if is_large else _on_device
    values, vectors = spread(rows - rows.mean(dim=0), min(n, max(1, len(rows) - 1), rows.shape[1]))
    return vectors.flip(1).T.to(weights.dtype), values.flip(0).clamp(min=0)


def _on_device(rows: Tensor, n: int) -> Found:
    """All eigenvalues (d_model,), ascending, and the eigenvectors (d_model, n) of the ``n`` largest."""
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    return values, vectors[:, -n:]


def _on_cpu(rows: Tensor, n: int) -> Found:
    """As `_on_device`."""
    covariance = blas.dsyrk(1 / len(rows), rows.numpy().T, lower=1)
    reflections, diagonal, beside, scales, _ = lapack.dsytrd(
        covariance, lower=1, lwork=BLOCK * len(covariance), overwrite_a=1
    )
    values, vectors = linalg.eigh_tridiagonal(diagonal, beside)
    found = np.asfortranarray(vectors[:, -n:])
    # The reflections leave the first axis alone.
    found[1:], _, _ = lapack.dormqr("L", "N", reflections[1:, :-1], scales, found[1:], lwork=BLOCK * n)
    return torch.from_numpy(values), torch.from_numpy(found)
