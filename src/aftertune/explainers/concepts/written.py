"""Which words does the change of weights write and read, and is it more than noise of the same size?

1. Each direction that the change of a module writes along, either side of it, with its words (`weight_change`): beyond
   the limit if its first word stands out further than along 99 of 100 random directions.
2. The test, once over all directions of all layers: the largest |z| beside that of draws of noise, each of as many
   directions. What stands out further than the largest of any draw is shown, if the test is passed.
3. Of what is read, each word's share of the change over what noise gives it. Noise spreads its change evenly: the sum
   of squares of a word is chi-square distributed, corrected for the number of words. Any training exceeds this, so it
   is described only.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from scipy import stats

from aftertune.explainers.named import Named
from aftertune.statistics.noise import noise_p_value
from aftertune.statistics.spread import ALPHA

QUANTILE = 0.99
LAST = 10  # the last tenth of the layers comes first
Brings = Mapping[tuple[int, str], float | None]


@dataclass(frozen=True)
class WrittenRow:
    """One side of a direction that the change of what a module of a layer writes lies along.

    ``module`` is "attention" or "feed-forward", ``rank`` that of the direction in the module, 1 the largest, ``sign``
    its side. ``share`` is its share of the module's ||dW||^2, ``top_share`` that of the five largest together and
    ``noise_top_share`` the most that noise has there. ``words`` are those furthest along it, ``z`` how far the first
    stands out, in standard deviations over the vocabulary, ``is_beyond_limit`` whether that is further than along 99
    of 100 random directions, and ``is_beyond_noise`` further than along any direction of any draw of noise; None
    without noise. ``brings`` is the share of the change of outputs that the module brings by itself (the explainer
    "location"), None where that was not measured.
    """

    layer: int
    module: str
    rank: int
    sign: int
    share: float
    top_share: float
    noise_top_share: float
    words: tuple[str, ...]
    z: float
    is_beyond_limit: bool
    is_beyond_noise: bool | None
    brings: float | None = None


@dataclass(frozen=True)
class WrittenTest:
    """The largest z of all directions beside that of noise of the same size.

    ``limit`` is the 99th percentile of a random direction's largest |z|; ``noise_mean`` and ``noise_limit`` are the
    mean and the largest over ``n_draws`` draws of noise, of ``n_directions`` directions each, and ``p_value`` is that
    of `aftertune.statistics.noise`; None without noise.
    """

    largest: float
    limit: float
    n_directions: int
    n_draws: int
    noise_mean: float | None
    noise_limit: float | None
    p_value: float | None


@dataclass(frozen=True)
class ReadRow:
    """A word of whose embedding the change of what feed-forward networks read makes much.

    ``ratio`` is x' dW' dW x / x' W' W x over all layers, ``times_noise`` x' dW' dW x over what noise of the same size
    gives any word, ``noise_limit`` the most that it gives any of all words in 19 of 20 draws.
    """

    word: str
    ratio: float
    times_noise: float
    noise_limit: float
    is_beyond_noise: bool


def written_rows(
    written: pl.DataFrame, chance: pl.DataFrame, layers: Sequence[int], brings: Brings, has_noise: bool
) -> tuple[tuple[WrittenRow, ...], WrittenTest | None]:
    """The rows, those of the last tenth of the layers first and the largest z first; None where nothing changed."""
    if written.is_empty():
        return (), None
    test = _test(written, chance, has_noise)
    rows = [_row(row, test, brings) for row in written.iter_rows(named=True) if row["words"]]
    last = sorted(layers)[-math.ceil(len(layers) / LAST) :]
    return tuple(sorted(rows, key=lambda row: (row.layer not in last, -row.z, row.layer, row.module, row.rank))), test


def read_rows(read: pl.DataFrame) -> tuple[ReadRow, ...]:
    """The words whose reading changed most, the first the most."""
    if read.is_empty():
        return ()
    n_words, degrees = read.select("n_words", "degrees_of_freedom").row(0)
    limit = float(stats.chi2.isf(ALPHA / n_words, degrees) / degrees)
    found = read.select("word", "ratio", "times_noise").iter_rows()
    return tuple(ReadRow(word, ratio, times, limit, times > limit) for word, ratio, times in found)


def named_directions(rows: Sequence[WrittenRow]) -> list[Named]:
    """The directions with a word beyond the limit, each once, those beyond noise first, else in the order of rows."""
    listed = [row for row in rows if row.is_beyond_limit]
    found = dict[tuple[int, str, int], Named]()
    for row in sorted(listed, key=lambda row: not row.is_beyond_noise):  # stable
        name = Named("direction", row.layer, row.module, row.rank, row.sign, row.words)
        found.setdefault((row.layer, row.module, row.rank), name)
    return list(found.values())


def _test(written: pl.DataFrame, chance: pl.DataFrame, has_noise: bool) -> WrittenTest:
    alone = chance.filter(pl.col("of") == "direction")["largest"]
    draws = chance.filter(pl.col("of") == "noise")["largest"].to_list() if has_noise else []
    largest = max(written["z"].list.first().drop_nulls().to_list(), default=0.0)
    return WrittenTest(
        largest=largest,
        limit=float(alone.quantile(QUANTILE, "linear") or 0.0),
        n_directions=written.height // 2,
        n_draws=len(draws),
        noise_mean=sum(draws) / len(draws) if draws else None,
        noise_limit=max(draws, default=None),
        p_value=noise_p_value(largest, draws),
    )


def _row(row: Mapping[str, object], test: WrittenTest, brings: Brings) -> WrittenRow:
    names = ("layer", "module", "rank", "sign", "share", "top_share", "noise_top_share")
    known = {name: row[name] for name in names}
    words, scores = row["words"], row["z"]
    assert isinstance(words, list) and isinstance(scores, list)
    z, place = float(scores[0]), (int(str(row["layer"])), str(row["module"]))
    beyond = None if test.noise_limit is None else z > test.noise_limit
    return WrittenRow(
        **known,  # type: ignore[arg-type]
        words=tuple(words),
        z=z,
        is_beyond_limit=z > test.limit,
        is_beyond_noise=beyond,
        brings=brings.get(place),
    )
