"""How far did tuning rotate the components of each feed-forward network, by depth?  (Paper 5.2.)

1. For each network, a layer's or an expert's: how far the space of its components rotated (`rotation`), how much of
   the tuned components' variance lies in the space of the base components, and the means over its components.
2. The same by group of neighbouring layers, networks counting once.
3. Did deeper networks rotate more?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.concepts.matches import PLACE, WELL_SEPARATED
from aftertune.explainers.concepts.principal_angles import principal_angles, share_within
from aftertune.explainers.concepts.result import NETWORK, ConceptReading, Network
from aftertune.statistics.effects import mean_interval
from aftertune.statistics.layers import layer_trend
from aftertune.statistics.spread import POOLED, Interval, Scores, Spread

ANGLE_DIGITS = 4
NETWORKS = {
    **NETWORK,
    **dict.fromkeys(("mean_principal_angle", "largest_principal_angle", "mean_component_angle"), pl.Float64),
    **dict.fromkeys(("kept_in_order", "variance_kept", "variance_lost", "share_base", "share_tuned"), pl.Float64),
    **{"words_kept": pl.Float64, "mean_separated_angle": pl.Float64, "n_separated": pl.Int64},
}


@dataclass(frozen=True)
class RotationRow:
    """How far tuning rotated the components of a group of layers, networks counting once.

    ``layers`` is a group of neighbouring layers, counted from 0, written "0-7"; the ``pooled`` row has all of them.
    Angles are in degrees, from 0 (the same direction, whichever way it points) to 90. Intervals are 95 % bootstrap
    intervals; they resample networks. A number that is not defined for its data is None, never NaN.

    ``subspace_angle`` is the mean over networks of the mean principal angle between the spaces that the components of
    base and tuned span; ``largest_angle`` that of the largest one. ``component_angle`` is the mean over networks of
    the mean angle between a base component and its best match, ``kept_in_order`` the share of base components whose
    best match has the same rank. ``variance_kept`` is the share of the tuned components' variance that lies within the
    space of the base components. ``words_kept`` is the mean share of a base component's words that its best match
    has too.

    ``separated_angle`` is ``component_angle`` of the ``n_separated`` base components that are well separated: whose
    variance differs from any other's by at least 1 % of itself. Others may mix whatever tuning did. Networks without
    one are left out. A row that ``is_noise`` is of the base with noise of the size of the change in its weights.
    """

    layers: str
    subspace_angle: Spread
    largest_angle: Spread
    component_angle: Spread
    component_angle_interval: Interval | None
    separated_angle: Spread
    n_separated: int
    kept_in_order: Spread
    variance_kept: Spread
    words_kept: Spread
    words_kept_interval: Interval | None
    pooled: bool = False
    is_noise: bool = False


@dataclass(frozen=True)
class RotationTrend:
    """Did deeper networks rotate more?  Spearman's rank correlation of layer and angle, over networks.

    The angle is the mean from a component to its best match, and for ``subspace_correlation`` the mean principal
    angle. The two-sided p-values are of permutations of whole layers.
    """

    n_layers: int
    n_networks: int
    correlation: float | None
    p_value: float | None
    subspace_correlation: float | None
    subspace_p_value: float | None


def network_frame(base: ConceptReading, tuned: ConceptReading, components: pl.DataFrame) -> pl.DataFrame:
    """A row for each network, with the columns of ``NETWORKS``; see `ConceptChange`.

    ``components`` are those of base beside their best matches (`matches.matched`).
    """
    shares = [_shares(side) for side in (base, tuned)]
    rows = [_network(place, base, tuned, [side[place] for side in shares]) for place in sorted(base.directions)]
    means = components.group_by(PLACE).agg(
        mean_component_angle=pl.col("angle").mean(),
        kept_in_order=(pl.col("rank") == pl.col("match_rank")).mean(),
        words_kept=pl.col("words_kept").mean(),
        mean_separated_angle=pl.col("angle").filter(WELL_SEPARATED).mean(),
        n_separated=WELL_SEPARATED.sum(),
    )
    found = pl.DataFrame(rows, schema_overrides=NETWORK).join(means, on=PLACE, how="left", maintain_order="left")
    return found.select(pl.col(name).cast(kind) for name, kind in NETWORKS.items())


def mean_frame(frames: Sequence[pl.DataFrame]) -> pl.DataFrame | None:
    """The mean over several frames of `network_frame`, network by network; None of none."""
    if not frames:
        return None
    means = pl.concat(frames).group_by(PLACE).agg(pl.exclude(PLACE).mean()).sort(PLACE)
    return means.select(pl.col(name).cast(kind) for name, kind in NETWORKS.items())


def rotation_row(name: str, networks: pl.DataFrame, layers: Sequence[int], seed: int) -> RotationRow:
    """The row of a group of ``layers`` of that ``name``; ``seed`` is that of its intervals."""
    inside = networks.filter(pl.col("layer").is_in(list(layers)))
    angles, words = (_defined(inside, column) for column in ("mean_component_angle", "words_kept"))
    return RotationRow(
        layers=name,
        subspace_angle=Spread.of(_defined(inside, "mean_principal_angle")),
        largest_angle=Spread.of(_defined(inside, "largest_principal_angle")),
        component_angle=Spread.of(angles),
        component_angle_interval=mean_interval(angles, seed),
        separated_angle=Spread.of(_defined(inside, "mean_separated_angle")),
        n_separated=int(inside["n_separated"].sum()),
        kept_in_order=Spread.of(_defined(inside, "kept_in_order")),
        variance_kept=Spread.of(_defined(inside, "variance_kept")),
        words_kept=Spread.of(words),
        words_kept_interval=mean_interval(words, seed),
        pooled=name == POOLED,
    )


def rotation_trend(networks: pl.DataFrame, seed: int) -> RotationTrend:
    """The trend over all networks; ``seed`` is that of the permutations."""
    columns = ("mean_component_angle", "mean_principal_angle")
    # Rounded, since ranks would take what rounding left of angles of 0 for a trend.
    angles = networks.select("layer", pl.col(columns).round(ANGLE_DIGITS))
    component, subspace = (layer_trend(angles, column, seed) for column in columns)
    return RotationTrend(networks["layer"].n_unique(), networks.height, *component, *subspace)


def _network(place: Network, base: ConceptReading, tuned: ConceptReading, shares: Sequence[Scores]) -> dict[str, Any]:
    before, after = base.directions[place], tuned.directions[place]
    angles = principal_angles(before, after)
    found_again = share_within(before, shares[0], after)
    return {
        "layer": place[0],
        "expert": place[1],
        "mean_principal_angle": float(angles.mean()),
        "largest_principal_angle": float(angles[-1]),
        "variance_kept": share_within(after, shares[1], before),
        "variance_lost": None if found_again is None else 1 - found_again,
        "share_base": float(shares[0].sum()),
        "share_tuned": float(shares[1].sum()),
    }


def _shares(reading: ConceptReading) -> Mapping[Network, Scores]:
    """The share of variance of the components that were read, of each network."""
    parts = reading.components.partition_by(PLACE, as_dict=True)
    return {(layer, expert): part.sort("rank")["variance_share"].to_numpy() for (layer, expert), part in parts.items()}


def _defined(networks: pl.DataFrame, column: str) -> Scores:
    return np.asarray(networks[column].drop_nulls().to_numpy(), dtype=np.float64)
