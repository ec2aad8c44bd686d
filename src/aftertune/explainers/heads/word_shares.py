"""In how many heads did the number of pairs with a word grow?  (Paper 5.1, the shares of table 3.)

1. For a word and a head: the number of pairs of the head's list that hold the word, in base and in tuned.
2. A word's share in a group of layers: of the heads in which that number changed, the share in which it grew. A word
   without any such head has none.
3. The words asked about against general ones, and random sets of words as frequent as those asked about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from aftertune.explainers.heads.list_changes import Names

N_NEIGHBOURS = 100
N_SETS = 999
Groups = Mapping[str, Sequence[int]]
WordSets = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Words:
    """The words asked about ("instruction"), general ones, and ``matched`` (n_sets, n_words) as frequent ones.

    All are lower-cased; no word asked about is among the others.
    """

    instruction: tuple[str, ...]
    general: tuple[str, ...]
    matched: WordSets


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


def shares_of(words: Words, shares: pl.DataFrame) -> pl.DataFrame:
    """``layers, verb, kind, n_grew, n_shrank, share``: the rows of `word_shares` of both kinds of words."""
    kinds = ["instruction"] * len(words.instruction) + ["general"] * len(words.general)
    schema = {"verb": pl.String, "kind": pl.String}
    listed = pl.DataFrame({"verb": [*words.instruction, *words.general], "kind": kinds}, schema=schema)
    order = shares["layers"].unique(maintain_order=True).to_frame().join(listed, how="cross")
    own = shares.rename({"word": "verb"})
    return order.join(own, on=["layers", "verb"], maintain_order="left")


def matched_sets(ordered: Sequence[str], asked: Sequence[str], seed: int = 0) -> WordSets:
    """Random sets (n_sets, n_asked) of words about as frequent as those ``asked`` about, and none of them.

    ``ordered`` has all words that can form a pair, most frequent first. For each word asked about, one is drawn of
    the 100 around it.
    """
    is_asked = np.isin(ordered, list(asked))
    others = np.array(ordered, dtype=np.str_)[~is_asked]
    if not len(others):
        return np.empty((N_SETS, 0), dtype=np.str_)
    before = np.cumsum(~is_asked)[is_asked]
    n_near = min(N_NEIGHBOURS, len(others))
    first = np.clip(before - n_near // 2, 0, len(others) - n_near)
    drawn: WordSets = others[first + np.random.default_rng(seed).integers(0, n_near, (N_SETS, len(first)))]
    return drawn


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
