"""What each row of the comparison of annotations holds. A number that is not defined for its data is None, never NaN.

Shares are of usable answers: "interpreted" of the components whose description could be read, a category of the
interpreted components whose answer on it could be read. ``layers`` is a group of neighbouring layers, counted from 0,
written "0-7"; "all" takes all of them. The spread of a share is over an annotator's repeats.
"""

from dataclasses import dataclass

from aftertune.statistics.spread import Interval, Spread


@dataclass(frozen=True)
class CategoryRow:
    """Tables 5 and 6: the share of interpreted components that carry a category; ``difference`` is tuned - base.

    ``kind`` is "scenario", "level", or "interpreted" for the share of components that could be described at all. All
    tests are two-sided; Holm's correction is over the scenarios, and over the levels. ``p_value`` (Welch's) and
    ``p_value_permutation`` compare the models' repeats, as does ``effect_size_g``: they tell of the annotator's noise
    on these very components. ``p_value_components`` and ``difference_interval`` (95 %, bootstrap) tell of the choice of
    components: the models change sides at random places, and places are drawn again.
    """

    kind: str
    category: str
    base: Spread
    tuned: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    p_value_permutation_holm: float | None
    p_value_components: float | None
    p_value_components_holm: float | None
    effect_size_g: float | None


@dataclass(frozen=True)
class Figure3Row:
    """The share of a group's interpreted components that are of a linguistic level, in one model."""

    model: str
    layers: str
    level: str
    share: Spread


@dataclass(frozen=True)
class Figure7Row:
    """The share of components that could be described, in a group of layers and a band of ranks ("1-30"; "all")."""

    model: str
    layers: str
    ranks: str
    share: Spread


@dataclass(frozen=True)
class AgreementRow:
    """How far an annotator's repeats agree on the components of one model, on a ``question``.

    ``kappa`` is Fleiss', of "interpreted", of each scenario (carried or not), and of "level" (which of the four), over
    the ``n_components`` that have a usable answer in all of the ``n_repeats``.
    """

    model: str
    question: str
    n_components: int
    n_repeats: int
    kappa: float | None


@dataclass(frozen=True)
class UnparsedRow:
    """Of the ``n_answers`` to a step, how many were none of those allowed."""

    model: str
    step: str
    n_answers: int
    n_unparsed: int
