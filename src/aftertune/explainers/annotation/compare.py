"""What do an annotator's categories say of base and tuned?  Annotations in, one comparison out.  (Paper 5.2, D, E.2.)

1. Which concepts are marked with what, in every repeat (`annotation_marks`).
2. Tables 5 and 6, figures 3 and 7: shares of categories, tested between the models' repeats (`category_tables`).
3. Tables 7 to 10: the words of descriptions (`description_words`); tables 4, 11, 12: the clearest concepts
   (`clear_concepts`).
4. How far repeats agree, and how many answers could not be used (`kappa`).
"""

from collections.abc import Mapping, Sequence

import polars as pl

from aftertune.explainers.annotation.agreement import agreement, unparsed
from aftertune.explainers.annotation.category_tables import category_table, figure3, figure7
from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.clear_concepts import clear_concepts
from aftertune.explainers.annotation.description_words import description_words
from aftertune.explainers.annotation.marks import INTERPRETED, Marks, read_marks
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS
from aftertune.explainers.concepts.chance_rows import n_within_chance
from aftertune.statistics.layers import layer_groups

LAYERS_PER_GROUP = 4


def compare_annotations(
    annotations: pl.DataFrame,
    base: str,
    tuned: str,
    layers: Sequence[int],
    *,
    components: Mapping[str, pl.DataFrame] | None = None,
    n_groups: int | None = None,
    seed: int = 0,
) -> AnnotationChange:
    """Compare what an annotator made of the concepts of two models, called ``base`` and ``tuned``.

    ``annotations`` has the columns of `ANNOTATIONS`, with the roles "base" and "tuned"; ``layers`` are those that were
    read. ``components`` are those of the readings, by role: with them the clearest concepts have words, and words that
    are no nearer than chance are counted. ``n_groups`` is the number of groups of neighbouring layers, by default such
    that a group has about four, as in the paper; ``seed`` that of intervals and permutations. Raises `RunError` if the
    annotations are not those of two models in these layers, have unknown categories or an answer twice, if no concept
    was annotated in every repeat of both models, if ``n_groups`` is below 1, or if components lack a model or a column.
    """
    before, after, n_left_out = read_marks(annotations, base, tuned, layers)
    models = (before, after)
    groups = layer_groups(layers, -(-len(layers) // LAYERS_PER_GROUP) if n_groups is None else n_groups)
    return AnnotationChange(
        base=base,
        tuned=tuned,
        layers=tuple(layers),
        n_repeats_base=before.n_repeats,
        n_repeats_tuned=after.n_repeats,
        n_concepts=before.concepts.height,
        n_left_out=n_left_out,
        n_within_chance_base=_n_within_chance(before, components, "base"),
        n_within_chance_tuned=_n_within_chance(after, components, "tuned"),
        interpreted=category_table(before, after, INTERPRETED, (INTERPRETED,), seed)[0],
        scenarios=category_table(before, after, "scenario", SCENARIOS, seed),
        levels=category_table(before, after, "level", LEVELS, seed),
        figure3=figure3(models, groups),
        figure7=figure7(models, groups),
        words=description_words(before, after, groups),
        clear=clear_concepts(models, components),
        agreement=agreement(models),
        unparsed=unparsed(models),
    )


def _n_within_chance(marks: Marks, components: Mapping[str, pl.DataFrame] | None, role: str) -> int | None:
    own = (components or {}).get(role)
    return None if own is None else n_within_chance(own, marks.concepts)
