"""Are the words of a component nearer than chance would give?  A p-value for each component (ours).

``c`` is the |cosine| of its nearest word. By chance means: of a direction that is as likely to point anywhere.

1. p = (1 + number of random directions whose nearest word is at least as near) / (1 + number of random directions).
   The one that is added stands for the component itself; without it p could be 0.
2. Counted so, p is never below one over the number of random directions, too much where thousands of components are
   asked about. So an upper bound of p is taken where it is smaller: number of words * P(|cosine| of one given word
   >= c). The square of that cosine has the distribution Beta(1/2, (d_model - 1) / 2).
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincc

Sample = npt.NDArray[np.float32]


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


def _counted(cosines: Sample, chance: Sample) -> npt.NDArray[np.float64]:
    n_as_near = len(chance) - np.searchsorted(chance, cosines, side="left")
    return np.asarray((1 + n_as_near) / (1 + len(chance)), dtype=np.float64)


def _at_most(cosines: Sample, n_words: int, d_model: int) -> npt.NDArray[np.float64]:
    square = np.minimum(cosines.astype(np.float64) ** 2, 1.0)
    return np.asarray(n_words * betaincc(0.5, (d_model - 1) / 2, square), dtype=np.float64)
