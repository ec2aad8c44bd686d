"""Do heads take up pairs with the words asked about more than pairs with other words?

Table 3 (paper 5.1), from the shares of `word_shares`.
1. The words asked about against the general ones, each word counting once: Welch's test as in the paper, and a
   permutation test, since the share of one or two heads is no normal score. Holm's correction is over the groups of
   layers. Nothing is tested with fewer than five words of either kind.
2. The words asked about are frequent, and frequent words may be alike: the same mean of random sets of words as
   frequent.
3. The same from lists with permuted word vectors, every draw of every head counting as a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from aftertune.explainers.heads.rows import Table3Control, Table3Row
from aftertune.explainers.heads.word_shares import Groups, Words
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import hedges_g
from aftertune.statistics.intervals import mean_difference_interval
from aftertune.statistics.scores import ROUNDING, Scores
from aftertune.statistics.spread import POOLED, Spread
from aftertune.statistics.tests import N_PERMUTATIONS, permutation_p_value, welch_p_value

LEAST_WORDS = 5  # the shares of fewer words are often all the same, and then Welch's test takes any other mean for sure
Shares = dict[str, float]


def table3(
    shares: pl.DataFrame,
    control_shares: Mapping[str, pl.DataFrame],
    words: Words,
    groups: Groups,
    seed: int = 0,
    n_permutations: int = N_PERMUTATIONS,
) -> tuple[Table3Row, ...]:
    """Table 3: a row for each group of layers; shares are those of `word_shares`, of controls by name."""
    rows = []
    for name in groups:
        controls = tuple(_control(kind, _of_group(own, name), words) for kind, own in control_shares.items())
        row = _row(name, _of_group(shares, name), words, seed, n_permutations)
        rows.append(replace(row, controls=controls))
    return _corrected(rows)


def _of_group(shares: pl.DataFrame, layers: str) -> Shares:
    own = shares.filter(pl.col("layers") == layers)
    return dict(zip(own["word"], own["share"], strict=True))


def _known(words: Sequence[str], shares: Shares) -> Scores:
    return np.array([shares[word] for word in words if word in shares], dtype=np.float64)


def _row(name: str, shares: Shares, words: Words, seed: int, n_permutations: int) -> Table3Row:
    instruction, general = _known(words.instruction, shares), _known(words.general, shares)
    difference = _difference(instruction, general)
    matched = _set_means(shares, words)
    enough = _are_enough(instruction, general)
    return Table3Row(
        layers=name,
        instruction=Spread.of(instruction),
        general=Spread.of(general),
        difference=difference,
        difference_interval=mean_difference_interval(instruction, general, seed),
        p_value=welch_p_value(instruction, general, two_sided=True) if enough else None,
        p_value_holm=None,
        p_value_permutation=permutation_p_value(instruction, general, seed, n_permutations) if enough else None,
        p_value_permutation_holm=None,
        matched=Spread.of(matched).mean,
        p_value_matched=_matched_p_value(difference, matched, general) if enough else None,
        effect_size_g=hedges_g(instruction, general),
        controls=(),
        pooled=name == POOLED,
    )


def _control(name: str, shares: Shares, words: Words) -> Table3Control:
    instruction, general = _known(words.instruction, shares), _known(words.general, shares)
    return Table3Control(
        control=name,
        instruction=Spread.of(instruction).mean,
        general=Spread.of(general).mean,
        difference=_difference(instruction, general),
        p_value=welch_p_value(instruction, general, two_sided=True) if _are_enough(instruction, general) else None,
    )


def _are_enough(instruction: Scores, general: Scores) -> bool:
    return min(len(instruction), len(general)) >= LEAST_WORDS


def _difference(instruction: Scores, general: Scores) -> float | None:
    return float(instruction.mean() - general.mean()) if len(instruction) and len(general) else None


def _set_means(shares: Shares, words: Words) -> Scores:
    """The mean share of each matched set in which a word has one (n_sets,)."""
    sets = (_known(drawn, shares) for drawn in words.matched.tolist())
    return np.array([known.mean() for known in sets if len(known)], dtype=np.float64)


def _matched_p_value(difference: float | None, matched: Scores, general: Scores) -> float | None:
    if difference is None or not len(matched):
        return None
    as_far = np.abs(matched - general.mean()) >= abs(difference) - ROUNDING
    return float((1 + as_far.sum()) / (1 + len(matched)))


def _corrected(rows: Sequence[Table3Row]) -> tuple[Table3Row, ...]:
    welch = holm([None if row.pooled else row.p_value for row in rows])
    permutation = holm([None if row.pooled else row.p_value_permutation for row in rows])
    return tuple(
        replace(row, p_value_holm=p, p_value_permutation_holm=p_permutation)
        for row, p, p_permutation in zip(rows, welch, permutation, strict=True)
    )
