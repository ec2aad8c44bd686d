"""From the swaps of what is named to rows: shares, the share of noise, and whether more than noise is brought.

1. The share of a unit, both ways, and the largest that a draw of noise brings in its place.
2. Confirmed is what brings more than every draw, by a permutation test of the signs of texts of what it brings over the
   mean of the draws, corrected by Holm for all heads and groups, or for all directions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import polars as pl

from aftertune.explainers.location.named.result import DIRECTION, NOISE, SWAP, SwappedUnits, Unit
from aftertune.explainers.location.named.rows import ContextRow, NamedRow
from aftertune.explainers.location.whole import Whole
from aftertune.statistics.corrections import holm
from aftertune.statistics.questions import NEVER, is_shown
from aftertune.statistics.spread import ALPHA, Scores
from aftertune.statistics.tests import least_p_value, sign_permutation_p_value

Brings = Mapping[tuple[int, str], float | None]


def named_rows(swapped: SwappedUnits, whole: Whole, brings: Brings) -> tuple[NamedRow, ...]:
    """A row for each unit, in their order; ``brings`` are the shares of whole modules."""
    rows = [_row(unit, swaps, whole, brings) for unit, (swaps, _) in swapped.items()]
    families = [list(some) for _, some in groupby(rows, key=lambda row: row.kind == DIRECTION)]
    return tuple(row for family in families for row in _corrected(family))


def context_rows(swapped: SwappedUnits) -> tuple[ContextRow, ...]:
    """The texts that drive each direction, the strongest first."""
    return tuple(
        ContextRow(unit.layer, unit.module, unit.number, unit.words, **row)
        for unit, (_, contexts) in swapped.items()
        for row in (contexts.iter_rows(named=True) if contexts is not None else ())
    )


def _row(unit: Unit, swaps: pl.DataFrame, whole: Whole, brings: Brings) -> NamedRow:
    own = swaps.filter(pl.col("what") == SWAP)
    noise = [draw["in_log_ratio"].to_numpy() for draw in swaps.filter(pl.col("what") == NOISE).partition_by("draw")]
    shares = [whole.of_log_ratio(one)[0] for one in noise]
    return NamedRow(
        kind=unit.kind,
        layer=unit.layer,
        module=unit.module,
        number=unit.number,
        last=unit.last,
        words=unit.words,
        **whole.swap(own),
        noise=max((one for one in shares if one is not None), default=None),
        n_draws=len(noise),
        module_brings=brings.get((unit.layer, unit.module)),
        p_value=_p_value(own["in_log_ratio"].to_numpy(), noise, whole),
    )


def _p_value(own: Scores, noise: Sequence[Scores], whole: Whole) -> float | None:
    """That a unit brings more than noise, over texts (n_texts,)."""
    if whole.log_ratio.sum() <= 0 or least_p_value(len(own)) >= ALPHA:
        return None
    if own.sum() <= max(one.sum() for one in noise) or own.sum() <= 0:
        return NEVER
    return sign_permutation_p_value(own - np.mean(noise, axis=0))


def _corrected(rows: Sequence[NamedRow]) -> list[NamedRow]:
    corrected = holm([row.p_value for row in rows])
    return [replace(row, p_value_holm=p, is_confirmed=is_shown(p)) for row, p in zip(rows, corrected, strict=True)]
