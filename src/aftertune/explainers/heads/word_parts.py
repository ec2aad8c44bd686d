"""Would other words show the same excess over a control?

Heads are no independent witnesses: all of them pair the same words by the same vectors, and a control permutes the
vectors once for all heads. A few words that many neurons take up can thus make all heads exceed the control, or all
fall short of it. So the error of an excess is taken over words.
1. The words that stand in pairs are split at random into 20 parts.
2. For each part: every head's distance once more, from the pairs that hold no word of that part, and the mean excess.
3. The spread of these 20 means gives the error of the mean excess (a jackknife over parts), its interval, and a t-test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy import stats

from aftertune.explainers.heads.list_changes import HEAD, UNORDERED, Names
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.rows import Figure2Row
from aftertune.explainers.heads.word_shares import Groups
from aftertune.statistics.intervals import CONFIDENCE, Interval
from aftertune.statistics.scores import ROUNDING

N_PARTS = 20
LEAST_WORDS = 2 * N_PARTS


def over_words(
    rows: Sequence[Figure2Row], base: HeadReading, tuned: HeadReading, groups: Groups, seed: int = 0
) -> tuple[Figure2Row, ...]:
    """The rows of figure 2, those of heads with interval and p-value of each excess taken over words.

    ``groups`` has the layers of each row, by name. Rows are left as they are where too few words stand in pairs.
    """
    parts = word_parts([base.pairs, tuned.pairs, base.controls, tuned.controls], seed)
    observed = distances_without(base.pairs, tuned.pairs, HEAD, parts)
    names = dict.fromkeys(control.control for row in rows for control in row.controls)
    controls = {name: _of_control(name, base, tuned, parts) for name in names}
    return tuple(_over_words(row, observed, controls, groups) if row.level == "head" else row for row in rows)


def _of_control(name: str, base: HeadReading, tuned: HeadReading, parts: pl.DataFrame) -> pl.DataFrame:
    lists = [reading.controls.filter(control=name) for reading in (base, tuned)]
    return distances_without(lists[0], lists[1], ("draw", *HEAD), parts)


def _over_words(
    row: Figure2Row, observed: pl.DataFrame, controls: Mapping[str, pl.DataFrame], groups: Groups
) -> Figure2Row:
    inside = pl.col("layer").is_in(list(groups[row.layers]))
    own = {name: frame.filter(inside) for name, frame in controls.items()}
    tested = [(one, excess_test(one.excess, observed, own[one.control])) for one in row.controls]
    return replace(
        row,
        controls=tuple(
            one if p is None else replace(one, excess_interval=interval, excess_p_value=p)
            for one, (interval, p) in tested
        ),
    )


def word_parts(frames: Sequence[pl.DataFrame], seed: int = 0) -> pl.DataFrame:
    """``word, part``: the words of pairs, split into 20 parts of about the same size; no rows with fewer than 40."""
    words = pl.concat([frame[name] for frame in frames for name in UNORDERED]).unique().sort()
    n_words = len(words) if len(words) >= LEAST_WORDS else 0
    part = np.random.default_rng(seed).permutation(n_words) % N_PARTS
    return pl.DataFrame({"word": words.head(n_words), "part": part}, schema_overrides={"part": pl.Int64})


def distances_without(base: pl.DataFrame, tuned: pl.DataFrame, place: Names, parts: pl.DataFrame) -> pl.DataFrame:
    """``layer, head, part, distance``: each head's distance without the pairs that hold a word of the part.

    Lists have ``word_a, word_b`` and the columns of ``place``, which name a list; distances are averaged over what
    ``place`` has beside layer and head.
    """
    pairs = _pairs(base, tuned, [*place, *UNORDERED])
    held = pairs.group_by(place).agg(n=pl.len(), kept=pl.col("kept").sum())
    every = held.join(parts.select("part").unique(), how="cross")
    left = every.join(_touched(pairs, place, parts), on=[*place, "part"], how="left").fill_null(0)
    n, kept = pl.col("n") - pl.col("n_touched"), pl.col("kept") - pl.col("kept_touched")
    rest = left.filter(n > 0).select(*place, "part", distance=1 - kept / n)
    # In one order, so that the same lists give the same mean to its last bit.
    means = rest.sort(*place, "part").group_by(*HEAD, "part", maintain_order=True).agg(pl.col("distance").mean())
    return means.sort(*HEAD, "part")


def excess_test(
    excess: float | None, observed: pl.DataFrame, control: pl.DataFrame
) -> tuple[Interval | None, float | None]:
    """95 % interval of a mean excess over heads, and the one-sided p-value that it is above 0.

    Frames are those of `distances_without`. Both are None without a distance for each part, or where all are alike.
    """
    both = observed.join(control, on=[*HEAD, "part"], suffix="_control").drop_nulls().sort("part", *HEAD)
    mean_excess = (pl.col("distance") - pl.col("distance_control")).mean()
    beyond = both.group_by("part", maintain_order=True).agg(excess=mean_excess)
    without = beyond["excess"].to_numpy()
    if excess is None or len(without) < N_PARTS or np.ptp(without) <= ROUNDING:
        return None, None
    error = float(np.sqrt((N_PARTS - 1) * without.var()))
    reach = float(stats.t.isf((1 - CONFIDENCE) / 2, N_PARTS - 1)) * error
    return (excess - reach, excess + reach), float(stats.t.sf(excess / error, N_PARTS - 1))


def _pairs(base: pl.DataFrame, tuned: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Every pair of a list in either model, and whether both have it."""
    sides = (frame.select(names).with_columns(held=True) for frame in (base, tuned))
    both = next(sides).join(next(sides), on=names, how="full", coalesce=True)
    return both.select(*names, kept=pl.all_horizontal("held", "held_right").fill_null(False))


def _touched(pairs: pl.DataFrame, place: Names, parts: pl.DataFrame) -> pl.DataFrame:
    """``place, part, n_touched, kept_touched``: how many pairs hold a word of a part, and how many were kept."""
    numbered = pairs.with_row_index("pair")
    sides = [
        numbered.join(parts.rename({"word": name}), on=name).select("pair", *place, "kept", "part")
        for name in UNORDERED
    ]
    once = pl.concat(sides).unique(["pair", "part"])
    return once.group_by(*place, "part").agg(n_touched=pl.len(), kept_touched=pl.col("kept").sum())
