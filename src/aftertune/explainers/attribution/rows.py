"""What each row of the comparison holds. A number that is not defined for its data is None, never NaN.

P-values are one-sided as in the paper ("followed" or "tuned" is greater) unless named two-sided; intervals are 95 %
bootstrap intervals; ``effect_size_g`` is Hedges' g. A row with ``pooled`` takes all data sets together; it answers
the same question again, so Holm's correction, which is over the data sets, leaves it out.
"""

from dataclasses import dataclass

from aftertune.statistics.intervals import Interval
from aftertune.statistics.spread import Spread


@dataclass(frozen=True)
class Table1Row:
    """Followed against unfollowed responses of one model on one data set; ``difference`` is followed - unfollowed.

    ``p_value`` is Welch's, ``p_value_permutation`` that of a permutation test within data sets; ``auroc`` is the
    probability that a followed response outscores an unfollowed one.
    """

    dataset: str
    model: str
    followed: Spread
    unfollowed: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_two_sided: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    effect_size_g: float | None
    auroc: float | None
    auroc_interval: Interval | None
    pooled: bool = False


@dataclass(frozen=True)
class Paired:
    """Tuned minus base on the prompts that both models answered; p-values are of the paired t-test."""

    n_pairs: int
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_two_sided: float | None
    p_value_holm: float | None


@dataclass(frozen=True)
class Table2Row:
    """Base against tuned on one data set; ``difference`` is tuned - base.

    P-values are Welch's, but ``p_value_permutation`` is that of a permutation test within data sets.
    """

    dataset: str
    base: Spread
    tuned: Spread
    difference: float | None
    difference_interval: Interval | None
    p_value: float | None
    p_value_two_sided: float | None
    p_value_holm: float | None
    p_value_permutation: float | None
    effect_size_g: float | None
    paired: Paired
    pooled: bool = False


@dataclass(frozen=True)
class Figure6Row:
    """Shares of the density that fall on the four quarters of sentences, averaged over ``n`` prompts; they sum to 1."""

    dataset: str
    model: str
    quarters: tuple[float, float, float, float]
    n: int


@dataclass(frozen=True)
class InstanceRow:
    """One prompt under both models; what a model has no map of is None.

    ``score`` is that behind tables 1 and 2, ``score_novel`` the same without copied response tokens; ``copied_share``
    and ``repetitive`` say how much of the response stood before (`aftertune.explainers.attribution.repetition`).
    """

    id: str
    dataset: str
    score_base: float | None
    score_tuned: float | None
    difference: float | None
    score_novel_base: float | None
    score_novel_tuned: float | None
    copied_share_base: float | None
    copied_share_tuned: float | None
    repetitive_base: bool | None
    repetitive_tuned: bool | None
    helpfulness_base: int | None
    helpfulness_tuned: int | None
    n_prompt_base: int | None
    n_prompt_tuned: int | None
    n_response_base: int | None
    n_response_tuned: int | None


@dataclass(frozen=True)
class RaterRow:
    """How far raters agree on "ratings" or "instructions": Krippendorff's alpha, None where all answers are the same.

    ``n_units`` counts the responses, or the characters, that two or more raters judged; they are of ``n_prompts``.
    """

    what: str
    n_raters: int
    n_units: int
    n_prompts: int
    alpha: float | None
    alpha_interval: Interval | None
