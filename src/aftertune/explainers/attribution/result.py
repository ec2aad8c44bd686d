"""What is found of one prompt and response: its attribution, and the salient map that comparison and report read.

`Attribution` is what was computed: how much each prompt token mattered for each response token. `SalientMap` is the
part of it that tables 1 and 2 and figures 1 and 6 need, and it exists for maps that were computed elsewhere too
(`map_file`).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.attribution.score import (
    DENSITY_THRESHOLD,
    PICTURE_THRESHOLD,
    cut,
    density,
    instruction_score,
    sparsify,
)
from aftertune.runs.parts import read_row, write_row
from aftertune.runs.provenance import Provenance
from aftertune.runs.result import Result

SMALLEST = 1e-30  # of a probability whose logarithm is taken


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

    @property
    def instruction(self) -> str:
        """The instruction's words, with one space between its tokens."""
        spans = self.offsets[self.is_instruction].tolist()
        return " ".join(" ".join(self.text[start:end] for start, end in spans).split())

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


@dataclass(frozen=True)
class Agreement:
    """How well a map ranks prompt units against removal itself (Eq. 1) of the kind ``removal``, on one instance.

    ``spearman`` is the mean over response tokens of the rank correlation over prompt units; ``top1`` the share of
    response tokens whose most important unit is the same in both.
    """

    removal: str
    spearman: float
    top1: float


@dataclass(frozen=True)
class Faithfulness:
    """How well a map predicts interventions on one instance; log p in nats, sums over the response.

    ``spearman`` is the mean over response tokens of the rank correlation, over ``n_units`` units of the prompt, with
    how far log p falls when the unit is replaced by other words; ``ceiling`` what a perfect map would reach, since the
    truth is a mean of few draws, None where its halves do not agree at all. ``top_fall`` is how far log p falls when
    the five most important units are left out, ``random_fall`` when five drawn ones are. ``lds`` is the rank
    correlation of the sum of importance with the fall of log p when each unit is left out with probability 1/2
    (ContextCite, arXiv 2409.00729).
    """

    spearman: float
    ceiling: float | None
    top_fall: float
    random_fall: float
    lds: float | None
    n_units: int


@dataclass(frozen=True)
class InstructionFall:
    """How far log p of a response falls, in nats over all of it, when the whole instruction leaves the prompt.

    ``control`` is the mean of the same over draws of ``n_units`` other units of the user's, as many as the instruction
    has, or all of them.
    """

    fall: float
    control: float
    n_units: int

    @property
    def share(self) -> float:
        """The instruction's share of both falls, 0 to 1, those below 0 counted as 0; 1/2 where neither falls."""
        fall, control = max(self.fall, 0.0), max(self.control, 0.0)
        return fall / (fall + control) if fall + control else 0.5


CHECKS = {"agreement": Agreement, "faithfulness": Faithfulness, "instruction": InstructionFall}


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(Result):
    """Importance of each prompt unit to each response token of one prompt and response.

    ``importance`` (n_prompt, n_response) float32 is I of the paper's section 4.1, in probability: by removal the drop
    of p(y_m) itself (Eq. 1), else the first-order effect on p(y_m) of scaling the unit's embeddings. ``route`` says
    which: "removal (deleted)" and other kinds of it, "forward", "reverse", "forward-bfloat16" or "locally-linear".
    ``probability`` (n_response,) is p(y_m | Z_m). A prompt unit is a token unless ``unit`` says otherwise;
    ``offsets`` (n_prompt, 2) are the units' character ranges in ``text``, the prompt with its template; ``is_user``
    and ``is_instruction`` (n_prompt,) mark units that the user wrote, and those of the instruction. With
    ``contrast_tokens`` (n_response,) importance is that for p(y_m) - p(c_m): why this token, and not that one.
    ``instruction`` says what leaving the whole instruction out does, in comparisons of prompts with a marked one.
    ``is_divided`` (n_prompt,) marks units of sentences that removal by hierarchy did not look into: they hold the
    sentence's importance, divided evenly.
    """

    importance: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    prompt_tokens: tuple[str, ...]
    response_tokens: tuple[str, ...]
    text: str
    response: str
    offsets: npt.NDArray[np.int64]
    is_user: npt.NDArray[np.bool_]
    is_instruction: npt.NDArray[np.bool_]
    unit: str
    route: str
    provenance: Provenance
    contrast_tokens: tuple[str, ...] = ()
    agreement: Agreement | None = None
    faithfulness: Faithfulness | None = None
    instruction: InstructionFall | None = None
    is_divided: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def is_finite(self) -> bool:
        """Whether all of its numbers are: with weights that are finite a model's logits can still overflow."""
        return bool(np.isfinite(self.importance).all() and np.isfinite(self.probability).all())

    def fall(self) -> npt.NDArray[np.float64]:
        """How far log p(y_m) falls without each unit (n_prompt, n_response) by this map, in nats."""
        p, importance = self.probability.astype(np.float64), self.importance.astype(np.float64)
        if self.route.startswith("removal"):
            return np.log(np.maximum(p, SMALLEST) / np.maximum(p - importance, SMALLEST))
        found: npt.NDArray[np.float64] = importance / np.maximum(p, SMALLEST)
        return found

    def levels(self, threshold: int = PICTURE_THRESHOLD) -> npt.NDArray[np.uint8]:
        """Levels S (n_prompt, n_response) in 0..10 (Eq. 2); those not above ``threshold`` are 0."""
        return sparsify(self.importance, threshold)

    def density(self, threshold: int = DENSITY_THRESHOLD) -> npt.NDArray[np.float64]:
        """Density of each prompt unit (n_prompt,) (section 4.2)."""
        return density(self.levels(threshold))

    def score(self, threshold: int = DENSITY_THRESHOLD) -> float:
        """How densely the instruction is used: the number behind tables 1 and 2."""
        return instruction_score(self.density(threshold), self.is_instruction)

    def to_map(self, id: str = "", dataset: str = "", model: str = "", helpfulness: int | None = None) -> SalientMap:
        """The salient map that the comparison and the report read."""
        return SalientMap(
            id=id,
            dataset=dataset,
            model=model or self.provenance.name,
            text=self.text,
            prompt_tokens=self.prompt_tokens,
            response_tokens=self.response_tokens,
            offsets=self.offsets,
            is_user=self.is_user,
            is_instruction=self.is_instruction,
            levels=self.levels(),
            helpfulness=helpfulness,
        )

    def to_row(self) -> dict[str, Any]:
        """One row of plain columns; `from_row` is its inverse."""
        row = {one.name: getattr(self, one.name) for one in fields(self)}
        row["provenance"] = self.provenance.to_dict()
        for name in CHECKS:
            row[name] = asdict(found) if (found := row[name]) else None
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Attribution":
        """The result whose columns stand in ``row``; raises `RunError` if one is missing."""
        row = {"instruction": "null"} | dict(row)  # runs of before 2026-11-29 have no such column
        missing = [one.name for one in fields(cls) if one.name not in row]
        if missing:
            raise RunError(f"This is no saved attribution (no {', '.join(missing)}). Give a file that `save` wrote.")
        values = {one.name: row[one.name] for one in fields(cls)}
        values["provenance"] = Provenance(**json.loads(row["provenance"]))
        for name, kind in CHECKS.items():
            found = json.loads(row[name])
            values[name] = kind(**found) if found else None
        return cls(**values)

    def to_polars(self) -> pl.DataFrame:
        """One row per prompt unit and response token, prompt units first.

        Columns ``prompt_index, response_index, prompt_token, response_token, importance, level, probability``: indices
        count from 0; ``importance`` is in probability, ``level`` 0 to 10, ``probability`` that of the response token.
        """
        n, m = self.importance.shape
        rows, columns = np.divmod(np.arange(n * m), m) if m else (np.arange(0), np.arange(0))
        return pl.DataFrame(
            {
                "prompt_index": rows,
                "response_index": columns,
                "prompt_token": [self.prompt_tokens[row] for row in rows],
                "response_token": [self.response_tokens[column] for column in columns],
                "importance": self.importance.reshape(-1),
                "level": self.levels().reshape(-1),
                "probability": self.probability[columns],
            }
        )

    def save(self, path: str | Path) -> None:
        """Write it as a Parquet file of one row; raises `RunError` if the place cannot be written."""
        write_row(path, self.to_row())

    @classmethod
    def load(cls, path: str | Path) -> "Attribution":
        """Read what `save` wrote, bit for bit; raises `RunError` if it is missing or not such a file."""
        return cls.from_row(read_row(path))

    def _facts(self) -> dict[str, Any]:
        n_prompt, n_response = self.importance.shape
        sizes = {"n_prompt": n_prompt, "n_response": n_response}
        return {"model": self.provenance.name} | sizes | {"unit": self.unit, "route": self.route}
