"""What is read of every attention head, in which layers, with which words, and which words are asked about."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from aftertune.explainers.heads.verbs import chosen_verbs
from aftertune.explainers.layers import chosen_layers, must_be_layers
from aftertune.explainers.settings import Settings, setting


class HeadSettings(Settings):
    """How heads are read and compared; the defaults are those of the paper's released run.

    ``words`` and ``vectors`` are what `aftertune.load_words` and `aftertune.load_vectors` take. ``verbs`` are the words
    asked about (table 3): a list, a file, or by default the instruction verbs; ``verbs_name`` is what texts call them.

    ``n_top`` words are taken for each neuron (the paper's K), ``n_pairs`` word pairs kept for each neuron pair and
    head, and ``n_frequent`` frequent words give a word's threshold. ``n_draws`` is the number of draws of each control,
    0 for none, from ``seed``. ``noise_models`` is the number of models that are read beside each
    pair: the base with noise of the size of the change in every weight; 0 for none, and then no change is claimed.
    ``layers`` is "0-7" or "0,4,8-11", by default all. ``min_coverage`` is the share of words
    that must have a vector for anything to be read. Raises `AttributionError` for what is not allowed.
    """

    words: Any = setting(
        None, "Words to read weights with: list, list with frequencies, or text; by default English words.", file="file"
    )
    vectors: Any = setting(
        None, "Word vectors: GloVe, word2vec, fastText, .npz, .safetensors, or hub id; by default spaCy's.", file="name"
    )
    verbs: Any = setting(
        None,
        "File of words to ask about in heads (table 3), instead of the instruction verbs.",
        scope="change",
        file="file",
    )
    verbs_name: str | None = setting(None, "What texts call the words asked about.", scope="change", flag="")
    n_top: int = setting(100, "Words taken for each neuron.", flag="", ge=2)
    n_pairs: int = setting(100, "Word pairs kept for each neuron pair and each head.", flag="", ge=1)
    n_frequent: int = setting(3000, "Frequent words that give a word's threshold.", flag="", ge=2)
    n_draws: int = setting(1, "Draws of each control; 0 for none.", flag="", ge=0)
    seed: int = setting(0, "Seed of the draws.", flag="", ge=0)
    noise_models: int = setting(
        1, "Models with noise of the size of the change, read beside the tuned one; 0 for none.", scope="units", ge=0
    )
    layers: str | None = setting(None, "Layers that are read, as 0-7 or 0,4,8-11; by default all.", scope="units")
    min_coverage: float = setting(0.5, "Least share of the words that must have a vector.", scope="units", ge=0, le=1)

    @model_validator(mode="after")
    def _layers_can_be_read(self) -> Self:
        must_be_layers(self.layers)
        return self

    def chosen_layers(self, n_layers: int) -> tuple[int, ...]:
        """The layers to read of a model that has ``n_layers``; raises `AttributionError` if it lacks one of them."""
        return chosen_layers(self.layers, n_layers)

    @property
    def chosen_verbs(self) -> tuple[Sequence[str] | None, str]:
        """The words asked about, None for the instruction verbs, and what texts call them.

        Raises `WordError` for a file or a list that can't be used.
        """
        words, name = chosen_verbs(self.verbs)
        return words, self.verbs_name or name

    def remembered(self) -> dict[str, Any]:
        """The words asked about themselves, so that a report can be written again without the file of them."""
        words, name = self.chosen_verbs
        is_file = isinstance(self.verbs, str | Path)
        return {
            "verbs": None if words is None else list(words),
            "verbs_name": name if is_file else self.verbs_name,
        }
