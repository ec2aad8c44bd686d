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

Does a response answer, or does it copy? The weakness that figure 5 and appendix B.2 leave open.

A response that says the prompt or itself again shows as diagonals in its map and still scores high, since its tokens
do depend on the prompt.
1. A response token is copied if it lies in a run of at least n = 4 tokens that stands in the prompt, or that began
   earlier in the response. Tokens are compared without their space marks and without regard to case.
2. A response is repetitive if at least half of its tokens are copied.
3. A response is looping if at least half of its tokens lie in runs of four that come three times or more.
4. The density that knows of this leaves the columns of copied tokens out before it is computed.
5. The score from it is measured against the peak of the plain densities, so that copying lowers it. Against its own
   peak a response that copies nearly all would score as if its last few words were the whole.

What the definition cannot see: a paraphrase is not copied, and neither is a copy that changes every fourth token. A
response that must quote (correct this text, fill in this form) is copied in good faith: the share says that it
copies, not that it should not. And text takes up its own phrases, so short runs occur in honest long answers too;
that is why a flag needs half of the tokens.

On the released maps the score of step 5 tells followed from unfollowed responses better than the plain one on
Self-Instruct (AUROC 0.836 against 0.682) and as well on MT-Bench (0.774 against 0.773). Part of that is built in: the
lowest rating stands for "random, or repeating itself".
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aftertune.errors import AttributionError
from aftertune.runs.readable import readable

N_LEVELS = 10
PICTURE_THRESHOLD = 0
DENSITY_THRESHOLD = 7
P_NORM = 4


def sparsify(
    importance: npt.NDArray[np.floating], threshold: int = PICTURE_THRESHOLD, n_levels: int = N_LEVELS
) -> npt.NDArray[np.uint8]:
    """Levels S (n_prompt, n_response) in 0..n_levels from importance I of that shape (Eq. 2).

    Raises `AttributionError` if the importance holds NaN or infinity.
    """
    if not np.isfinite(importance).all():
        raise AttributionError(
            "The importance holds NaN or infinity: the model's probabilities overflow on this prompt. Load the model "
            "in float32, or leave the prompt out."
        )
    positive = np.maximum(np.asarray(importance, dtype=np.float64), 0.0)
    return cut(levels_up_to(positive, positive.max(axis=0, keepdims=True, initial=0.0), n_levels), threshold)


def levels_up_to(
    positive: npt.NDArray[np.float64], peak: npt.NDArray[np.float64], n_levels: int = N_LEVELS
) -> npt.NDArray[np.uint8]:
    """Numbers from 0 to ``peak`` as parts of it, in ``n_levels`` steps, rounded up; 0 where the peak is 0."""
    scaled = np.divide(n_levels * positive, peak, out=np.zeros_like(positive), where=peak > 0)
    return np.minimum(np.ceil(scaled), n_levels).astype(np.uint8)  # rounding can take the peak itself above


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


RUN_LENGTH = 4
REPETITIVE_SHARE = 0.5
LOOP_TIMES = 3
SPACE_MARKS = "▁Ġ \u00a0"


def copied(prompt_tokens: Sequence[str], response_tokens: Sequence[str], n: int = RUN_LENGTH) -> npt.NDArray[np.bool_]:
    """Which response tokens (n_response,) lie in a run of ``n`` or more that stood in the prompt or response before."""
    prompt, response = _plain(prompt_tokens), _plain(response_tokens)
    seen = {tuple(prompt[i : i + n]) for i in range(len(prompt) - n + 1)}
    marked = np.zeros(len(response), dtype=np.bool_)
    for start in range(len(response) - n + 1):
        run = tuple(response[start : start + n])
        if run in seen:
            marked[start : start + n] = True
        seen.add(run)
    return marked


def copied_share(copied: npt.NDArray[np.bool_]) -> float:
    """Share of the response's tokens that are copied, 0 to 1; 0 for an empty response."""
    return float(copied.mean()) if copied.size else 0.0


def is_repetitive(copied: npt.NDArray[np.bool_]) -> bool:
    """Whether at least half of the response's tokens are copied."""
    return copied_share(copied) >= REPETITIVE_SHARE


def is_looping(response_tokens: Sequence[str], n: int = RUN_LENGTH) -> bool:
    """Whether at least half of the response's tokens (n_response,) lie in runs of ``n`` that come three times."""
    response = _plain(response_tokens)
    runs = [tuple(response[start : start + n]) for start in range(len(response) - n + 1)]
    times, inside = Counter(runs), np.zeros(len(response), dtype=np.bool_)
    for start, run in enumerate(runs):
        if times[run] >= LOOP_TIMES:
            inside[start : start + n] = True
    return bool(inside.size) and float(inside.mean()) >= REPETITIVE_SHARE


def is_one_word(response_tokens: Sequence[str]) -> bool:
    """Whether the response's tokens (n_response,) spell one word without white space in it."""
    return len("".join(readable(response_tokens)).split()) == 1


def novel_density(
    levels: npt.NDArray[np.uint8], copied: npt.NDArray[np.bool_], threshold: int = DENSITY_THRESHOLD
) -> npt.NDArray[np.float64]:
    """Density of each prompt token (n_prompt,) over the response tokens that are not copied.

    ``levels`` (n_prompt, n_response) are S of Eq. 2; the columns of ``copied`` (n_response,) tokens count as 0.
    """
    return density(cut(np.where(copied[np.newaxis, :], np.uint8(0), levels), threshold))


def novel_score(
    levels: npt.NDArray[np.uint8],
    copied: npt.NDArray[np.bool_],
    is_instruction: npt.NDArray[np.bool_],
    threshold: int = DENSITY_THRESHOLD,
) -> float:
    """Score of the instruction (n_prompt,) without copied tokens, in units of the plain score, which bounds it.

    The same sum as the plain score's (`instruction_score`), with the novel densities over the plain peak. 0 where
    all is copied, the plain score where nothing is.
    """
    peak = density(cut(levels, threshold)).max(initial=0.0)
    if peak == 0:
        return 0.0
    shares = novel_density(levels, copied, threshold)[is_instruction] / peak
    return float(shares.sum() / np.log2(2 + is_instruction.sum()))


def _plain(tokens: Sequence[str]) -> list[str]:
    return [token.strip(SPACE_MARKS).casefold() for token in tokens]
