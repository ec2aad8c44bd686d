"""Do more of the tuned model's components serve a scenario, or belong to a linguistic level?  (Tables 5 and 6.)

1. Per model and repeat: the share of interpreted components that carry a category (`marks`).
2. Between the models' repeats: Welch's test and a permutation test, two-sided, and Hedges' g. The published tables'
   p-values fit their ± only if that divides by the number of repeats, as `Spread` does.
3. Holm's correction over the four scenarios, and over the four levels: two questions.
4. Repeats judge the same components, so step 2 knows nothing of others; `concept_draws` asks what those would show.
5. The same shares by groups of layers (figure 3), and the share interpreted by layers and ranks (figure 7).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aftertune.explainers.annotation.concept_draws import difference_interval, paired_permutation_p_value
from aftertune.explainers.annotation.marks import INTERPRETED, LayerGroups, Marks, shares
from aftertune.explainers.annotation.result import LEVELS
from aftertune.explainers.annotation.rows import CategoryRow, Figure3Row, Figure7Row
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import hedges_g
from aftertune.statistics.layers import layer_groups
from aftertune.statistics.spread import POOLED, Scores, Spread
from aftertune.statistics.tests import permutation_p_value, welch_p_value

N_RANK_BANDS = 10


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
