"""Number, mean and standard deviation of a group of scores, and what stands for all groups together."""

from dataclasses import dataclass

from aftertune.statistics.scores import Scores

POOLED = "all"


@dataclass(frozen=True)
class Spread:
    """Number, mean and standard deviation of scores; None for what an empty group has not.

    ``std`` divides by n (ddof 0): on the released maps this comes within 0.008 of each published ± of tables 1 and 2,
    where dividing by n - 1 is up to 0.019 away.
    """

    n: int
    mean: float | None
    std: float | None

    @classmethod
    def of(cls, scores: Scores) -> "Spread":
        """The spread of scores (n,)."""
        return cls(len(scores), float(scores.mean()), float(scores.std())) if len(scores) else cls(0, None, None)
