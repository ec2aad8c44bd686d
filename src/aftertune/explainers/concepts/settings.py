"""What is read of every feed-forward network, and in which layers."""

from typing import Any, Self

from pydantic import model_validator

from aftertune.explainers.layers import chosen_layers, must_be_layers
from aftertune.explainers.settings import Settings, setting


class ConceptSettings(Settings):
    """How feed-forward networks are read; the defaults are the paper's (section 5.2).

    ``n_components`` principal components of each network (R) get ``n_words`` (K) of the ``words`` each, which are
    those of `aftertune.load_words`. ``layers`` is "0-7" or "0,4,8-11", by default all. ``noise_models`` is the number
    of models that are read beside each pair: the base with noise of the size of the change in every weight; with 0, no
    words of the change are claimed. Raises `AttributionError` for
    numbers below 1 and for layers that can't be read.
    """

    words: Any = setting(
        None,
        "a list of words, or a text whose words are counted; by default the most frequent English words",
        file="file",
    )
    n_components: int = setting(300, "principal components of each feed-forward network", flag="components", ge=1)
    n_words: int = setting(15, "words of each component", flag="", ge=1)
    noise_models: int = setting(
        1, "Models with noise of the size of the change, read beside the tuned one; 0 for none.", scope="units", ge=0
    )
    layers: str | None = setting(None, "layers to read, as 0-7 or 0,4,8-11; by default all", scope="units")

    @model_validator(mode="after")
    def _must_have_layers(self) -> Self:
        must_be_layers(self.layers)
        return self

    def chosen_layers(self, n_layers: int) -> tuple[int, ...]:
        """The layers to read of a model that has ``n_layers``; raises `AttributionError` if it lacks one of them."""
        return chosen_layers(self.layers, n_layers)
