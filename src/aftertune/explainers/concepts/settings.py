"""What is read of every feed-forward network, and in which layers."""

from dataclasses import dataclass, field

from aftertune.errors import AttributionError
from aftertune.models.layers import chosen_layers, must_be_layers
from aftertune.words import WordSource


@dataclass(frozen=True)
class ConceptPlan:
    """How feed-forward networks are read; the defaults are the paper's (METHOD 3).

    ``n_components`` principal components of each network (R) get ``n_words`` words each (K). ``layers`` is "0-7" or
    "0,4,8-11", by default all. Raises `AttributionError` for numbers below 1 and for layers that can't be read.
    """

    n_components: int = 300
    n_words: int = 15
    layers: str | None = None

    def __post_init__(self) -> None:
        for name in ("n_components", "n_words"):
            if getattr(self, name) < 1:
                raise AttributionError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        must_be_layers(self.layers)

    def chosen_layers(self, n_layers: int) -> tuple[int, ...]:
        """The layers to read of a model that has ``n_layers``; raises `AttributionError` if it lacks one of them."""
        return chosen_layers(self.layers, n_layers)


@dataclass(frozen=True)
class ConceptStudy:
    """How the feed-forward layers of two models are compared.

    ``words`` are those of `aftertune.read_concepts`; ``plan`` says what is read.
    """

    words: WordSource = None
    plan: ConceptPlan = field(default_factory=ConceptPlan)
