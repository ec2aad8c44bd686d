"""Do the tuned model's responses depend more on their instruction than the base's, or less?

1. Of each model's own response: how far log p falls without the whole instruction, and without as many other words of
   the user (`importance.instruction`). The share of the instruction is its fall over both, those below 0 counted as 0.
2. Within prompts, tuned minus base, of the fall and of the share a two-sided permutation test of signs. The share is
   the control: a response that is longer, or depends more on every word, has a larger fall and the same share.
3. What is drawn at random is the instruction. Any change of weights moves what one sentence does a little up or down,
   in all prompts that hold it: so prompts with the same instruction count once, by their mean.
4. A claim needs both, in one direction, so its p-value is the larger. Between models that do not differ either one is
   as often up as down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aftertune.explainers.attribution.density_comparison import Paired, datasets, paired
from aftertune.explainers.attribution.result import InstructionFall
from aftertune.statistics.questions import NEVER, largest
from aftertune.statistics.spread import means_by

Numbers = npt.NDArray[np.float64]


class BothFalls(NamedTuple):
    """A prompt whose instruction was left out under both models."""

    dataset: str
    instruction: str
    base: InstructionFall
    tuned: InstructionFall


@dataclass(frozen=True)
class InstructionRow:
    """How far responses depend on their instruction, over the prompts of a data set; falls of log p in nats.

    ``base`` and ``tuned`` are the mean falls without the instruction, ``base_control`` and ``tuned_control`` those
    without as many other words, over ``n_prompts``. ``fall`` and ``share`` compare tuned minus base, a pair for each
    different instruction; ``p_value`` is the larger of theirs, 1 where their directions differ.
    """

    dataset: str
    n_prompts: int
    base: float
    tuned: float
    base_control: float
    tuned_control: float
    base_share: float
    tuned_share: float
    fall: Paired
    share: Paired
    p_value: float | None
    pooled: bool = False


def instruction_rows(falls: Sequence[BothFalls], seed: int = 0) -> tuple[InstructionRow, ...]:
    """A row for each data set; with two or more, one for all of them together."""
    return tuple(_row(name, group, pooled, seed) for name, group, pooled in datasets(falls))


def _row(dataset: str, falls: Sequence[BothFalls], pooled: bool, seed: int) -> InstructionRow:
    base, tuned = (_numbers([getattr(one, side) for one in falls]) for side in ("base", "tuned"))
    texts = [one.instruction for one in falls]
    before, after = means_by(texts, base), means_by(texts, tuned)
    fall, share = (paired(after[:, column], before[:, column], seed) for column in (0, 2))
    is_one_way = (fall.difference or 0) * (share.difference or 0) > 0
    both = largest(fall.p_value, share.p_value)
    means = {
        f"{side}{name}": float(column.mean())
        for side, numbers in (("base", base), ("tuned", tuned))
        for name, column in zip(("", "_control", "_share"), numbers.T, strict=True)
    }
    p_value = both if both is None or is_one_way else NEVER
    return InstructionRow(dataset, len(falls), **means, fall=fall, share=share, p_value=p_value, pooled=pooled)


def _numbers(falls: Sequence[InstructionFall]) -> Numbers:
    """Fall, control and share (n_prompts, 3)."""
    return np.array([(one.fall, one.control, one.share) for one in falls], dtype=np.float64)
