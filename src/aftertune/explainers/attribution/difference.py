"""On which prompt tokens does the difference between two models hang?

Both models read one response to one prompt. The question of tuning is log p_tuned(y_m) - log p_base(y_m): what both
share cancels. The difference of a prompt unit is how far that log-ratio falls without the unit: the fall of log p under
the tuned model less the fall under the base. Levels are those of Eq. 2; so that both models can be read beside each
other, theirs are of one scale, the largest fall of either for each response token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.errors import AttributionError
from aftertune.explainers.attribution.result import SMALLEST, Attribution
from aftertune.explainers.attribution.score import (
    DENSITY_THRESHOLD,
    PICTURE_THRESHOLD,
    density,
    instruction_score,
    levels_up_to,
    sparsify,
)
from aftertune.runs.result import Result

Levels = npt.NDArray[np.uint8]
Falls = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class AttributionDifference(Result):
    """One prompt with one response under two models; both attributions have the same units and response tokens.

    Raises `AttributionError` if they have not.
    """

    base: Attribution
    tuned: Attribution

    def __post_init__(self) -> None:
        pairs = [(one.prompt_tokens, one.response_tokens, one.unit, one.route) for one in self.models]
        if pairs[0] != pairs[1]:
            raise AttributionError(
                "A difference is that of two models on the same prompt and response, attributed alike. "
                "Give both attributions the same response (response=...), unit, method and route."
            )

    @property
    def models(self) -> tuple[Attribution, Attribution]:
        """Base, then tuned."""
        return self.base, self.tuned

    @property
    def log_ratio(self) -> Falls:
        """log p_tuned - log p_base of each response token (n_response,), in nats."""
        before, after = (np.log(np.maximum(one.probability.astype(np.float64), SMALLEST)) for one in self.models)
        found: Falls = after - before
        return found

    @cached_property
    def difference(self) -> Falls:
        """How far the log-ratio of each response token falls without each unit (n_prompt, n_response), in nats."""
        return self.tuned.fall() - self.base.fall()

    def levels(self, threshold: int = PICTURE_THRESHOLD) -> Levels:
        """Levels (n_prompt, n_response) of the difference, in 0..10 (Eq. 2)."""
        return sparsify(self.difference, threshold)

    def density(self, threshold: int = DENSITY_THRESHOLD) -> Falls:
        """Density of each prompt unit (n_prompt,) in the difference (section 4.2)."""
        return density(self.levels(threshold))

    def score(self, threshold: int = DENSITY_THRESHOLD) -> float:
        """How densely the difference depends on the instruction."""
        return instruction_score(self.density(threshold), self.tuned.is_instruction)

    def levels_of_models(self) -> tuple[Levels, Levels]:
        """Levels of base and of tuned on one scale: tenths of the largest fall of either, for each response token."""
        falls = [np.maximum(one.fall(), 0.0) for one in self.models]
        peak = np.maximum(*(fall.max(axis=0, keepdims=True, initial=0.0) for fall in falls))
        return levels_up_to(falls[0], peak), levels_up_to(falls[1], peak)

    def to_polars(self) -> pl.DataFrame:
        """One row per prompt unit and response token, prompt units first.

        Columns ``prompt_index, response_index, prompt_token, response_token, fall_base, fall_tuned, difference``: falls
        of log p in nats.
        """
        rows, columns = (index.reshape(-1) for index in np.indices(self.difference.shape))
        return pl.DataFrame(
            {
                "prompt_index": rows,
                "response_index": columns,
                "prompt_token": [self.tuned.prompt_tokens[row] for row in rows],
                "response_token": [self.tuned.response_tokens[column] for column in columns],
                "fall_base": self.base.fall().reshape(-1),
                "fall_tuned": self.tuned.fall().reshape(-1),
                "difference": self.difference.reshape(-1),
            }
        )

    def _facts(self) -> dict[str, Any]:
        n_prompt, n_response = self.difference.shape
        names = {"base": self.base.provenance.name, "tuned": self.tuned.provenance.name}
        return names | {"n_prompt": n_prompt, "n_response": n_response}


@dataclass(frozen=True)
class DifferenceRow:
    """What the difference of one prompt depends on, on the tuned model's response.

    ``log_ratio`` is the mean over response tokens of log p_tuned - log p_base. Of the sum of all positive differences,
    ``instruction``, ``other`` and ``template`` are the shares of the instruction's tokens, of what else the user wrote,
    and of the template; None where nothing is positive. ``score`` is the instruction's, from densities of the
    difference; ``words`` are the units on which it hangs most, those of the template left out.
    """

    dataset: str
    id: str
    log_ratio: float
    instruction: float | None
    other: float | None
    template: float | None
    score: float
    words: tuple[str, ...]


N_WORDS = 5


def difference_row(dataset: str, id: str, found: AttributionDifference) -> DifferenceRow:
    """The row of one prompt."""
    positive = np.maximum(found.difference, 0.0).sum(axis=1)
    total, tuned = float(positive.sum()), found.tuned
    marks = (tuned.is_instruction, tuned.is_user & ~tuned.is_instruction, ~tuned.is_user & ~tuned.is_instruction)
    instruction, other, template = (float(positive[mark].sum()) / total if total else None for mark in marks)
    order = [place for place in np.argsort(-positive, kind="stable").tolist() if positive[place] > 0]
    words = tuple(tuned.prompt_tokens[place] for place in order if not marks[2][place])[:N_WORDS]
    log_ratio = float(found.log_ratio.mean()) if found.log_ratio.size else 0.0
    return DifferenceRow(dataset, id, log_ratio, instruction, other, template, found.score(), words)


def mean_shares(rows: Sequence[DifferenceRow]) -> tuple[float, float, float] | None:
    """The mean shares of instruction, other text and template over prompts; None where no prompt has any."""
    known = [row for row in rows if row.instruction is not None]
    if not known:
        return None
    instruction, other, template = (
        sum(getattr(row, name) for row in known) / len(known) for name in ("instruction", "other", "template")
    )
    return instruction, other, template
