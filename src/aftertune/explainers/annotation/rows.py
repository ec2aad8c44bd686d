"""What each row of the comparison of annotations holds. A number that is not defined for its data is None, never NaN.

Shares are of usable answers: "interpreted" of the concepts whose description could be read, a category of the
interpreted concepts whose answer on it could be read. ``layers`` is a group of neighbouring layers, counted from 0,
written "0-7"; "all" takes all of them. The spread of a share is over an annotator's repeats.
"""

from dataclasses import dataclass

from aftertune.statistics.intervals import Interval
from aftertune.statistics.spread import Spread


@dataclass(frozen=True)
class CategoryRow:
    """Tables 5 and 6: the share of interpreted concepts that carry a category; ``difference`` is tuned - base.

    ``kind`` is "scenario", "level", or "interpreted" for the share of concepts that could be described at all. All
    tests are two-sided; Holm's correction is over the scenarios, and over the levels. ``p_value`` (Welch's) and
    ``p_value_permutation`` compare the models' repeats, as does ``effect_size_g``: they tell of the annotator's noise
    on these very concepts. ``p_value_concepts`` and ``difference_interval`` (95 %, bootstrap) tell of the choice of
    concepts: the models change sides at random places, and places are drawn again.
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
    p_value_concepts: float | None
    p_value_concepts_holm: float | None
    effect_size_g: float | None


@dataclass(frozen=True)
class Figure3Row:
    """The share of a group's interpreted concepts that are of a linguistic level, in one model."""

    model: str
    layers: str
    level: str
    share: Spread


@dataclass(frozen=True)
class Figure7Row:
    """The share of concepts that could be described, in a group of layers and a band of ranks ("1-30"; "all")."""

    model: str
    layers: str
    ranks: str
    share: Spread


@dataclass(frozen=True)
class AgreementRow:
    """How far an annotator's repeats agree on the concepts of one model, ``asked`` being a category or a question.

    ``kappa`` is Fleiss', of "interpreted", of each scenario (carried or not), and of "level" (which of the four), over
    the ``n_concepts`` that have a usable answer in all of the ``n_repeats``.
    """

    model: str
    asked: str
    n_concepts: int
    n_repeats: int
    kappa: float | None


@dataclass(frozen=True)
class UnparsedRow:
    """Of the ``n_asked`` answers of a step, how many were none of those allowed."""

    model: str
    step: str
    n_asked: int
    n_unparsed: int
