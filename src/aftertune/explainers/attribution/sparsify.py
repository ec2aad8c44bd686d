"""From importance to levels: the paper's normalised, sparse pairwise scores.

Section 4.1, Eq. 2.  For each response token (column):
1. negative importance becomes 0;
2. the column is divided by its maximum and multiplied by L = 10;
3. scores are rounded up, and those not above the threshold b become 0.
A column without a positive score is all zeros.
"""

import numpy as np
import numpy.typing as npt

N_LEVELS = 10
PICTURE_THRESHOLD = 0
DENSITY_THRESHOLD = 7


def sparsify(
    importance: npt.NDArray[np.floating], threshold: int = PICTURE_THRESHOLD, n_levels: int = N_LEVELS
) -> npt.NDArray[np.uint8]:
    """Levels S (n_prompt, n_response) in 0..n_levels from importance I of that shape (Eq. 2)."""
    positive = np.maximum(np.asarray(importance, dtype=np.float64), 0.0)
    peak = positive.max(axis=0, keepdims=True, initial=0.0)
    scaled = np.divide(n_levels * positive, peak, out=np.zeros_like(positive), where=peak > 0)
    return cut(np.ceil(scaled).astype(np.uint8), threshold)


def cut(levels: npt.NDArray[np.uint8], threshold: int) -> npt.NDArray[np.uint8]:
    """The same levels with those not above ``threshold`` (b of Eq. 2) set to 0."""
    return np.where(levels > threshold, levels, 0).astype(np.uint8)
