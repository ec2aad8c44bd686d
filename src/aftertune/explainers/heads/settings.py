"""What is read of every attention head, in which layers, with which words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aftertune.errors import AttributionError
from aftertune.models.layers import chosen_layers, must_be_layers
from aftertune.words import WordSource


@dataclass(frozen=True)
class HeadPlan:
    """How heads are read; the defaults are those of the paper's released run (METHOD 2).

    ``n_top`` words are taken for each neuron (K), ``n_pairs`` word pairs kept for each neuron pair and head, and
    ``n_frequent`` frequent words give a word's threshold. ``n_draws`` is the number of draws of each control, 0 for
    none, from ``seed``. ``layers`` is "0-7" or "0,4,8-11", by default all. ``min_coverage`` is the share of words that
    must have a vector for anything to be read. Raises `AttributionError` for numbers that are too small and for layers
    that can't be read.
    """

    n_top: int = 100
    n_pairs: int = 100
    n_frequent: int = 3000
    n_draws: int = 1
    seed: int = 0
    layers: str | None = None
    min_coverage: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("n_top", 2), ("n_pairs", 1), ("n_frequent", 2), ("n_draws", 0)):
            if getattr(self, name) < least:
                raise AttributionError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        must_be_layers(self.layers)

    def chosen_layers(self, n_layers: int) -> tuple[int, ...]:
        """The layers to read of a model that has ``n_layers``; raises `AttributionError` if it lacks one of them."""
        return chosen_layers(self.layers, n_layers)


@dataclass(frozen=True)
class HeadStudy:
    """How the heads of two models are compared.

    ``words`` and ``vectors`` are those of `aftertune.read_heads`. ``verbs`` are the words asked about (table 3): a
    list, a file, or by default the instruction verbs. ``plan`` says what is read.
    """

    words: WordSource = None
    vectors: Any = None
    verbs: Sequence[str] | str | Path | None = None
    plan: HeadPlan = field(default_factory=HeadPlan)
