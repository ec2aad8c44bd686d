"""From levels to one number: how densely does a response use each prompt token, and the instruction?

Section 4.2.
1. The density of a prompt token is ||S_n||_1 / ||S_n||_p with p = 4: one token that matters for many response
   tokens scores high, one that matters once scores 1, one that never matters 0.
2. The score of an instance: densities divided by the prompt's maximum, summed over the instruction's tokens,
   divided by log2(2 + number of instruction tokens), so that long instructions gain nothing by length.
"""

import numpy as np
import numpy.typing as npt

P_NORM = 4


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
