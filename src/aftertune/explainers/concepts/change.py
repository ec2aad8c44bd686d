"""What did tuning change in the feed-forward layers?  Two readings in, one comparison out.  (Paper 5.2.)

1. Each component of one model beside its best match in the other (`matches`).
2. For each network, a layer's or an expert's, and for groups of layers: how far components and the space that they
   span rotated, and whether deeper networks rotated more (`networks`).
3. Figure 8: the accumulated share of variance (`figure8`).
4. Whose words lie nearer than chance would give (`chance`).
5. The base with noise of the size of the change, beside 2.
6. What the change of weights itself writes and reads (`written`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from aftertune.explainers.concepts.chance import ChanceRow, chance_rows
from aftertune.explainers.concepts.explained_variance import Figure8Row, figure8
from aftertune.explainers.concepts.matches import PLACE, TUNED, matched, variances, with_beyond_chance
from aftertune.explainers.concepts.network_rotation import (
    RotationRow,
    RotationTrend,
    mean_frame,
    network_frame,
    rotation_row,
    rotation_trend,
)
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.concepts.written import Brings, ReadRow, WrittenRow, WrittenTest, read_rows, written_rows
from aftertune.runs.layer_parts import must_be_alike
from aftertune.runs.result import Result
from aftertune.statistics.layers import Groups, layer_groups

ALIKE = ("layers", "d_model")
PLAIN = ("base", "tuned", "layers", "n_networks", "n_components", "d_model", "n_words", "n_noise", "settings")
ROWS = ("written", "read", "rotation", "rotation_noise", "figure8", "chance")
SAME_DEGREES, SAME_SHARE = 1e-4, 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class ConceptChange(Result):
    """How the components of feed-forward networks differ between the models named ``base`` and ``tuned``.

    ``networks`` has a row for every network: ``layer, expert, mean_principal_angle, largest_principal_angle,
    mean_component_angle, kept_in_order, variance_kept, variance_lost, share_base, share_tuned, words_kept,
    mean_separated_angle, n_separated``. ``variance_kept`` is the share of the tuned components' variance within the
    space of the base components, ``variance_lost`` that of the base components outside that of the tuned ones;
    ``share_base`` and ``share_tuned`` are the shares of a network's variance that its components have together. Other
    columns are as in `RotationRow`.

    ``components`` has a row for every base component: ``layer, expert, rank, match_rank, angle, gap,
    variance_share_base, variance_share_tuned, words_kept, words_base, words_tuned, words_gained, words_lost,
    p_chance_base, p_chance_tuned, beyond_chance_base, beyond_chance_tuned``, of itself and of its best match.
    ``p_chance`` is that of `ConceptReading`, and ``beyond_chance`` whether it is below 0.05 after a correction over all
    components of the model (`beyond_chance`); both are null where chance was not measured, and ``chance`` is empty.
    ``angle`` is in degrees; ``gap`` is how far its variance lies from the nearest other of the same network, as a share
    of itself: with a small one, an angle tells little. ``tuned_components`` is the mirror: ``rank``, ``gap`` and
    ``words_kept`` are those of the tuned component, ``match_rank`` is that of base.

    ``components_base`` and ``components_tuned`` are all components of either model as they were read: ``layer, expert,
    rank, variance_share, words, cosines, p_chance, beyond_chance``.

    ``networks_noise``, ``rotation_noise`` and ``trend_noise`` are the same of the base with noise of the size of the
    change in its weights, means over ``n_noise`` draws; None, and no rows, where none were read. ``written`` are the
    directions that the change of weights writes along, ``written_test`` their test, None where nothing changed or this
    was not measured; ``read`` the words whose reading changed most.

    At most ``n_components`` were read of a network, in ``d_model`` dimensions, with a vocabulary of ``n_words``;
    ``settings`` are those of both readings.
    """

    base: str
    tuned: str
    layers: tuple[int, ...]
    n_networks: int
    n_components: int
    d_model: int
    n_words: int
    settings: dict[str, Any]
    networks: pl.DataFrame
    components: pl.DataFrame
    tuned_components: pl.DataFrame
    components_base: pl.DataFrame
    components_tuned: pl.DataFrame
    rotation: tuple[RotationRow, ...]
    figure8: tuple[Figure8Row, ...]
    chance: tuple[ChanceRow, ...]
    trend: RotationTrend
    networks_noise: pl.DataFrame | None = None
    rotation_noise: tuple[RotationRow, ...] = ()
    trend_noise: RotationTrend | None = None
    n_noise: int = 0
    written: tuple[WrittenRow, ...] = ()
    written_test: WrittenTest | None = None
    read: tuple[ReadRow, ...] = ()

    @property
    def rotation_of_noise(self) -> RotationRow | None:
        """The row of `rotation_noise` that has all layers; None where no noise was read."""
        return next((row for row in self.rotation_noise if row.pooled), None)

    @property
    def rotation_of_all(self) -> RotationRow:
        """The row of `rotation` that has all layers."""
        return next(row for row in self.rotation if row.pooled)

    @property
    def is_unchanged(self) -> bool:
        """Whether components, their shares of variance, their order and their words are the same in both models.

        Angles below 0.0001 degrees and differences of shares below a millionth are none.
        """
        both = pl.concat([self.components, self.tuned_components])
        share = (pl.col("variance_share_base") - pl.col("variance_share_tuned")).abs()
        same = [
            pl.col("angle") < SAME_DEGREES,
            share < SAME_SHARE,
            pl.col("rank") == pl.col("match_rank"),
            pl.col("words_gained").list.len() + pl.col("words_lost").list.len() == 0,
        ]
        return bool(both.select(pl.all_horizontal(same).all()).item())

    def new_components(self) -> pl.DataFrame:
        """The rows of ``tuned_components`` that are the best match of no base component, by layer and rank."""
        return _unmatched(self.tuned_components, self.components)

    def lost_components(self) -> pl.DataFrame:
        """The rows of ``components`` that are the best match of no tuned component, by layer and rank."""
        return _unmatched(self.components, self.tuned_components)

    def to_polars(self) -> pl.DataFrame:
        """The rows of ``components``, one for each base component: angles in degrees, shares 0 to 1."""
        return self.components

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name.

        These are ``components, tuned_components, networks, concept_written, concept_read, rotation, chance, unmatched,
        figure8``. The last six have the columns of their rows, a mean or an interval in columns of their own:
        ``subspace_angle_mean, component_angle_interval_low``.
        """
        frames = {"components": self.components, "tuned_components": self.tuned_components}
        return frames | {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """Rotation, figure 8, chance, the trend and the rows of ``networks`` as plain JSON data, without components."""
        data = {name: getattr(self, name) for name in PLAIN}
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ROWS}
        data |= rows | {"trend": asdict(self.trend), "trend_noise": _plain(self.trend_noise)}
        data |= {"written_test": _plain(self.written_test), "networks": self.networks.to_dicts()}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_networks": self.n_networks, "n_components": self.n_components}
        return {"base": self.base, "tuned": self.tuned} | sizes


def compare_concepts(
    base: ConceptReading,
    tuned: ConceptReading,
    *,
    noise: Sequence[ConceptReading] = (),
    weights: Mapping[str, pl.DataFrame] | None = None,
    brings: Brings | None = None,
    n_groups: int = 4,
    seed: int = 0,
) -> ConceptChange:
    """Compare the principal components of two models' feed-forward layers, and the words that lie along them.

    ``noise`` are readings of the base with noise of the size of the change, ``weights`` what `saved_change` gives,
    ``brings`` what a module brings by itself, by layer and module. ``n_groups`` is the number of groups of neighbouring
    layers, ``seed`` that of intervals and permutations. Raises
    `RunError` if the readings are of the same model or were not made alike, or ``n_groups`` is below 1.
    """
    groups = layer_groups(base.layers, n_groups)
    must_be_alike(base, tuned, ALIKE, _network_differences(base, tuned))
    components = matched(base, tuned)
    networks = network_frame(base, tuned, components)
    n_components = max(len(rows) for rows in base.directions.values())
    with_chance = {side.model: with_beyond_chance(side) for side in (base, tuned)}
    networks_noise = mean_frame([network_frame(base, one, matched(base, one)) for one in noise])
    weights = weights or {}
    written, test = (
        written_rows(weights["written"], weights["chance"], base.layers, brings or {}, bool(noise))
        if weights
        else ((), None)
    )
    return ConceptChange(
        networks_noise=networks_noise,
        rotation_noise=_of_noise(networks_noise, groups, seed),
        trend_noise=None if networks_noise is None else rotation_trend(networks_noise, seed),
        n_noise=len(noise),
        written=written,
        written_test=test,
        read=read_rows(weights["read"]) if weights else (),
        base=base.model,
        tuned=tuned.model,
        layers=base.layers,
        n_networks=networks.height,
        n_components=n_components,
        d_model=base.d_model,
        n_words=len(base.words),
        settings=base.settings,
        networks=networks,
        components=components,
        tuned_components=matched(base, tuned, of=TUNED),
        components_base=with_chance[base.model],
        components_tuned=with_chance[tuned.model],
        rotation=tuple(rotation_row(name, networks, layers, seed) for name, layers in groups.items()),
        figure8=figure8({side.model: variances(side) for side in (base, tuned)}, n_components),
        chance=tuple(
            row for side in (base, tuned) for row in chance_rows(side.model, with_chance[side.model], side.chance)
        ),
        trend=rotation_trend(networks, seed),
    )


def _plain(row: RotationTrend | WrittenTest | None) -> dict[str, Any] | None:
    return None if row is None else asdict(row)


def _of_noise(networks: pl.DataFrame | None, groups: Groups, seed: int) -> tuple[RotationRow, ...]:
    if networks is None:
        return ()
    rows = (rotation_row(name, networks, layers, seed) for name, layers in groups.items())
    return tuple(replace(row, is_noise=True) for row in rows)


def _network_differences(base: ConceptReading, tuned: ConceptReading) -> list[str]:
    shapes = [{network: len(rows) for network, rows in side.directions.items()} for side in (base, tuned)]
    if shapes[0] == shapes[1]:
        return []
    counts = [f"{sum(shape.values())} of {len(shape)} networks" for shape in shapes]
    return [f"the components that were read are not of the same networks ({counts[0]} against {counts[1]})"]


def _unmatched(own: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    matches = others.select(*PLACE, rank="match_rank")
    return own.join(matches, on=[*PLACE, "rank"], how="anti", maintain_order="left")
