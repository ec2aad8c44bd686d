"""What did tuning change in the feed-forward layers?  Two readings in, one comparison out.  (Paper 5.2.)

1. Each component of one model beside its best match in the other (`concept_matches`).
2. For each network, a layer's or an expert's: how far the space of its components turned (`rotation`), how much of the
   tuned components' variance lies in the space of the base components, and the means over its components.
3. The same by group of layers, and whether deeper networks turned more (`layers`).
4. Figure 8: the accumulated share of variance (`figure8`).
5. Whose words lie nearer than chance would give (`concept_chance`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.concepts.chance_rows import chance_rows
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.figure8 import figure8
from aftertune.explainers.concepts.matches import PLACE, TUNED, WELL_SEPARATED, matched, variances
from aftertune.explainers.concepts.result import NETWORK, ConceptReading, Network
from aftertune.explainers.concepts.rotation import principal_angles, share_within
from aftertune.explainers.concepts.rows import RotationRow, RotationTrend
from aftertune.runs.comparable import must_be_alike
from aftertune.statistics.intervals import mean_interval
from aftertune.statistics.layers import layer_groups, layer_trend
from aftertune.statistics.scores import Scores
from aftertune.statistics.spread import POOLED, Spread

ALIKE = ("layers", "d_model")
ANGLE_DIGITS = 4
NETWORKS = {
    **NETWORK,
    **dict.fromkeys(("mean_principal_angle", "largest_principal_angle", "mean_component_angle"), pl.Float64),
    **dict.fromkeys(("kept_in_order", "variance_kept", "variance_lost", "share_base", "share_tuned"), pl.Float64),
    **{"words_kept": pl.Float64, "mean_separated_angle": pl.Float64, "n_separated": pl.Int64},
}


def compare_concepts(base: ConceptReading, tuned: ConceptReading, *, n_groups: int = 4, seed: int = 0) -> ConceptChange:
    """Compare the principal components of two models' feed-forward layers, and the words that lie along them.

    ``n_groups`` is the number of groups of neighbouring layers, ``seed`` that of intervals and permutations. Raises
    `RunError` if the readings are of the same model or were not made alike, or ``n_groups`` is below 1.
    """
    groups = layer_groups(base.layers, n_groups)
    must_be_alike(base, tuned, ALIKE, _network_differences(base, tuned))
    components = matched(base, tuned)
    networks = _networks(base, tuned, components)
    n_components = max(len(rows) for rows in base.directions.values())
    return ConceptChange(
        base=base.model,
        tuned=tuned.model,
        layers=base.layers,
        n_networks=networks.height,
        n_components=n_components,
        d_model=base.d_model,
        n_words=len(base.words),
        networks=networks,
        components=components,
        tuned_components=matched(base, tuned, of=TUNED),
        rotation=tuple(_rotation_row(name, networks, layers, seed) for name, layers in groups.items()),
        figure8=figure8({side.model: variances(side) for side in (base, tuned)}, n_components),
        chance=chance_rows((base, tuned)),
        trend=_trend(networks, seed),
    )


def _network_differences(base: ConceptReading, tuned: ConceptReading) -> list[str]:
    shapes = [{network: len(rows) for network, rows in side.directions.items()} for side in (base, tuned)]
    if shapes[0] == shapes[1]:
        return []
    counts = [f"{sum(shape.values())} of {len(shape)} networks" for shape in shapes]
    return [f"the components that were read are not of the same networks ({counts[0]} against {counts[1]})"]


def _networks(base: ConceptReading, tuned: ConceptReading, components: pl.DataFrame) -> pl.DataFrame:
    """A row for each network, as `ConceptChange` says."""
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


def _rotation_row(name: str, networks: pl.DataFrame, layers: Sequence[int], seed: int) -> RotationRow:
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


def _defined(networks: pl.DataFrame, column: str) -> Scores:
    return np.asarray(networks[column].drop_nulls().to_numpy(), dtype=np.float64)


def _trend(networks: pl.DataFrame, seed: int) -> RotationTrend:
    columns = ("mean_component_angle", "mean_principal_angle")
    # Rounded, since ranks would take what rounding left of angles of 0 for a trend.
    angles = networks.select("layer", pl.col(columns).round(ANGLE_DIGITS))
    component, subspace = (layer_trend(angles, column, seed) for column in columns)
    return RotationTrend(networks["layer"].n_unique(), networks.height, *component, *subspace)
