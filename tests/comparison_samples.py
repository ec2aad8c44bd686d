"""Maps whose score is known in advance, for the tests of the comparison."""

import numpy as np

from aftertune.explainers.attribution.result import SalientMap

N_RESPONSE = 16


def score_of(k: int) -> float:
    """Score of `make_map`: k equal levels have density k^(3/4), the peak is 16^(3/4) = 8, log2(2 + 1) normalises."""
    return k**0.75 / 8 / np.log2(3)


def make_map(
    id: str, model: str, k: int, dataset: str = "d", helpfulness: int | None = None, response: tuple[str, ...] = ()
) -> SalientMap:
    """Two prompt tokens: the instruction, which matters for k of 16 response tokens, and one that matters for all."""
    levels = np.zeros((2, N_RESPONSE), dtype=np.uint8)
    levels[0, :k] = 10
    levels[1, :] = 10
    return SalientMap(
        id=id,
        dataset=dataset,
        model=model,
        text=f"Writ{chr(97 + sum(map(ord, id)) % 26)} Now.",  # another instruction in each prompt
        prompt_tokens=("▁Write.", "▁Now."),
        response_tokens=response or tuple(f"▁{number}" for number in range(N_RESPONSE)),
        offsets=np.array([(0, 5), (5, 10)], dtype=np.int64),
        is_user=np.array([True, True]),
        is_instruction=np.array([True, False]),
        levels=levels,
        helpfulness=helpfulness,
    )
