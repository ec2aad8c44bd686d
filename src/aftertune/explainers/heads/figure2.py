"""How far apart are the word pairs of base and tuned, where, and would arbitrary words show the same?

Figure 2 (paper 5.1), from the distances of `list_changes`.
1. For each group of layers: the mean over heads, with the interval of resampled heads; then all layers, pooled.
2. The same from lists with permuted word vectors, and what the distance as read has in excess of it, head by head. Such
   lists change with the words that neurons take up, whatever the words mean: without an excess, the change is one of
   which words are taken up, not of which of them belong together.
3. Whether the excess is more than chance is asked of words, not of heads: heads are no independent witnesses, since all
   of them pair the same words by the same vectors, and a control permutes the vectors once for all heads. A few words
   that many neurons take up can thus make all heads exceed the control, or all fall short of it. So the words that
   stand in pairs are split at random into 20 parts; for each part every head's distance is taken once more, from the
   pairs that hold no word of that part. The spread of the 20 mean excesses gives the error of the mean excess (a
   jackknife over parts), its interval, and a t-test.
4. The same from the base with noise of the size of the change in every weight: noise takes up other words too, often
   more than tuning does. Whether the excess over it is more than chance is asked by the signs of whole layers.
5. Depth: the rank correlation of layer and distance, and of layer and what exceeds each control. Described: layers next
   to one another are alike, so that permuted layers would find a trend in almost any change of weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy import stats

from aftertune.explainers.heads.change import AS_READ, HEAD_LEVEL, NEURON_LEVEL, DepthControl, DepthTrend, Figure2Row
from aftertune.explainers.heads.list_changes import HEAD, UNORDERED, Names
from aftertune.explainers.heads.result import HeadReading
from aftertune.statistics.effects import CONFIDENCE, mean_interval
from aftertune.statistics.layers import Groups, layer_trend
from aftertune.statistics.noise import NOISE, layers_p_value
from aftertune.statistics.spread import POOLED, ROUNDING, Interval, Spread

LEVELS = {HEAD_LEVEL: "distance", NEURON_LEVEL: "neuron_distance"}
N_PARTS = 20
LEAST_WORDS = 2 * N_PARTS
Controls = Mapping[str, pl.DataFrame]


def figure2(heads: pl.DataFrame, controls: Controls, groups: Groups, seed: int = 0) -> tuple[Figure2Row, ...]:
    """Figure 2: for each level, the rows of each group of layers: as read, then those of the controls.

    ``heads`` has ``layer, head, distance, neuron_distance``, null where not defined, and so has each of ``controls``,
    by name; ``groups`` has the layers of each group, by name.
    """
    rows: list[Figure2Row] = []
    for level, column in LEVELS.items():
        for name, layers in groups.items():
            inside = pl.col("layer").is_in(list(layers))
            observed = _of_level(heads.filter(inside), column)
            rows.append(_row(level, name, observed, seed))
            for control, frame in controls.items():
                own = _beside(observed, _of_level(frame.filter(inside), column))
                rows.append(_control(level, name, control, own, seed))
    return tuple(rows)


def over_words(
    rows: Sequence[Figure2Row], base: HeadReading, tuned: HeadReading, groups: Groups, seed: int = 0
) -> tuple[Figure2Row, ...]:
    """The rows of figure 2, the controls of heads with interval and p-value of their excess taken over words.

    Rows are left as they are where too few words stand in pairs.
    """
    parts = word_parts([base.pairs, tuned.pairs, base.controls, tuned.controls], seed)
    observed = distances_without(base.pairs, tuned.pairs, HEAD, parts)
    names = dict.fromkeys(row.lists for row in rows if row.is_control and row.lists != NOISE)
    controls = {name: _control_without(name, base, tuned, parts) for name in names}
    return tuple(
        _over_words(row, observed, controls[row.lists], groups[row.layers])
        if row.lists in controls and row.level == HEAD_LEVEL
        else row
        for row in rows
    )


def against_noise(
    rows: Sequence[Figure2Row], heads: pl.DataFrame, noise: pl.DataFrame | None, groups: Groups, seed: int = 0
) -> tuple[Figure2Row, ...]:
    """The rows of figure 2, those of noise with the two-sided p-value of their excess, by the signs of layers."""
    if noise is None:
        return tuple(rows)
    beside = {level: _beside(_of_level(heads, name), _of_level(noise, name)) for level, name in LEVELS.items()}
    return tuple(
        replace(row, excess_p_value=_noise_p_value(beside[row.level], groups[row.layers], seed))
        if row.lists == NOISE
        else row
        for row in rows
    )


def depth_trend(heads: pl.DataFrame, controls: Controls, seed: int = 0) -> DepthTrend:
    """Whether head lists of deeper layers lie further apart; frames as for `figure2`."""
    observed = _of_level(heads, LEVELS[HEAD_LEVEL])
    own = {name: _of_level(frame, LEVELS[HEAD_LEVEL]) for name, frame in controls.items()}
    return DepthTrend(
        observed["layer"].n_unique(),
        observed.height,
        *layer_trend(observed, "distance", seed),
        controls=tuple(_depth_control(name, _beside(observed, frame), seed) for name, frame in own.items()),
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

    Frames are those of `distances_without`. Both are None without a distance for each part, or where all are the same.
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


def _of_level(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.select("layer", "head", distance=column).drop_nulls("distance")


def _beside(observed: pl.DataFrame, control: pl.DataFrame) -> pl.DataFrame:
    """The distances of each head under a control, as ``observed``, and the ``excess``; null where it has no other."""
    renamed = observed.rename({"distance": "observed"})
    found = control.join(renamed, on=["layer", "head"], how="left", maintain_order="left")
    return found.with_columns(excess=pl.col("observed") - pl.col("distance"))


def _row(level: str, layers: str, observed: pl.DataFrame, seed: int) -> Figure2Row:
    distances = observed["distance"].to_numpy()
    spread, interval = Spread.of(distances), mean_interval(distances, seed)
    return Figure2Row(level, layers, layers == POOLED, AS_READ, spread, interval)


def _control(level: str, layers: str, lists: str, beside: pl.DataFrame, seed: int) -> Figure2Row:
    excess = beside["excess"].drop_nulls().to_numpy()
    return Figure2Row(
        level=level,
        layers=layers,
        pooled=layers == POOLED,
        lists=lists,
        distance=Spread.of(beside["distance"].to_numpy()),
        excess=Spread.of(excess).mean,
        excess_interval=mean_interval(excess, seed),
    )


def _depth_control(name: str, beside: pl.DataFrame, seed: int) -> DepthControl:
    paired = beside.drop_nulls("excess")
    return DepthControl(name, *layer_trend(beside, "distance", seed), *layer_trend(paired, "excess", seed))


def _control_without(name: str, base: HeadReading, tuned: HeadReading, parts: pl.DataFrame) -> pl.DataFrame:
    lists = [reading.controls.filter(control=name) for reading in (base, tuned)]
    return distances_without(lists[0], lists[1], ("draw", *HEAD), parts)


def _over_words(row: Figure2Row, observed: pl.DataFrame, control: pl.DataFrame, layers: Sequence[int]) -> Figure2Row:
    inside = pl.col("layer").is_in(list(layers))
    interval, p_value = excess_test(row.excess, observed, control.filter(inside))
    return row if p_value is None else replace(row, excess_interval=interval, excess_p_value=p_value)


def _noise_p_value(beside: pl.DataFrame, layers: Sequence[int], seed: int) -> float | None:
    return layers_p_value(beside.filter(pl.col("layer").is_in(list(layers))), seed)


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
