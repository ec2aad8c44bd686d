"""Which concepts does the annotator read most clearly?  (Tables 4, 11 and 12.)

1. Those that were described in every repeat, at the same linguistic level and with the same scenarios.
2. If components are given: their words. Those whose words lie nearest along the component come first.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.marks import CONCEPT, ROLES, Marks
from aftertune.explainers.concepts.result import COMPONENTS

FROM_COMPONENTS = ("variance_share", "words", "cosines")


def clear_concepts(models: Sequence[Marks], components: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
    """``model, layer, expert, rank, description, descriptions, scenarios, level, variance_share, words, cosines``.

    ``description`` is that of the first repeat, ``descriptions`` has all of them. ``components`` are those of the
    readings, by role; without them the last three columns are null. A model's rows go by falling mean |cosine|, then
    by layer, expert and rank. Raises `RunError` if components lack a model or a column.
    """
    _must_be_components(components)
    given = [None if components is None else components[role] for role in ROLES]
    return pl.concat([_clear(marks, own) for marks, own in zip(models, given, strict=True)])


def _must_be_components(components: Mapping[str, pl.DataFrame] | None) -> None:
    needed = {*CONCEPT, *FROM_COMPONENTS}
    for role in ROLES if components is not None else ():
        lacking = needed - set(components[role].columns if components and role in components else ())
        if lacking:
            raise RunError(
                f"The components of {role} lack {', '.join(sorted(lacking))}. Give the `components` of a reading of "
                "base and of one of tuned."
            )


def _clear(marks: Marks, components: pl.DataFrame | None) -> pl.DataFrame:
    same = [(marked == 1).all(axis=1) | (marked == 0).all(axis=1) for marked in marks.marked.values()]
    kept = marks.concepts.filter(np.logical_and.reduce(same))
    found = _described(marks, kept)
    if components is None:
        empty = [pl.lit(None, COMPONENTS[name]).alias(name) for name in FROM_COMPONENTS]
        return found.with_columns(empty)
    own = components.select(pl.col(name).cast(COMPONENTS[name]) for name in (*CONCEPT, *FROM_COMPONENTS))
    joined = found.join(own, on=CONCEPT, how="left", maintain_order="left")
    nearness = pl.col("cosines").list.eval(pl.element().abs()).list.mean()
    return joined.sort(nearness, descending=True, nulls_last=True, maintain_order=True)


def _described(marks: Marks, kept: pl.DataFrame) -> pl.DataFrame:
    """One row for each concept that was described in all repeats."""
    own = marks.answers.join(kept, on=CONCEPT, how="semi", maintain_order="left")
    return (
        own.filter(pl.col("description").is_not_null())
        .group_by(CONCEPT, maintain_order=True)
        .agg(
            description=pl.col("description").first(),
            descriptions=pl.col("description"),
            scenarios=pl.col("scenarios").first(),
            level=pl.col("level").first(),
        )
        .select(pl.lit(marks.model).alias("model"), pl.all())
    )
