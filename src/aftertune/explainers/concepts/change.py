"""What was found between two readings of feed-forward layers, and what can be asked of it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.explainers.concepts.matches import PLACE
from aftertune.explainers.concepts.rows import ChanceRow, Figure8Row, RotationRow, RotationTrend
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result

PLAIN = ("base", "tuned", "layers", "n_networks", "n_components", "d_model", "n_words")


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
    components of the model (`concept_chance`); both are null where chance was not measured, and ``chance`` is empty.
    ``angle`` is in degrees; ``gap`` is how far its variance lies from the nearest other of the same network, as a share
    of itself: with a small one, an angle tells little. ``tuned_components`` is the mirror: ``rank``, ``gap`` and
    ``words_kept`` are those of the tuned component, ``match_rank`` is that of base.

    At most ``n_components`` were read of a network, in ``d_model`` dimensions, with a vocabulary of ``n_words``.
    """

    base: str
    tuned: str
    layers: tuple[int, ...]
    n_networks: int
    n_components: int
    d_model: int
    n_words: int
    networks: pl.DataFrame
    components: pl.DataFrame
    tuned_components: pl.DataFrame
    rotation: tuple[RotationRow, ...]
    figure8: tuple[Figure8Row, ...]
    chance: tuple[ChanceRow, ...]
    trend: RotationTrend

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
        """All tables by name: ``components, tuned_components, networks, rotation, figure8, chance``.

        The last three have the columns of their rows (`aftertune.explainers.concepts.rows`), a mean or an interval in
        columns of their own: ``subspace_angle_mean, component_angle_interval_low``.
        """
        kinds = {"rotation": RotationRow, "figure8": Figure8Row, "chance": ChanceRow}
        frames = {name: getattr(self, name) for name in ("components", "tuned_components", "networks")}
        return frames | {name: frame_of(getattr(self, name), kind) for name, kind in kinds.items()}

    def to_dict(self) -> dict[str, Any]:
        """Rotation, figure 8, chance, the trend and the rows of ``networks`` as plain JSON data, without components."""
        data = {name: getattr(self, name) for name in PLAIN}
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("rotation", "figure8", "chance")}
        data |= rows | {"trend": asdict(self.trend), "networks": self.networks.to_dicts()}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_networks": self.n_networks, "n_components": self.n_components}
        return {"base": self.base, "tuned": self.tuned} | sizes


def _unmatched(own: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    matches = others.select(*PLACE, rank="match_rank")
    return own.join(matches, on=[*PLACE, "rank"], how="anti", maintain_order="left")
