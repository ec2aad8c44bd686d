"""Do heads take up pairs with the words asked about more than pairs with other words?  (Paper 5.1, table 3.)

1. For a word and a head: the number of pairs of the head's list that hold the word, in base and in tuned.
2. A word's share in a group of layers: of the heads in which that number changed, the share in which it grew. A word
   without any such head has none.
3. The words asked about against the general ones, each word counting once: Welch's test as in the paper, and a
   permutation test, since the share of one or two heads is no normal score. Holm's correction is over the groups of
   layers. Nothing is tested with fewer than five words of either kind.
4. The words asked about are frequent, and frequent words may be alike: the same mean of random sets of words as
   frequent.
5. The same from lists with permuted word vectors, every draw of every head counting as a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.heads.change import AS_READ, LEAST_WORDS, Table3Row
from aftertune.explainers.heads.list_changes import Names
from aftertune.statistics.corrections import holm
from aftertune.statistics.effects import hedges_g, mean_difference_interval
from aftertune.statistics.layers import Groups
from aftertune.statistics.spread import POOLED, ROUNDING, Scores, Spread
from aftertune.statistics.tests import N_PERMUTATIONS, permutation_p_value, welch_p_value

N_NEIGHBOURS = 100
N_SETS = 999
Shares = dict[str, float]
WordSets = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class ComparedWords:
    """The words asked about ("instruction"), general ones, and ``matched`` (n_sets, n_words) as frequent ones.

    All are lower-cased; no word asked about is among the others.
    """

    instruction: tuple[str, ...]
    general: tuple[str, ...]
    matched: WordSets


def matched_sets(ordered: Sequence[str], chosen: Sequence[str], seed: int = 0) -> WordSets:
    """Random sets (n_sets, n_chosen) of words about as frequent as those ``chosen``, and none of them.

    ``ordered`` has all words that can form a pair, most frequent first. For each word chosen, one is drawn of the 100
    around it.
    """
    is_chosen = np.isin(ordered, list(chosen))
    others = np.array(ordered, dtype=np.str_)[~is_chosen]
    if not len(others):
        return np.empty((N_SETS, 0), dtype=np.str_)
    before = np.cumsum(~is_chosen)[is_chosen]
    n_near = min(N_NEIGHBOURS, len(others))
    first = np.clip(before - n_near // 2, 0, len(others) - n_near)
    drawn: WordSets = others[first + np.random.default_rng(seed).integers(0, n_near, (N_SETS, len(first)))]
    return drawn


def word_shares(base: pl.DataFrame, tuned: pl.DataFrame, place: Names, groups: Groups) -> pl.DataFrame:
    """``layers, word, n_grew, n_shrank, share`` of each word that has a share in a group of layers.

    ``base`` and ``tuned`` have ``word_a, word_b`` and the columns of ``place``, which name a list.
    """
    changes = _changes(base, tuned, place)
    n_grew, n_shrank = pl.col("grew").sum().cast(pl.Int64), pl.col("grew").not_().sum().cast(pl.Int64)
    parts = [
        changes.filter(pl.col("layer").is_in(list(layers)))
        .group_by("word", maintain_order=True)
        .agg(n_grew=n_grew, n_shrank=n_shrank, share=pl.col("grew").mean())
        .select(pl.lit(name).alias("layers"), pl.all())
        for name, layers in groups.items()
    ]
    return pl.concat(parts)


def shares_of(words: ComparedWords, shares: pl.DataFrame) -> pl.DataFrame:
    """``layers, verb, kind, n_grew, n_shrank, share``: the rows of `word_shares` of both kinds of words."""
    kinds = ["instruction"] * len(words.instruction) + ["general"] * len(words.general)
    schema = {"verb": pl.String, "kind": pl.String}
    listed = pl.DataFrame({"verb": [*words.instruction, *words.general], "kind": kinds}, schema=schema)
    order = shares["layers"].unique(maintain_order=True).to_frame().join(listed, how="cross")
    own = shares.rename({"word": "verb"})
    return order.join(own, on=["layers", "verb"], maintain_order="left")


def table3(
    shares: pl.DataFrame,
    control_shares: Mapping[str, pl.DataFrame],
    words: ComparedWords,
    groups: Groups,
    seed: int = 0,
    n_permutations: int = N_PERMUTATIONS,
) -> tuple[Table3Row, ...]:
    """Table 3: the rows of each group of layers: as read, then those of the controls.

    Shares are those of `word_shares`, of controls by name.
    """
    rows = []
    for name in groups:
        rows.append(_row(name, _of_group(shares, name), words, seed, n_permutations))
        rows += [_compared(name, kind, _of_group(own, name), words) for kind, own in control_shares.items()]
    return _corrected(rows)


def _of_group(shares: pl.DataFrame, layers: str) -> Shares:
    own = shares.filter(pl.col("layers") == layers)
    return dict(zip(own["word"], own["share"], strict=True))


def _known(words: Sequence[str], shares: Shares) -> Scores:
    return np.array([shares[word] for word in words if word in shares], dtype=np.float64)


def _row(layers: str, shares: Shares, words: ComparedWords, seed: int, n_permutations: int) -> Table3Row:
    instruction, general = _known(words.instruction, shares), _known(words.general, shares)
    enough, matched = _are_enough(instruction, general), _set_means(shares, words)
    row = _compared(layers, AS_READ, shares, words)
    return replace(
        row,
        difference_interval=mean_difference_interval(instruction, general, seed),
        p_value_permutation=permutation_p_value(instruction, general, seed, n_permutations) if enough else None,
        matched=Spread.of(matched).mean,
        p_value_matched=_matched_p_value(row.difference, matched, general) if enough else None,
        effect_size_g=hedges_g(instruction, general),
    )


def _compared(layers: str, lists: str, shares: Shares, words: ComparedWords) -> Table3Row:
    """What is told of controls too."""
    instruction, general = _known(words.instruction, shares), _known(words.general, shares)
    return Table3Row(
        layers=layers,
        pooled=layers == POOLED,
        lists=lists,
        instruction=Spread.of(instruction),
        general=Spread.of(general),
        difference=_difference(instruction, general),
        p_value=welch_p_value(instruction, general, two_sided=True) if _are_enough(instruction, general) else None,
    )


def _are_enough(instruction: Scores, general: Scores) -> bool:
    return min(len(instruction), len(general)) >= LEAST_WORDS


def _difference(instruction: Scores, general: Scores) -> float | None:
    return float(instruction.mean() - general.mean()) if len(instruction) and len(general) else None


def _set_means(shares: Shares, words: ComparedWords) -> Scores:
    """The mean share of each matched set in which a word has one (n_sets,)."""
    sets = (_known(drawn, shares) for drawn in words.matched.tolist())
    return np.array([known.mean() for known in sets if len(known)], dtype=np.float64)


def _matched_p_value(difference: float | None, matched: Scores, general: Scores) -> float | None:
    if difference is None or not len(matched):
        return None
    as_far = np.abs(matched - general.mean()) >= abs(difference) - ROUNDING
    return float((1 + as_far.sum()) / (1 + len(matched)))


def _corrected(rows: Sequence[Table3Row]) -> tuple[Table3Row, ...]:
    """The rows with Holm's correction over the groups of layers, the pooled one and controls left out."""
    counted = [not (row.pooled or row.is_control) for row in rows]
    welch = holm([row.p_value if one else None for row, one in zip(rows, counted, strict=True)])
    permutation = holm([row.p_value_permutation if one else None for row, one in zip(rows, counted, strict=True)])
    return tuple(
        replace(row, p_value_holm=p, p_value_permutation_holm=p_permutation)
        for row, p, p_permutation in zip(rows, welch, permutation, strict=True)
    )


def _changes(base: pl.DataFrame, tuned: pl.DataFrame, place: Names) -> pl.DataFrame:
    """``place, word, grew`` where the number of pairs with a word is not the same in both models."""
    counts = _counts(base, place).join(_counts(tuned, place), on=[*place, "word"], how="full", coalesce=True)
    n_base, n_tuned = pl.col("n").fill_null(0), pl.col("n_right").fill_null(0)
    return counts.filter(n_base != n_tuned).select(*place, "word", (n_tuned > n_base).alias("grew"))


def _counts(pairs: pl.DataFrame, place: Names) -> pl.DataFrame:
    """``place, word, n``: the number of pairs of a list that hold a word."""
    first = pairs.select(*place, word="word_a")
    second = pairs.filter(pl.col("word_a") != pl.col("word_b")).select(*place, word="word_b")
    return pl.concat([first, second]).group_by(*place, "word").agg(n=pl.len())
