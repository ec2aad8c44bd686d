"""What is said of layers: groups of neighbouring ones, and whether a number rises or falls with depth."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from aftertune.errors import RunError
from aftertune.statistics.spread import POOLED, Scores
from aftertune.statistics.tests import N_PERMUTATIONS

LEAST_LAYERS = 3
Groups = Mapping[str, Sequence[int]]
"""The layers of each group, by its name."""


def layer_groups(layers: Sequence[int], n_groups: int) -> dict[str, tuple[int, ...]]:
    """Groups of neighbouring layers of about the same size, by name ("0-7"), and all layers as "all".

    Raises `RunError` if ``n_groups`` is below 1.
    """
    if n_groups < 1:
        raise RunError(f"{n_groups} groups of layers were asked for. Ask for 1 or more.")
    groups = [part.tolist() for part in np.array_split(np.array(layers), min(n_groups, len(layers)))]
    names = [str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups]
    return dict(zip(names, map(tuple, groups), strict=True)) | {POOLED: tuple(layers)}


def layer_trend(frame: pl.DataFrame, column: str, seed: int = 0) -> tuple[float | None, float | None]:
    """Spearman's correlation over rows of ``layer`` and column, and its p-value when whole layers change places.

    Both are None with fewer than three layers, or where all values are the same.
    """
    layers, values = frame["layer"].to_numpy(), frame[column].to_numpy()
    if len(np.unique(layers)) < LEAST_LAYERS or not np.ptp(values):
        return None, None
    return float(stats.spearmanr(layers, values).statistic), _layers_p_value(layers, values, seed)


def _layers_p_value(layers: npt.NDArray[np.int16], values: Scores, seed: int) -> float:
    own, which, counts = np.unique(layers, return_inverse=True, return_counts=True)
    sums = np.bincount(which, weights=stats.rankdata(values) - (len(values) + 1) / 2)

    def association(order: npt.NDArray[np.int64], axis: int) -> Scores:
        """With layers in that order: the sum over rows of their layer's middle rank times their own rank."""
        of_layer = counts[order]
        depth = np.cumsum(of_layer, axis) - of_layer / 2
        return np.asarray((depth * sums[order]).sum(axis))

    places, generator = (np.arange(len(own)),), np.random.default_rng(seed)
    found = stats.permutation_test(
        places, association, permutation_type="pairings", vectorized=True, n_resamples=N_PERMUTATIONS, rng=generator
    )
    return float(found.pvalue)
