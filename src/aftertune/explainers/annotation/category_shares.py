"""Do more of the tuned model's components serve a scenario, or belong to a linguistic level?  (Tables 5 and 6.)

1. Per model and repeat: the share of interpreted components that carry a category (`marks`).
2. Between the models' repeats: Welch's test and a permutation test, two-sided, and Hedges' g. The published tables'
   p-values fit their ± only if that divides by the number of repeats, as `Spread` does.
3. Holm's correction over the four scenarios, and over the four levels: two questions.
4. Repeats judge the same components, so step 2 knows nothing of others; steps 6 and 7 ask what those would show.
5. The same shares by groups of layers (figure 3), and the share interpreted by layers and ranks (figure 7).

6. The interval of a difference of shares when components are drawn again. Places are drawn, with what stands there in
   both models: a component and its counterpart are often nearly the same.
7. A paired permutation test: at each place the two models change sides or do not. Marks are averaged over repeats
   first.

A number that is not defined for its data is None, never NaN. Shares are of usable answers: "interpreted" of the
components whose description could be read, a category of the interpreted components whose answer on it could be read.
``layers`` is a group of neighbouring layers, counted from 0, written "0-7"; "all" takes all of them. The spread of a
share is over an annotator's repeats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from aftertune.explainers.annotation.marks import INTERPRETED, LayerGroups, Marks, shares
from aftertune.explainers.annotation.result import LEVELS
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import N_RESAMPLES, cluster_bootstrap_interval, hedges_g
from aftertune.statistics.layers import layer_groups
from aftertune.statistics.spread import POOLED, ROUNDING, Interval, Scores, Spread, batch_size
from aftertune.statistics.tests import DECIMALS, permutation_p_value, welch_p_value

N_RANK_BANDS = 10


@dataclass(frozen=True)
class CategoryRow:
    """Tables 5 and 6: the share of interpreted components that carry a category; ``difference`` is tuned - base.

    ``kind`` is "scenario", "level", or "interpreted" for the share of components that could be described at all. All
    tests are two-sided; Holm's correction is over the scenarios, and over the levels. ``p_value`` (Welch's) and
    ``p_value_permutation`` compare the models' repeats, as does ``effect_size_g``: they tell of the annotator's noise
    on these very components. ``p_value_components`` and ``difference_interval`` (95 %, bootstrap) tell of the choice of
    components: the models change sides at random places, and places are drawn again.
    """

    kind: str
    category: str
    base: Spread
    tuned: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    p_value_permutation_holm: float | None
    p_value_components: float | None
    p_value_components_holm: float | None
    effect_size_g: float | None


@dataclass(frozen=True)
class Figure3Row:
    """The share of a group's interpreted components that are of a linguistic level, in one model."""

    model: str
    layers: str
    level: str
    share: Spread


@dataclass(frozen=True)
class Figure7Row:
    """The share of components that could be described, in a group of layers and a band of ranks ("1-30"; "all")."""

    model: str
    layers: str
    ranks: str
    share: Spread


@dataclass(frozen=True)
class AgreementRow:
    """How far an annotator's repeats agree on the components of one model, on a ``question``.

    ``kappa`` is Fleiss', of "interpreted", of each scenario (carried or not), and of "level" (which of the four), over
    the ``n_components`` that have a usable answer in all of the ``n_repeats``.
    """

    model: str
    question: str
    n_components: int
    n_repeats: int
    kappa: float | None


@dataclass(frozen=True)
class UnparsedRow:
    """Of the ``n_answers`` to a step, how many were none of those allowed."""

    model: str
    step: str
    n_answers: int
    n_unparsed: int


def category_table(
    base: Marks, tuned: Marks, kind: str, categories: Sequence[str], seed: int = 0
) -> tuple[CategoryRow, ...]:
    """One row for each category, corrected for asking about all of them."""
    rows = [_row(kind, name, base.marked[name], tuned.marked[name], seed) for name in categories]
    return tuple(_corrected(rows))


def figure3(models: Sequence[Marks], groups: LayerGroups) -> tuple[Figure3Row, ...]:
    """Figure 3: for each model, group of layers (without "all") and level, the share over repeats."""
    return tuple(
        Figure3Row(marks.model, name, level, Spread.of(shares(marks.marked[level][_within(marks, "layer", layers)])))
        for marks in models
        for name, layers in groups.items()
        for level in LEVELS
        if name != POOLED
    )


def figure7(models: Sequence[Marks], groups: LayerGroups) -> tuple[Figure7Row, ...]:
    """Figure 7: for each model, group of layers and one of at most 10 bands of ranks, the share over repeats."""
    return tuple(row for marks in models for row in _figure7_rows(marks, groups))


def _figure7_rows(marks: Marks, groups: LayerGroups) -> Iterator[Figure7Row]:
    # Ranks are grouped as layers are: neighbours, in groups of about the same size, and all.
    bands = layer_groups(marks.components["rank"].unique().sort().to_list(), N_RANK_BANDS)
    for name, layers in groups.items():
        for band, ranks in bands.items():
            here = _within(marks, "layer", layers) & _within(marks, "rank", ranks)
            yield Figure7Row(marks.model, name, band, Spread.of(shares(marks.marked[INTERPRETED][here])))


def _within(marks: Marks, column: str, values: Sequence[int]) -> npt.NDArray[np.bool_]:
    return np.isin(marks.components[column].to_numpy(), list(values))


def _corrected(rows: Sequence[CategoryRow]) -> Iterator[CategoryRow]:
    welch, permutation = holm([row.p_value for row in rows]), holm([row.p_value_permutation for row in rows])
    components = holm([row.p_value_components for row in rows])
    for row, p, p_permutation, p_components in zip(rows, welch, permutation, components, strict=True):
        yield replace(row, p_value_holm=p, p_value_permutation_holm=p_permutation, p_value_components_holm=p_components)


def _row(kind: str, category: str, base: Scores, tuned: Scores, seed: int) -> CategoryRow:
    before, after = shares(base), shares(tuned)
    defined = len(before) and len(after)
    return CategoryRow(
        kind=kind,
        category=category,
        base=Spread.of(before),
        tuned=Spread.of(after),
        difference=float(after.mean() - before.mean()) if defined else None,
        difference_interval=difference_interval(base, tuned, seed),
        p_value=welch_p_value(after, before, two_sided=True),
        p_value_holm=None,
        p_value_permutation=permutation_p_value(after, before, seed),
        p_value_permutation_holm=None,
        p_value_components=paired_permutation_p_value(base, tuned, seed),
        p_value_components_holm=None,
        effect_size_g=hedges_g(after, before),
    )


def difference_interval(base: Scores, tuned: Scores, seed: int = 0) -> Interval | None:
    """95 % interval of the mean share of ``tuned`` - that of ``base`` (n_concepts, n_repeats), NaN where not known.

    None with fewer than two concepts, or without any that is known.
    """

    def difference(times: Scores) -> Scores:
        return np.asarray(_mean_shares(tuned, times) - _mean_shares(base, times))

    return cluster_bootstrap_interval(len(base), difference, seed)


def paired_permutation_p_value(base: Scores, tuned: Scores, seed: int = 0) -> float | None:
    """Two-sided p-value of the difference of shares when the models change sides at random places.

    None with fewer than two concepts, or where no change of sides would show.
    """
    if len(base) < 2:
        return None
    sides, generator = [_known_and_marked(side) for side in (base, tuned)], np.random.default_rng(seed)

    def swaps(*, size: tuple[int, ...]) -> Scores:
        return generator.integers(0, 2, size).astype(np.float64)

    def difference(swapped: Scores, axis: int) -> Scores:  # noqa: ARG001
        return np.asarray(np.round(np.abs(_difference(swapped, *sides)), DECIMALS))

    # Not `permutation_test` of pairs: it permutes every pair of every draw, which takes 20 times as long.
    found = stats.monte_carlo_test(
        np.zeros(len(base)),
        swaps,
        difference,
        vectorized=True,
        n_resamples=N_RESAMPLES,
        batch=batch_size(len(base)),
        alternative="greater",
    )
    if not np.isfinite(found.statistic) or not (found.null_distribution > 0).any():
        return None
    return float(found.pvalue)


def _mean_shares(marked: Scores, times: Scores) -> Scores:
    """Mean over repeats of the share of marked concepts, each counted ``times`` (n_samples, n_concepts)."""
    known = np.isfinite(marked)
    share = _divided(times @ np.where(known, marked, 0.0), times @ known.astype(np.float64))
    return _divided(np.nansum(share, axis=1), np.isfinite(share).sum(axis=1))


def _known_and_marked(marked: Scores) -> Scores:
    """Of each concept the share of repeats in which it is known, and in which it is marked (n_concepts, 2)."""
    known = np.isfinite(marked)
    return np.stack([known.mean(axis=1), np.where(known, marked, 0.0).mean(axis=1)], axis=1)


def _difference(swapped: Scores, base: Scores, tuned: Scores) -> Scores:
    """Share of tuned - that of base (n_samples,), places where ``swapped`` (n_samples, n_concepts) is 1 swapped."""
    moved = swapped @ (tuned - base)
    before, after = base.sum(axis=0) + moved, tuned.sum(axis=0) - moved
    return np.asarray(_divided(after[..., 1], after[..., 0]) - _divided(before[..., 1], before[..., 0]))


def _divided(part: Scores, whole: npt.NDArray[Any]) -> Scores:
    """NaN where there is nothing to divide by."""
    quotient: Scores = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > ROUNDING)
    return quotient
