"""How large is the change of a weight, and in how many directions does it go?

1. ||dW|| and ||W||, Frobenius norms in float64.
2. The share of ||dW||^2 in the five largest singular values.
3. The effective rank, (sum s^2)^2 / sum s^4: n for n singular values of one size, 1 for a change of rank 1. (The
   participation ratio of s^2; unlike a rank by entropy it needs no single singular value, only dW'dW.)

Up to 1,024 dimensions on the shorter side both come from dW'dW and its largest eigenvalues, exact up to rounding in
float64. Above, the largest singular values are those of a randomised range finder (Halko, Martinsson and Tropp, 2011,
algorithm 4.4), and sum s^4 of the rest is estimated by random probes (Hutchinson, 1990).

Weight noise of the same shape, as a change without any direction has it, is known by formula: the largest singular
values of an m x n matrix of independent numbers end at sqrt(m) + sqrt(n) (Marchenko and Pastur, 1967), and its
effective rank is m n / (m + n + 1).
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor

from aftertune.statistics.spread import Scores

N_TOP = 5
EXACT, SMALL = 1024, 64
OVERSAMPLING, ITERATIONS, N_PROBES = 10, 4, 10
NUMBERS_AT_ONCE = 2**22
HALF = (torch.bfloat16, torch.float16)
Sizes = dict[str, float | None]


@torch.inference_mode()
def sizes_of(base: Tensor, tuned: Tensor) -> Sizes:
    """The numbers of one weight of any shape; a weight of three dimensions is one matrix for each expert.

    Shares and ranks are None for vectors and where nothing changed; those of several experts are weighted by their
    share of ||dW||^2.
    """
    place = "cpu" if base.device.type == "mps" else base.device  # float64 is not known there
    base, tuned = base.to(place), tuned.to(place)
    change, norm = (_squared_norm(one) for one in (_difference(base, tuned), _blocks(base)))
    found: Sizes = {"squared_change": change, "squared_norm": norm}
    if base.ndim < 2 or not change:
        return found | dict.fromkeys(("top5_share", "effective_rank", "noise_top5_share", "noise_effective_rank"))
    experts = zip(base, tuned, strict=True) if base.ndim == 3 else [(base, tuned)]
    return found | _joined([_spectrum(one, other) for one, other in experts]) | noise_of(*base.shape[-2:])


def noise_of(n_rows: int, n_columns: int) -> Sizes:
    """Top-5 share (its upper end) and effective rank of weight noise of a shape."""
    n = n_rows * n_columns
    top = min(1.0, N_TOP * (n_rows**0.5 + n_columns**0.5) ** 2 / n)
    return {"noise_top5_share": top, "noise_effective_rank": n / (n_rows + n_columns + 1)}


def _joined(spectra: list[tuple[float, float, float]]) -> Sizes:
    total = sum(energy for energy, _, _ in spectra)
    top, rank = (sum(one[0] * one[which] for one in spectra) / total for which in (1, 2))
    return {"top5_share": top, "effective_rank": rank}


def _spectrum(base: Tensor, tuned: Tensor) -> tuple[float, float, float]:
    """||dW||^2, the top-5 share and the effective rank of one matrix."""
    if base.shape[0] < base.shape[1]:
        base, tuned = base.T, tuned.T
    energy, top, fourth = _exact(base, tuned) if base.shape[1] <= EXACT else _randomised(base, tuned)
    return (energy, min(1.0, top / energy), energy**2 / fourth) if energy else (0.0, 0.0, 0.0)


def _exact(base: Tensor, tuned: Tensor) -> tuple[float, float, float]:
    """sum s^2, that of the five largest, and sum s^4 of tall matrices."""
    gram = torch.zeros(base.shape[1], base.shape[1], dtype=torch.float64, device=base.device)
    for block in _difference(base, tuned):
        gram.addmm_(block.T, block)
    return float(gram.trace()), _largest(gram.cpu().numpy()), float(gram.square().sum())


def _largest(gram: Scores) -> float:
    """The sum of the five largest eigenvalues; by Lanczos, ten times as fast as all of them (576 dimensions)."""
    if len(gram) > SMALL:
        start = np.random.default_rng(0).standard_normal(len(gram))
        with suppress(ArpackError):
            return float(eigsh(gram, N_TOP, v0=start, return_eigenvectors=False).sum())
    return float(np.linalg.eigvalsh(gram)[-N_TOP:].clip(min=0).sum())


def _randomised(base: Tensor, tuned: Tensor) -> tuple[float, float, float]:
    """As `_exact`; the last is an estimate, the second a lower bound, close where the change has few directions."""
    base = base if base.dtype in HALF else base.float()
    change = tuned.float().sub_(base) if tuned.dtype in HALF else tuned.float() - base  # one matrix more, no two
    generator = torch.Generator().manual_seed(0)

    def drawn(n: int) -> Tensor:
        return torch.randn(change.shape[1], n, generator=generator).to(change.device)

    basis = torch.linalg.qr(change @ drawn(N_TOP + OVERSAMPLING)).Q
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(change @ torch.linalg.qr(change.T @ basis).Q).Q
    squared = torch.linalg.svdvals((basis.T @ change).double()).square()
    probed = change @ drawn(N_PROBES)
    rest = change.T @ (probed - basis @ (basis.T @ probed))
    fourth = squared.square().sum() + rest.double().square().sum() / N_PROBES
    return _squared_norm(iter([change])), float(squared[:N_TOP].sum()), float(fourth)


def _difference(base: Tensor, tuned: Tensor) -> Iterator[Tensor]:
    """Blocks of rows of tuned - base in float64."""
    for one, other in zip(_blocks(base), _blocks(tuned.to(base.device)), strict=True):
        yield other - one


def _blocks(weight: Tensor) -> Iterator[Tensor]:
    n_rows = max(1, NUMBERS_AT_ONCE * len(weight) // max(1, weight.numel())) if weight.ndim else 1
    for block in torch.split(weight, n_rows) if weight.ndim else [weight]:
        yield block.double()


def _squared_norm(blocks: Iterator[Tensor]) -> float:
    return float(sum(block.square().sum(dtype=torch.float64) for block in blocks))
