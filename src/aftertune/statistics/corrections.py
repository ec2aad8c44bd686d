"""Several questions at once: what is left of each p-value?

1. Holm (1979): the chance of claiming anything at all where nothing is to be found.
2. Benjamini and Hochberg (1995): the share of claims, of those that are made, that are chance.

A p-value that is None, of what could not be tested, stays None and is not counted.
"""

from collections.abc import Callable, Sequence

import numpy as np

from aftertune.statistics.spread import Scores

PValues = Sequence[float | None]


def holm(p_values: PValues) -> list[float | None]:
    """Holm's correction: the family-wise error rate at which each p-value would be claimed."""
    return _corrected(p_values, _holm)


def benjamini_hochberg(p_values: PValues) -> list[float | None]:
    """Benjamini and Hochberg's correction: the false discovery rate at which each p-value would be claimed."""
    from scipy import stats  # only now: it takes a second to import, and a mistyped call should not wait for it

    return _corrected(p_values, stats.false_discovery_control)


def _corrected(p_values: PValues, correct: Callable[[Scores], Scores]) -> list[float | None]:
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    corrected = iter(correct(known).tolist() if len(known) else ())
    return [None if p is None else next(corrected) for p in p_values]


def _holm(known: Scores) -> Scores:
    # Not statsmodels' `multipletests`: it collects garbage on every call, which takes 50 ms and more.
    order = np.argsort(known)
    steps = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    found = np.empty_like(known)
    found[order] = np.minimum(steps, 1.0)
    return found
