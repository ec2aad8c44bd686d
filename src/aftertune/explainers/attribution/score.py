"""From importance to one number: how densely does a response use its instruction?

Levels (section 4.1, Eq. 2), for each response token (a column):
1. negative importance becomes 0;
2. the column is divided by its maximum and multiplied by L = 10;
3. scores are rounded up, and those not above the threshold b become 0.
   A column without a positive score is all zeros.

Density and score (section 4.2):
4. The density of a prompt token is ||S_n||_1 / ||S_n||_p with p = 4: one token that matters for many response
   tokens scores high, one that matters once scores 1, one that never matters 0.
5. The score of an instance: densities divided by the prompt's maximum, summed over the instruction's tokens,
   divided by log2(2 + number of instruction tokens), so that long instructions gain nothing by length.
"""

import numpy as np
import numpy.typing as npt

N_LEVELS = 10
PICTURE_THRESHOLD = 0
DENSITY_THRESHOLD = 7
P_NORM = 4


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


def density(levels: npt.NDArray[np.uint8], p: float = P_NORM) -> npt.NDArray[np.float64]:
    """Density a_n (n_prompt,) of levels S (n_prompt, n_response); 0 where a row is zero (section 4.2)."""
    rows = levels.astype(np.float64)
    total, norm = rows.sum(axis=1), (rows**p).sum(axis=1) ** (1 / p)
    found: npt.NDArray[np.float64] = np.divide(total, norm, out=np.zeros_like(total), where=norm > 0)
    return found


def instruction_score(densities: npt.NDArray[np.float64], is_instruction: npt.NDArray[np.bool_]) -> float:
    """The instance's score from its densities (n_prompt,) and the instruction's tokens (n_prompt,) (section 4.2)."""
    peak = densities.max(initial=0.0)
    if peak == 0:
        return 0.0
    return float((densities[is_instruction] / peak).sum() / np.log2(2 + is_instruction.sum()))
