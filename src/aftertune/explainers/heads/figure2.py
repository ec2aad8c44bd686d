"""How far apart are the word pairs of base and tuned, where, and would arbitrary words show the same?

Figure 2 (paper 5.1), from the distances of `head_lists`.
1. For each group of layers: the mean over heads, with the interval of resampled heads; then all layers, pooled.
2. The same from lists with permuted word vectors, and what the observed distance has in excess of it, head by head.
   Such lists change with the words that neurons take up, whatever the words mean: without an excess, the change is one
   of which words are taken up, not of which of them belong together. Whether it is more than chance is not asked of
   heads, which share their words, but of words (`word_parts`).
3. Depth: the rank correlation of layer and distance, tested by permuting whole layers.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from aftertune.explainers.heads.rows import DepthControl, DepthTrend, Figure2Control, Figure2Row
from aftertune.statistics.intervals import mean_interval
from aftertune.statistics.layers import layer_trend
from aftertune.statistics.spread import POOLED, Spread

LEVELS = {"head": "distance", "neuron pair": "neuron_distance"}
Controls = Mapping[str, pl.DataFrame]


def figure2(
    heads: pl.DataFrame, controls: Controls, groups: Mapping[str, Sequence[int]], seed: int = 0
) -> tuple[Figure2Row, ...]:
    """Figure 2: for each level, a row for each group of layers.

    ``heads`` has ``layer, head, distance, neuron_distance``, null where not defined, and so has each of ``controls``,
    by name; ``groups`` has the layers of each group, by name.
    """
    rows: list[Figure2Row] = []
    for level, column in LEVELS.items():
        for name, layers in groups.items():
            inside = pl.col("layer").is_in(list(layers))
            own = {control: _of_level(frame.filter(inside), column) for control, frame in controls.items()}
            rows.append(_row(level, name, _of_level(heads.filter(inside), column), own, seed))
    return tuple(rows)


def depth_trend(heads: pl.DataFrame, controls: Controls, seed: int = 0) -> DepthTrend:
    """Whether head lists of deeper layers lie further apart; frames as for `figure2`."""
    observed = _of_level(heads, LEVELS["head"])
    own = {name: _of_level(frame, LEVELS["head"]) for name, frame in controls.items()}
    return DepthTrend(
        observed["layer"].n_unique(),
        observed.height,
        *layer_trend(observed, "distance", seed),
        controls=tuple(_depth_control(name, _beside(observed, frame), seed) for name, frame in own.items()),
    )


def _of_level(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.select("layer", "head", distance=column).drop_nulls("distance")


def _beside(observed: pl.DataFrame, control: pl.DataFrame) -> pl.DataFrame:
    """The distances of each head under a control, as ``observed``, and the ``excess``; null where it has no other."""
    renamed = observed.rename({"distance": "observed"})
    found = control.join(renamed, on=["layer", "head"], how="left", maintain_order="left")
    return found.with_columns(excess=pl.col("observed") - pl.col("distance"))


def _row(level: str, name: str, observed: pl.DataFrame, controls: Controls, seed: int) -> Figure2Row:
    distances = observed["distance"].to_numpy()
    return Figure2Row(
        level=level,
        layers=name,
        distance=Spread.of(distances),
        interval=mean_interval(distances, seed),
        controls=tuple(_control(control, _beside(observed, frame), seed) for control, frame in controls.items()),
        pooled=name == POOLED,
    )


def _control(name: str, beside: pl.DataFrame, seed: int) -> Figure2Control:
    excess = beside["excess"].drop_nulls().to_numpy()
    return Figure2Control(
        control=name,
        distance=Spread.of(beside["distance"].to_numpy()).mean,
        excess=Spread.of(excess).mean,
        excess_interval=mean_interval(excess, seed),
        excess_p_value=None,
    )


def _depth_control(name: str, beside: pl.DataFrame, seed: int) -> DepthControl:
    paired = beside.drop_nulls("excess")
    return DepthControl(name, *layer_trend(beside, "distance", seed), *layer_trend(paired, "excess", seed))
