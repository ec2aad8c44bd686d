"""Honesty: how well does the first order rank prompt units against removal itself (Eq. 1)?

1. For each response token: Spearman's rank correlation of its two columns over the prompt units.
2. The share of response tokens whose most important unit is the same in both.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from aftertune.explainers.attribution.result import Agreement

Matrix = npt.NDArray[np.floating]


def measure_agreement(first_order: Matrix, removed: Matrix, removal: str) -> Agreement | None:
    """Agreement of two importance matrices (n_prompt, n_response).

    Columns without any difference between units are left out; None where no column is left.
    """
    varied = (np.ptp(first_order, axis=0) > 0) & (np.ptp(removed, axis=0) > 0)
    if not varied.any():
        return None
    first, second = first_order[:, varied], removed[:, varied]
    return Agreement(
        removal=removal,
        spearman=float(_rank_correlation(first, second).mean()),
        top1=float((first.argmax(0) == second.argmax(0)).mean()),
    )


def _rank_correlation(first: Matrix, second: Matrix) -> npt.NDArray[np.float64]:
    a, b = (_centred_ranks(columns) for columns in (first, second))
    correlation: npt.NDArray[np.float64] = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return correlation


def _centred_ranks(columns: Matrix) -> npt.NDArray[np.float64]:
    ranks = rankdata(columns, axis=0)
    return np.asarray(ranks - ranks.mean(0))
