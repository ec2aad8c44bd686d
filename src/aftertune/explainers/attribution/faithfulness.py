"""How far can the maps and the labels be trusted?

1. The first order against removal itself (Eq. 1), on one instance: for each response token Spearman's rank correlation
   of its two columns over the prompt units, and the share of response tokens whose most important unit is the same.
2. Over all checked instances: mean and spread of the correlation, and the share of the same top unit.
3. The people who rated responses: Krippendorff's alpha for ordered values; a unit is a response.
4. The people who marked instructions: alpha for unordered values; a unit is a character of what the user wrote, white
   space left out, in a prompt that two or more raters marked. Intervals resample prompts, since the responses and the
   characters of one prompt are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr, rankdata

from aftertune.explainers.attribution.result import Agreement
from aftertune.statistics.agreement import Judged, alpha_interval, count_units, krippendorff_alpha
from aftertune.statistics.spread import Interval

Matrix = npt.NDArray[np.floating]
Labelled = Literal["ratings", "instructions"]


@dataclass(frozen=True)
class ModelCheck:
    """Agreement with removal over the checked instances of one model; see `Agreement` for the two numbers."""

    n_instances: int
    spearman_mean: float
    spearman_std: float | None
    top1_agreement: float


@dataclass(frozen=True)
class RemovalCheck(ModelCheck):
    """The same over all checked instances; ``removal`` says how units were removed, ``per_model`` has each model."""

    removal: str
    per_model: Mapping[str, ModelCheck]


@dataclass(frozen=True)
class RaterRow:
    """How far raters agree on "ratings" or "instructions": Krippendorff's alpha, None where all answers are the same.

    ``n_units`` counts the responses, or the characters, that two or more raters judged; they are of ``n_prompts``.
    """

    what: Labelled
    n_raters: int
    n_units: int
    n_prompts: int
    alpha: float | None
    alpha_interval: Interval | None


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


def summarise_agreement(checks: Mapping[str, Sequence[Agreement]]) -> RemovalCheck | None:
    """The agreements of each model's checked instances, summed up; None where nothing was checked."""
    pooled = [one for each in checks.values() for one in each]
    if not pooled:
        return None
    per_model = {name: ModelCheck(*_summary(each)) for name, each in checks.items() if each}
    return RemovalCheck(*_summary(pooled), pooled[0].removal, per_model)


def rater_rows(ratings: Sequence[Judged], characters: Sequence[Judged]) -> tuple[RaterRow, ...]:
    """How far raters agree, from arrays (n_units, n_raters) for each prompt; no row for what fewer than two judged."""
    rows = _rater_row("ratings", ratings, True), _rater_row("instructions", characters, False)
    return tuple(row for row in rows if row.n_units)


def _rank_correlation(first: Matrix, second: Matrix) -> npt.NDArray[np.float64]:
    """Spearman's correlation of each column with its counterpart; `spearmanr` would correlate every two columns."""
    return np.asarray(pearsonr(rankdata(first, axis=0), rankdata(second, axis=0), axis=0).statistic)


def _summary(checks: Sequence[Agreement]) -> tuple[int, float, float | None, float]:
    spearman = [one.spearman for one in checks]
    deviation = stdev(spearman) if len(checks) > 1 else None
    return len(checks), fmean(spearman), deviation, fmean(one.top1 for one in checks)


def _rater_row(what: Labelled, groups: Sequence[Judged], ordinal: bool) -> RaterRow:
    n_units, n_prompts = count_units(groups)
    return RaterRow(
        what=what,
        n_raters=max((group.shape[1] for group in groups), default=0),
        n_units=n_units,
        n_prompts=n_prompts,
        alpha=krippendorff_alpha(groups, ordinal),
        alpha_interval=alpha_interval(groups, ordinal),
    )
