"""Of how many components lie the words nearer than chance would give?  (Ours; a control of the paper's 5.2.)

1. The p-value of each component (`results.chance`): how often does a random direction have a word as near?
2. A component's words are beyond chance if its p-value is below 0.05 after the correction of Benjamini and Hochberg
   over all components of its model. Of those that are called so, one in twenty is expected to be chance.
3. Shares by rank, the first components first: the words of later ones are seldom nearer than chance.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.concepts.rows import ChanceRow
from aftertune.statistics.corrections import benjamini_hochberg
from aftertune.statistics.spread import POOLED
from aftertune.statistics.tests import ALPHA

FIRST_RANKS = (1, 10, 100)


def beyond_chance(p_values: pl.Series) -> pl.Series:
    """Whether the words of each of a model's components are beyond chance, as ``beyond_chance``; null stays null."""
    return pl.Series("beyond_chance", benjamini_hochberg(p_values.to_list()), pl.Float64) < ALPHA


def chance_rows(readings: Sequence[ConceptReading]) -> tuple[ChanceRow, ...]:
    """For each model the components of rank 1, of ranks 1-10, 1-100, and of all; none where chance was not measured."""
    return tuple(row for reading in readings if reading.chance is not None for row in _rows(reading))


def n_within_chance(components: pl.DataFrame, places: pl.DataFrame) -> int | None:
    """Of how many ``places`` (layer, expert, rank) the words are not beyond chance; None where it was not measured.

    ``components`` are all those of a reading: the correction is for all of them, not for the places alone.
    """
    if "p_chance" not in components.columns or not components["p_chance"].count():
        return None
    marked = components.with_columns(beyond_chance(components["p_chance"])).filter(~pl.col("beyond_chance"))
    return marked.join(places, on=["layer", "expert", "rank"], how="semi").height


def _rows(reading: ConceptReading) -> list[ChanceRow]:
    found = reading.components.with_columns(beyond_chance(reading.components["p_chance"]))
    found = found.filter(pl.col("p_chance").is_not_null())
    limits = [n for n in FIRST_RANKS if n < max(found["rank"], default=0)]
    groups = {f"1-{n}" if n > 1 else "1": found.filter(pl.col("rank") <= n) for n in limits}
    return [_row(reading, ranks, own) for ranks, own in (groups | {POOLED: found}).items() if own.height]


def _row(reading: ConceptReading, ranks: str, own: pl.DataFrame) -> ChanceRow:
    assert reading.chance is not None, "only such readings have rows"
    return ChanceRow(
        model=reading.model,
        ranks=ranks,
        n=own.height,
        nearest=float(np.median(np.abs(own["cosines"].list.first().to_numpy()))),
        nearest_by_chance=float(np.median(reading.chance)),
        near=float((own["p_chance"] <= ALPHA).to_numpy().mean()),
        n_beyond=int(own["beyond_chance"].sum()),
        beyond=float(own["beyond_chance"].to_numpy().mean()),
        pooled=ranks == POOLED,
    )
