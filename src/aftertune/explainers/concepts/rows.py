"""What each row of the comparison of concepts holds. A number that is not defined for its data is None, never NaN.

``layers`` is a group of neighbouring layers, counted from 0, written "0-7"; "all" takes all of them. Angles are in
degrees, from 0 (the same direction, whichever way it points) to 90. Intervals are 95 % bootstrap intervals.
"""

from dataclasses import dataclass

from aftertune.statistics.intervals import Interval
from aftertune.statistics.spread import Spread


@dataclass(frozen=True)
class RotationRow:
    """How far tuning turned the components of a group of layers, networks counting once.

    ``subspace_angle`` is the mean over networks of the mean principal angle between the spaces that the components of
    base and tuned span; ``largest_angle`` that of the largest one. ``component_angle`` is the mean over networks of
    the mean angle between a base component and its best match, ``kept_in_order`` the share of base components whose
    best match has the same rank. ``variance_kept`` is the share of the tuned components' variance that lies within the
    space of the base components. ``words_kept`` is the mean share of a base component's words that its best match
    has too. Intervals resample networks.

    ``separated_angle`` is ``component_angle`` of the ``n_separated`` base components that are well separated: whose
    variance differs from any other's by at least 1 % of itself. Others may mix whatever tuning did. Networks without
    one are left out.
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


@dataclass(frozen=True)
class RotationTrend:
    """Did deeper networks turn more?  Spearman's rank correlation of layer and angle, over networks.

    The angle is the mean from a component to its best match, and for ``subspace_correlation`` the mean principal
    angle. The two-sided p-values are of permutations of whole layers.
    """

    n_layers: int
    n_networks: int
    correlation: float | None
    p_value: float | None
    subspace_correlation: float | None
    subspace_p_value: float | None


@dataclass(frozen=True)
class ChanceRow:
    """Of how many components of ``model`` are the words nearer than chance would give?

    ``ranks`` is "1", "1-10", "1-100" or "all"; ``n`` are its components, of every network. ``nearest`` is the median
    |cosine| of their nearest word, ``nearest_by_chance`` that of random directions. ``near`` is the share whose
    p-value is at most 0.05, which is 0.05 if there is nothing but chance. ``n_beyond``, a share ``beyond`` of them, are
    beyond chance after a correction over all components of the model.
    """

    model: str
    ranks: str
    n: int
    nearest: float
    nearest_by_chance: float
    near: float
    n_beyond: int
    beyond: float
    pooled: bool = False


@dataclass(frozen=True)
class Figure8Row:
    """Accumulated share of variance of a model's first ``rank`` components: mean and spread over networks."""

    model: str
    rank: int
    accumulated: Spread
