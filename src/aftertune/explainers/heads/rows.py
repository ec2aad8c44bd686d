"""What each row of the comparison of heads holds. A number that is not defined for its data is None, never NaN.

``layers`` is a group of neighbouring layers, counted from 0, written "0-7"; "all" is the pooled row, which Holm's
correction leaves out. Intervals are 95 % bootstrap intervals. A control is the same number from lists in which word
vectors were given to other words: "permuted" to any, "frequency-matched" to words about as frequent.
"""

from dataclasses import dataclass

from aftertune.statistics.intervals import Interval
from aftertune.statistics.spread import Spread


@dataclass(frozen=True)
class Figure2Control:
    """Figure 2 from one kind of control; ``excess`` is the observed distance minus the control's, head by head.

    Of heads, ``excess_interval`` and the one-sided ``excess_p_value`` (that the excess is above 0) are over words; the
    latter is None where too few words stand in pairs. Of neuron pairs there is an interval only, over heads.
    """

    control: str
    distance: float | None
    excess: float | None
    excess_interval: Interval | None
    excess_p_value: float | None


@dataclass(frozen=True)
class Figure2Row:
    """How far the lists of base and tuned lie apart in one group of layers: 1 - |A and B| / |A or B|.

    ``level`` is "head" or "neuron pair". A head's distance at the level of neuron pairs is the mean over its neuron
    pairs; heads (and neuron pairs) without any word pair in both models are left out. ``distance`` has the number of
    heads, the mean and the standard deviation; intervals resample heads.
    """

    level: str
    layers: str
    distance: Spread
    interval: Interval | None
    controls: tuple[Figure2Control, ...]
    pooled: bool = False


@dataclass(frozen=True)
class DepthControl:
    """The depth trend under one kind of control: of its distances, and of ``excess``, observed minus control."""

    control: str
    correlation: float | None
    p_value: float | None
    excess_correlation: float | None
    excess_p_value: float | None


@dataclass(frozen=True)
class DepthTrend:
    """Do the lists of deeper heads change more?  Spearman's rank correlation of layer and distance, over heads.

    The two-sided p-values are of permutations of whole layers, so that heads of one layer may be alike.
    """

    n_layers: int
    n_heads: int
    correlation: float | None
    p_value: float | None
    controls: tuple[DepthControl, ...]


@dataclass(frozen=True)
class Table3Control:
    """Table 3 from one kind of control: both means and the p-value of Welch's test, two-sided."""

    control: str
    instruction: float | None
    general: float | None
    difference: float | None
    p_value: float | None


@dataclass(frozen=True)
class Table3Row:
    """For one group of layers: of the heads in which the number of pairs with a verb changed, the share that grew.

    ``instruction`` and ``general`` spread over the verbs of that kind for which at least one head changed, each verb
    counting once, as shares from 0 to 1. P-values are two-sided: Welch's as in the paper, and of a permutation test of
    Welch's t; ``p_value_matched`` is the share of random sets of words as frequent as the instruction verbs whose mean
    lies as far from that of the general verbs, in either direction. ``effect_size_g`` is Hedges' g.
    """

    layers: str
    instruction: Spread
    general: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    p_value_permutation_holm: float | None
    matched: float | None
    p_value_matched: float | None
    effect_size_g: float | None
    controls: tuple[Table3Control, ...]
    pooled: bool = False
