"""How far can the maps and the labels be trusted?

1. A map against removal itself (Eq. 1), or one removal against the other, on one instance: for each response token
   Spearman's rank correlation of its two columns over the prompt units, and the share of response tokens whose most
   important unit is the same.
2. A map against words that are replaced and units that are left out (`importance.interventions`). A perfect map would
   correlate with the noisy truth at the square root of its reliability, which is Spearman and Brown's formula on the
   correlation of both halves of the draws.
3. Over all checked instances: means and spreads.
4. The people who rated responses: Krippendorff's alpha for ordered values; a unit is a response.
5. The people who marked instructions: alpha for unordered values; a unit is a character of what the user wrote, white
   space left out, in a prompt that two or more raters marked. Intervals resample prompts, since the responses and the
   characters of one prompt are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import pearsonr, rankdata, spearmanr

from aftertune.explainers.attribution.result import Agreement, Faithfulness
from aftertune.statistics.agreement import Judged, alpha_interval, count_units, krippendorff_alpha
from aftertune.statistics.spread import Interval

Matrix = npt.NDArray[np.floating]
Labelled = Literal["ratings", "instructions"]
FOLLOWS, FAIR = 0.7, 0.3  # rank correlations with removal from which maps agree with it well, and at all
LEAST_FAITHFUL = 0.5  # of the ceiling: below it maps are pale and nothing is claimed from them


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
class FaithfulnessCheck:
    """`Faithfulness` over the checked instances of both models: means, and the spread of the correlation.

    ``spearman_mean`` and ``ceiling_mean`` are over the instances whose ceiling is known, all where none is.
    """

    n_instances: int
    spearman_mean: float
    spearman_std: float | None
    ceiling_mean: float | None
    top_fall: float
    random_fall: float
    lds: float | None
    per_model: Mapping[str, float]

    @property
    def is_faithful(self) -> bool:
        """Whether the maps predict replaced words well enough for claims: half of what is possible, or more."""
        return self.spearman_mean >= LEAST_FAITHFUL * (self.ceiling_mean or 1.0)


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


def of_possible(spearman: float, ceiling: float | None) -> str:
    """A rank correlation with replaced words beside the most that is possible, in words."""
    return f"rank correlation {spearman:.2f}{'' if ceiling is None else f' of a possible {ceiling:.2f}'}"


def measure_faithfulness(
    predicted: Matrix,
    replaced: Matrix,
    left_out: npt.NDArray[np.bool_],
    falls: Matrix,
    totals: Matrix,
    top: tuple[float, float],
) -> Faithfulness | None:
    """How well a map predicts interventions; None where it, or the truth, is the same for all units.

    ``predicted`` (n_units, M) and ``replaced`` (2, n_units, M) are falls of log p of the units that were replaced, the
    second the means of either half of the draws. ``falls`` (n_ablations,) are those when the units ``left_out``
    (n_ablations, n) were, whose own falls are ``totals`` (n,). ``top`` are those without the five most important units
    and without five drawn ones.
    """
    truth = replaced.mean(axis=0)
    varied = (np.ptp(predicted, axis=0) > 0) & (np.ptp(replaced, axis=1) > 0).all(axis=0) & (np.ptp(truth, axis=0) > 0)
    if not varied.any():
        return None
    halves = float(_rank_correlation(replaced[0][:, varied], replaced[1][:, varied]).mean())
    summed = left_out @ totals
    can_vary = np.ptp(summed) > 0 and np.ptp(falls) > 0
    return Faithfulness(
        spearman=float(_rank_correlation(predicted[:, varied], truth[:, varied]).mean()),
        ceiling=float(np.sqrt(2 * halves / (1 + halves))) if halves > 0 else None,
        top_fall=top[0],
        random_fall=top[1],
        lds=float(spearmanr(summed, falls).statistic) if can_vary else None,
        n_units=len(predicted),
    )


def summarise_faithfulness(checks: Mapping[str, Sequence[Faithfulness]]) -> FaithfulnessCheck | None:
    """The faithfulness of all checked instances, summed up by model; None where nothing was checked."""
    pooled = [one for each in checks.values() for one in each]
    known = [one for one in pooled if one.ceiling is not None] or pooled
    if not pooled:
        return None
    found = [one.spearman for one in known]
    ceilings, lds = ([n for one in known if (n := getattr(one, name)) is not None] for name in ("ceiling", "lds"))
    return FaithfulnessCheck(
        n_instances=len(known),
        spearman_mean=fmean(found),
        spearman_std=stdev(found) if len(found) > 1 else None,
        ceiling_mean=fmean(ceilings) if ceilings else None,
        top_fall=fmean(one.top_fall for one in known),
        random_fall=fmean(one.random_fall for one in known),
        lds=fmean(lds) if lds else None,
        per_model={name: fmean(one.spearman for one in each) for name, each in checks.items() if each},
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
