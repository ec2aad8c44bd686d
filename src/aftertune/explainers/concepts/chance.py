"""Are the words of a component nearer than chance would give?  (Ours; a control of the paper's 5.2.)

``c`` is the |cosine| of a component's nearest word. By chance means: of a direction that is as likely to point
anywhere.

1. p = (1 + number of random directions whose nearest word is at least as near) / (1 + number of random directions).
   The one that is added stands for the component itself; without it p could be 0.
2. Counted so, p is never below one over the number of random directions, too much where thousands of components are
   tested. So an upper bound of p is taken where it is smaller: number of words * P(|cosine| of one given word >= c).
   The square of that cosine has the distribution Beta(1/2, (d_model - 1) / 2).
3. A component's words are beyond chance if its p-value is below 0.05 after the correction of Benjamini and Hochberg
   over all components of its model. Of those that are called so, one in twenty is expected to be chance.
4. Shares by rank, the first components first: the words of later ones are seldom nearer than chance.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincc

from aftertune.statistics.corrections import benjamini_hochberg
from aftertune.statistics.spread import ALPHA, POOLED

FIRST_RANKS = (1, 10, 100)
Sample = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ChanceRow:
    """Of how many components of ``model`` are the words nearer than chance would give?

    ``ranks`` is "1", "1-10", "1-100" or "all"; ``n`` are its components, of every network. ``nearest`` is the median
    |cosine| of their nearest word, ``nearest_by_chance`` that of random directions. ``near`` is the share whose
    p-value is at most 0.05, which is 0.05 if there is nothing but chance. ``n_beyond``, a share ``beyond`` of them, are
    beyond chance after a correction over all components of the model.
    """

    model: str
    ranks: str
    n: int
    nearest: float
    nearest_by_chance: float
    near: float
    n_beyond: int
    beyond: float
    pooled: bool = False


def chance_p_values(components: pl.DataFrame, chance: Sample | None, n_words: int, d_model: int) -> pl.Series:
    """``p_chance`` of each row of ``components``, by the first of its ``cosines``; not corrected for their number.

    ``chance`` (n_random,) has the |cosine| of the nearest of ``n_words`` words of random directions in ``d_model``
    dimensions, ascending. Null for a component without words, and for all of them where there is no ``chance``.
    """
    nearest = components["cosines"].list.first().abs().cast(pl.Float32)
    known = nearest.is_not_null() & (chance is not None)
    cosines, drawn = nearest.fill_null(0.0).to_numpy(), np.empty(0, np.float32) if chance is None else chance
    found = np.minimum(_counted(cosines, drawn), _at_most(cosines, n_words, d_model))
    return pl.select(pl.when(known).then(pl.Series("p_chance", found, pl.Float64))).to_series()


def beyond_chance(p_values: pl.Series) -> pl.Series:
    """Whether the words of each of a model's components are beyond chance, as ``beyond_chance``; null stays null."""
    return pl.Series("beyond_chance", benjamini_hochberg(p_values.to_list()), pl.Float64) < ALPHA


def chance_rows(model: str, components: pl.DataFrame, chance: Sample | None) -> list[ChanceRow]:
    """Rows of the components of rank 1, of ranks 1-10, 1-100, and of all; none where chance was not measured.

    ``components`` are all those of ``model``, with the columns ``p_chance`` and ``beyond_chance``.
    """
    if chance is None:
        return []
    found = components.filter(pl.col("p_chance").is_not_null())
    limits = [n for n in FIRST_RANKS if n < max(found["rank"], default=0)]
    groups = {f"1-{n}" if n > 1 else "1": found.filter(pl.col("rank") <= n) for n in limits}
    return [_row(model, ranks, own, chance) for ranks, own in (groups | {POOLED: found}).items() if own.height]


def _row(model: str, ranks: str, own: pl.DataFrame, chance: Sample) -> ChanceRow:
    return ChanceRow(
        model=model,
        ranks=ranks,
        n=own.height,
        nearest=float(np.median(np.abs(own["cosines"].list.first().to_numpy()))),
        nearest_by_chance=float(np.median(chance)),
        near=float((own["p_chance"] <= ALPHA).to_numpy().mean()),
        n_beyond=int(own["beyond_chance"].sum()),
        beyond=float(own["beyond_chance"].to_numpy().mean()),
        pooled=ranks == POOLED,
    )


def _counted(cosines: Sample, chance: Sample) -> npt.NDArray[np.float64]:
    n_as_near = len(chance) - np.searchsorted(chance, cosines, side="left")
    return np.asarray((1 + n_as_near) / (1 + len(chance)), dtype=np.float64)


def _at_most(cosines: Sample, n_words: int, d_model: int) -> npt.NDArray[np.float64]:
    square = np.minimum(cosines.astype(np.float64) ** 2, 1.0)
    return np.asarray(n_words * betaincc(0.5, (d_model - 1) / 2, square), dtype=np.float64)
