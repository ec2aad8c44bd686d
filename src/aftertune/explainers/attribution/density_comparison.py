"""Do followed responses use their instruction more densely, and does the tuned model more than its base?

Tables 1 and 2 (paper 4.2, 4.3, appendix B.1), from the score of each instance.
1. Table 1, per data set and model with ratings: followed (helpfulness 2 to 4) against unfollowed (1). Instances
   without a rating, and responses of fewer than 5 tokens, are left out.
2. Table 2, per data set: tuned against base on each model's own responses; every instance counts, an empty response
   scores 0. The two models are given the same prompts, so what decides is a permutation test of the signs of the
   differences within prompts.
3. With two or more data sets, a pooled row takes all of them together.
4. ``p_value`` is the paper's: Welch's t-test, one-sided ("followed" or "tuned" is greater). It decides nothing. All
   other p-values are two-sided: a claim of table 1 needs Welch's two-sided and that of a permutation test within data
   sets, a claim of table 2 that of the signs.
5. Holm's correction is over the data sets: of one model in table 1, of the table in table 2. The pooled row answers the
   same question again, so it is left out of it.

A number that is not defined for its data is None, never NaN. Intervals are 95 % bootstrap intervals; ``effect_size_g``
is Hedges' g.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from aftertune.explainers.attribution.result import SalientMap
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import (
    auroc,
    auroc_interval,
    hedges_g,
    mean_difference_interval,
    paired_difference_interval,
)
from aftertune.statistics.spread import POOLED, Interval, Scores, Spread
from aftertune.statistics.tests import sign_permutation_p_value, stratified_permutation_p_value, welch_p_value

Maps = Sequence[SalientMap]


class _HasDataset(Protocol):
    @property
    def dataset(self) -> str: ...


OfDataset = TypeVar("OfDataset", bound=_HasDataset)

LEAST_RESPONSE = 5
FOLLOWED = (2, 3, 4)
UNFOLLOWED = (1,)


@dataclass(frozen=True)
class Table1Row:
    """Followed against unfollowed responses of one model on one data set; ``difference`` is followed - unfollowed.

    ``p_value`` is the paper's, Welch's one-sided, and ``p_value_holm`` is it after correction. ``p_value_two_sided`` is
    Welch's, ``p_value_permutation`` that of a permutation test within data sets, two-sided. ``auroc`` is the
    probability that a followed response outscores an unfollowed one.
    """

    dataset: str
    model: str
    followed: Spread
    unfollowed: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_two_sided: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    effect_size_g: float | None
    auroc: float | None
    auroc_interval: Interval | None
    pooled: bool = False


@dataclass(frozen=True)
class Paired:
    """Tuned minus base on the prompts that both models have a score of.

    ``n_higher`` and ``n_lower`` count the prompts whose score rose and fell; ``std`` is the standard deviation of the
    differences (by n - 1). ``p_value`` is that of a two-sided permutation test of the signs of the differences, 1 where
    no score differs.
    """

    n_pairs: int
    n_higher: int
    n_lower: int
    difference: float | None
    difference_interval: Interval | None
    std: float | None
    p_value: float | None
    p_value_holm: float | None


@dataclass(frozen=True)
class Table2Row:
    """Base against tuned on one data set; ``difference`` is tuned - base.

    ``p_value`` is the paper's, Welch's one-sided, and ``p_value_holm`` is it after correction; they decide nothing. The
    p-values that do are in ``paired``.
    """

    dataset: str
    base: Spread
    tuned: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_holm: float | None
    effect_size_g: float | None
    paired: Paired
    pooled: bool = False


def table1(maps: Maps, seed: int = 0) -> tuple[Table1Row, ...]:
    """Table 1: one row per model and data set that has ratings, a model's pooled row after its others."""
    rated = [m for m in maps if m.helpfulness in FOLLOWED + UNFOLLOWED and m.n_response >= LEAST_RESPONSE]
    rows: list[Table1Row] = []
    for model in dict.fromkeys(m.model for m in rated):
        own = [m for m in rated if m.model == model]
        found = [_table1_row(name, model, group, pooled, seed) for name, group, pooled in datasets(own)]
        rows += _correct_table1(found)
    return tuple(rows)


def table2(maps: Maps, base: str, tuned: str, seed: int = 0) -> tuple[Table2Row, ...]:
    """Table 2 of the models named ``base`` and ``tuned``: one row per data set of both, the pooled row last."""
    of_base, of_tuned = ({m.dataset for m in maps if m.model == name} for name in (base, tuned))
    shared = [m for m in maps if m.dataset in of_base & of_tuned and m.model in (base, tuned)]
    rows = [_table2_row(name, group, (base, tuned), pooled, seed) for name, group, pooled in datasets(shared)]
    return tuple(_correct_table2(rows))


def datasets(found: Sequence[OfDataset]) -> list[tuple[str, Sequence[OfDataset], bool]]:
    """Each data set with its maps, or what else is of one, in their order; all together, as pooled, if several."""
    names = list(dict.fromkeys(one.dataset for one in found))
    groups: list[tuple[str, Sequence[OfDataset], bool]] = [
        (name, [one for one in found if one.dataset == name], False) for name in names
    ]
    return [*groups, (POOLED, found, True)] if len(names) > 1 else groups


def _table1_row(dataset: str, model: str, maps: Maps, pooled: bool, seed: int) -> Table1Row:
    groups = [[m for m in maps if m.helpfulness in ratings] for ratings in (FOLLOWED, UNFOLLOWED)]
    followed, unfollowed = map(_scores, groups)
    return Table1Row(
        dataset=dataset,
        model=model,
        followed=Spread.of(followed),
        unfollowed=Spread.of(unfollowed),
        **_difference(followed, unfollowed, seed),
        p_value_two_sided=welch_p_value(followed, unfollowed, two_sided=True),
        p_value_permutation=stratified_permutation_p_value(followed, unfollowed, _datasets_of(*groups), seed),
        auroc=auroc(followed, unfollowed),
        auroc_interval=auroc_interval(followed, unfollowed, seed),
        pooled=pooled,
    )


def _table2_row(dataset: str, maps: Maps, names: tuple[str, str], pooled: bool, seed: int) -> Table2Row:
    groups = [[m for m in maps if m.model == name] for name in names]
    base, tuned = ({(m.dataset, m.id): m.score() for m in group} for group in groups)
    base_scores, tuned_scores = (np.array(list(scores.values()), dtype=np.float64) for scores in (base, tuned))
    pairs = np.array([(base[key], tuned[key]) for key in base if key in tuned], dtype=np.float64).reshape(-1, 2)
    return Table2Row(
        dataset=dataset,
        base=Spread.of(base_scores),
        tuned=Spread.of(tuned_scores),
        **_difference(tuned_scores, base_scores, seed),
        paired=paired(pairs[:, 1], pairs[:, 0], seed),
        pooled=pooled,
    )


def _difference(greater: Scores, lesser: Scores, seed: int) -> dict[str, Any]:
    both = len(greater) and len(lesser)
    return {
        "difference": float(greater.mean() - lesser.mean()) if both else None,
        "difference_interval": mean_difference_interval(greater, lesser, seed),
        "p_value": welch_p_value(greater, lesser),
        "p_value_holm": None,
        "effect_size_g": hedges_g(greater, lesser),
    }


def paired(tuned: Scores, base: Scores, seed: int) -> Paired:
    """Tuned minus base (n_pairs,) within prompts, with its test."""
    differences = tuned - base
    return Paired(
        n_pairs=len(differences),
        n_higher=int((differences > 0).sum()),
        n_lower=int((differences < 0).sum()),
        difference=float(differences.mean()) if len(differences) else None,
        difference_interval=paired_difference_interval(tuned, base, seed),
        std=float(differences.std(ddof=1)) if len(differences) > 1 else None,
        p_value=_sign_p_value(differences, seed),
        p_value_holm=None,
    )


def _sign_p_value(differences: Scores, seed: int) -> float | None:
    """That of the permutation test; where nothing differs every choice of signs is as far from 0 as the real one."""
    if len(differences) > 1 and not differences.any():
        return 1.0
    return sign_permutation_p_value(differences, seed)


def _correct_table1(rows: Sequence[Table1Row]) -> list[Table1Row]:
    corrected = holm([None if row.pooled else row.p_value for row in rows])
    return [replace(row, p_value_holm=p) for row, p in zip(rows, corrected, strict=True)]


def _correct_table2(rows: Sequence[Table2Row]) -> list[Table2Row]:
    welch = holm([None if row.pooled else row.p_value for row in rows])
    paired = holm([None if row.pooled else row.paired.p_value for row in rows])
    return [
        replace(row, p_value_holm=p, paired=replace(row.paired, p_value_holm=p_paired))
        for row, p, p_paired in zip(rows, welch, paired, strict=True)
    ]


def _datasets_of(greater: Maps, lesser: Maps) -> tuple[list[str], list[str]]:
    return [m.dataset for m in greater], [m.dataset for m in lesser]


def _scores(maps: Maps) -> Scores:
    return np.array([m.score() for m in maps], dtype=np.float64)
