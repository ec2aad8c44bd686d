"""How far do both models lie apart on each text, and which share of that does a swap have?

A share is a ratio of sums over texts; its interval resamples texts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.location import result
from aftertune.statistics.effects import cluster_bootstrap_interval
from aftertune.statistics.spread import Interval, Scores

Shares = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Whole:
    """The whole change on each text (n_texts,), of which swaps have a share."""

    log_ratio: Scores
    divergence: Scores

    @classmethod
    def of(cls, texts: pl.DataFrame) -> "Whole":
        """The whole change of the texts of a run."""
        return cls(texts["log_ratio"].to_numpy(), texts["divergence"].to_numpy())

    def of_log_ratio(self, part: Scores) -> tuple[float | None, Interval | None]:
        """The share of ``part`` (n_texts,) in the log-ratio, and its interval; None where that is not above 0.

        None as well where ``part`` is not finite: a model with exchanged weights may overflow.
        """
        if not len(part) or self.log_ratio.sum() <= 0 or not np.isfinite(part).all():
            return None, None

        def ratio(times: Scores) -> Scores:
            below = times @ self.log_ratio
            return np.asarray(np.divide(times @ part, below, out=np.full(len(times), np.nan), where=below > 0))

        return float(part.sum() / self.log_ratio.sum()), cluster_bootstrap_interval(len(part), ratio)

    def of_divergence(self, left: Scores) -> float | None:
        """The share of the divergence that is gone where ``left`` (n_texts,) of it is left."""
        total = self.divergence.sum()
        return float(1 - left.sum() / total) if total > 0 and np.isfinite(left).all() else None

    def swap(self, rows: pl.DataFrame) -> Shares:
        """What a swap brings and takes away, as fields of a row."""
        one = {name: rows[name].to_numpy() for name in result.IN_OUT}
        brings, takes = (
            self.of_log_ratio(part) for part in (one["in_log_ratio"], self.log_ratio - one["out_log_ratio"])
        )
        left = self.of_divergence(one["out_divergence"])
        return {
            **{"brings": brings[0], "brings_interval": brings[1], "takes": takes[0], "takes_interval": takes[1]},
            **{"brings_divergence": self.of_divergence(one["in_divergence"])},
            **{"takes_divergence": None if left is None else 1 - left},
        }
