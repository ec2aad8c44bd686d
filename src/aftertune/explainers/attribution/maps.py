"""The salient map of one prompt under one model: what the comparison and the report read.

It is the part of an attribution that tables 1 and 2 and figures 1 and 6 need, and it exists for maps that were
computed elsewhere too (`read_maps` in `aftertune.explainers.attribution.map_file` reads their Parquet layout).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.attribution.density import density, instruction_score
from aftertune.explainers.attribution.sparsify import DENSITY_THRESHOLD, cut
from aftertune.explainers.attribution.view import render_instance
from aftertune.runs.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class SalientMap(Result):
    """Levels S (n_prompt, n_response) of one instance, and where the user's text and instruction lie in its prompt.

    ``offsets`` (n_prompt, 2) are the character ranges of the prompt's tokens in ``text``; ``is_user`` and
    ``is_instruction`` (n_prompt,) mark tokens that the user wrote and tokens of the instruction. ``helpfulness`` is
    the rating 1 to 4 of this model's response (appendix B.1), None where nobody rated it.
    """

    id: str
    dataset: str
    model: str
    text: str
    prompt_tokens: tuple[str, ...]
    response_tokens: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    is_user: npt.NDArray[np.bool_]
    is_instruction: npt.NDArray[np.bool_]
    levels: npt.NDArray[np.uint8]
    helpfulness: int | None = None

    @property
    def n_prompt(self) -> int:
        """Number of prompt tokens (or units)."""
        return len(self.prompt_tokens)

    @property
    def n_response(self) -> int:
        """Number of response tokens."""
        return len(self.response_tokens)

    def density(self, threshold: int = DENSITY_THRESHOLD) -> npt.NDArray[np.float64]:
        """Density of each prompt token (n_prompt,) (section 4.2)."""
        return density(cut(self.levels, threshold))

    def score(self, threshold: int = DENSITY_THRESHOLD) -> float:
        """Density of the instruction, normalised as behind tables 1 and 2."""
        return instruction_score(self.density(threshold), self.is_instruction)

    def to_polars(self) -> pl.DataFrame:
        """One row per prompt token and response token, prompt tokens first.

        Columns ``id, dataset, model, prompt_index, response_index, prompt_token, response_token, is_instruction,
        level``: indices count from 0, ``level`` is 0 to 10.
        """
        rows, columns = (index.reshape(-1) for index in np.indices(self.levels.shape))
        names = {name: pl.lit(getattr(self, name), pl.String) for name in ("id", "dataset", "model")}
        cells = {
            "prompt_index": rows,
            "response_index": columns,
            "prompt_token": np.array(self.prompt_tokens, dtype=object)[rows].tolist(),
            "response_token": np.array(self.response_tokens, dtype=object)[columns].tolist(),
            "is_instruction": self.is_instruction[rows],
            "level": self.levels.reshape(-1),
        }
        texts = {"prompt_token": pl.String, "response_token": pl.String}
        return pl.DataFrame(cells, schema_overrides=texts).select(**names, **{name: pl.col(name) for name in cells})

    def _facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("id", "dataset", "model", "n_prompt", "n_response")}

    def _repr_html_(self) -> str:
        title = " · ".join(name for name in (self.model, self.dataset, self.id) if name)
        marks = self.levels, self.density(), self.is_instruction
        return render_instance(self.prompt_tokens, self.response_tokens, *marks, title)
