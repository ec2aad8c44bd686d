"""What reading a model's attention heads found: word pairs of every neuron pair and of every head (paper 5.1).

In a run folder it is four Parquet parts for each layer, and the vocabulary once. Beside each pair of models are, for
each draw of noise of the size of the change, the noisy base's lists and the strengths of word pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import ConfigDict
from typing_extensions import TypedDict

from aftertune.runs.layer_parts import Frames, LayerParts
from aftertune.runs.records import OfNoise, identity_of, record_of
from aftertune.runs.result import Result
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

PAIR = {"rank": pl.Int32, "word_a": pl.String, "word_b": pl.String, "n_neurons": pl.Int32}
HEAD = {"layer": pl.Int16, "head": pl.Int16}
CONTROL = {"control": pl.String, "draw": pl.Int16}

NEURONS = {
    **HEAD,
    "neuron": pl.Int16,
    "rank": pl.Int16,
    "energy": pl.Float64,
    "query_word": pl.String,
    "key_word": pl.String,
    "cosine": pl.Float32,
}
PAIRS = {**HEAD, **PAIR}
CONTROLS = {**CONTROL, **HEAD, **PAIR}
CONTROL_NEURONS = {**CONTROL, **HEAD, "neuron": pl.Int16, "query": pl.Int32, "key": pl.Int32}
FRAMES: Mapping[str, Mapping[str, Any]] = {
    "neurons": NEURONS,
    "pairs": PAIRS,
    "controls": CONTROLS,
    "control_neurons": CONTROL_NEURONS,
}
STRENGTHS = {
    **HEAD,
    **{"word_a": pl.String, "word_b": pl.String, "is_turned": pl.Boolean},
    **dict.fromkeys(("base", "tuned", "noise", "scale"), pl.Float64),
}
HEADS = LayerParts("heads", tuple(FRAMES), frozenset({"model", "layers", "n_layers", "n_heads", "d_head"}))
NOISE_PARTS = LayerParts("noise-heads", ("neurons", "pairs", "strengths"), frozenset())
NOISE_SHOWN = "noise-heads.json"


@dataclass(frozen=True, eq=False, repr=False)
class HeadReading(Result):
    """The word pairs that the attention heads of ``model`` connect, in the layers that were read.

    ``neurons`` has a row for each word pair of a neuron pair, at most the ``n_pairs`` of highest cosine: ``layer,
    head, neuron, rank, energy, query_word, key_word, cosine``. ``rank`` is that of the neuron pair in its head by its
    ``energy``, the sum over all words of q^2 + k^2; a neuron pair without any word pair has no row. ``pairs`` has the
    lists of the heads: ``layer, head, rank, word_a, word_b, n_neurons``, lower-cased and unordered (the more frequent
    word is ``word_a``), with the number of the head's neuron pairs that hold the pair. Layers, heads and neurons count
    from 0, ranks from 1.

    ``controls`` and ``control_neurons`` are the same lists with word vectors that were given to other words:
    ``control`` is "permuted" (any other word) or "frequency-matched" (a word about as frequent), ``draw`` counts from
    0; ``query`` and ``key`` are positions in ``words``.

    ``words`` is the vocabulary, most frequent first, ``has_vector`` (n_words,) marks those with a word vector.
    ``settings`` is what must be the same for two readings to be compared.
    """

    model: str
    layers: tuple[int, ...]
    n_layers: int
    n_heads: int
    d_head: int
    words: tuple[str, ...]
    has_vector: npt.NDArray[np.bool_]
    settings: dict[str, Any]
    neurons: pl.DataFrame
    pairs: pl.DataFrame
    controls: pl.DataFrame
    control_neurons: pl.DataFrame

    def heads_with(self, word: str) -> pl.DataFrame:
        """The rows of ``pairs`` that hold a word, by layer, head and rank; none if no head holds it."""
        lowered = word.lower()
        return self.pairs.filter((pl.col("word_a") == lowered) | (pl.col("word_b") == lowered))

    def strongest(self, n_heads: int = 15, n_pairs: int = 4) -> pl.DataFrame:
        """The heads whose first pair is held by most neuron pairs: ``layer, head, n_neurons, pairs``, these as text."""
        pair = pl.format("{}={}", "word_a", "word_b")
        heads = self.pairs.group_by("layer", "head", maintain_order=True).agg(
            pl.col("n_neurons").first(), pair.head(n_pairs).str.join(", ").alias("pairs")
        )
        return heads.sort("n_neurons", "layer", "head", descending=[True, False, False]).head(n_heads)

    def to_polars(self) -> pl.DataFrame:
        """The lists of the heads, ``pairs``: ``layer, head, rank, word_a, word_b, n_neurons``, a row for each pair.

        Layers and heads count from 0, ranks from 1; ``n_neurons`` is a number of neuron pairs.
        """
        return self.pairs

    def to_dict(self) -> dict[str, Any]:
        """The settings, how many words have a vector, and the lists of the heads, as plain JSON data."""
        names = ("model", "layers", "n_layers", "n_heads", "d_head", "settings")
        about = {name: getattr(self, name) for name in names}
        counts = {"n_words": len(self.words), "n_with_vector": int(self.has_vector.sum())}
        return about | counts | {"pairs": self.pairs.to_dicts()}

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.layers), "n_heads": self.n_heads}
        return {"model": self.model} | sizes | {"n_pairs": self.pairs.height, "n_words": len(self.words)}


def open_heads(run: str | Path, role: str = "model") -> HeadReading:
    """The heads that lie in a run folder.

    ``role`` is "model" after ``aftertune heads``; after ``aftertune compare`` it is "base", "tuned", and "tuned-2" and
    so on where there are more.

    Raises `RunError` if there is no run, or its heads are not read, not complete, or damaged.
    """
    folder = RunFolder.open(run)
    HEADS.must_be_of(folder, role)
    return saved_heads(folder, role)


def saved_heads(run: RunFolder, role: str, name: str | None = None) -> HeadReading:
    """The heads of ``role`` that lie in a run, under another ``name`` if one is given.

    Raises `RunError` if they are not there, not complete, or damaged.
    """
    about, found = HEADS.read(run, role)
    words = run.read_frame(HEADS.words)
    return HeadReading(
        words=tuple(words["word"]),
        has_vector=words["has_vector"].to_numpy(),
        settings=identity_of(run, HEADS.settings, dict[str, Any]),
        **about | ({"model": name} if name else {}),
        **join_layers(found),
    )


class AboutWords(TypedDict):
    """What says that two vocabularies are the same."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    source: str


class OfWords(TypedDict):
    """The part of the settings that tells the vocabulary."""

    words: AboutWords


def noise_role(pair: Pair, draw: int) -> str:
    """The role under which a draw of noise of a pair lies in a run."""
    return f"{'-'.join(pair)}-{draw:03d}"


def without_noise(pair: Pair) -> str:
    """The file that says that no noise can be drawn of a pair: nothing changed, or other tensors."""
    return f"noise-heads-{'-'.join(pair)}.json"


def saved_noise(run: RunFolder, pair: Pair, like: HeadReading) -> tuple[list[HeadReading], list[pl.DataFrame]]:
    """The draws of noise of a pair that the run shows, read ``like`` its base, and their strengths; often none.

    Raises `RunError` if one is damaged. What was not measured yet is left out.
    """
    shown = record_of(run, NOISE_SHOWN, OfNoise)["noise_models"] if run.exists(NOISE_SHOWN) else 0
    roles = [noise_role(pair, draw) for draw in range(shown)]
    there = [role for role in roles if all(NOISE_PARTS.is_written(run, role, layer) for layer in like.layers)]
    found = [NOISE_PARTS.frames_of(run, role, like.layers) for role in there]
    joined = [{name: pl.concat([one[name] for one in layers]) for name in NOISE_PARTS.frames} for layers in found]
    plain = replace(like, controls=like.controls.clear(), control_neurons=like.control_neurons.clear())
    noise = [replace(plain, neurons=one["neurons"], pairs=one["pairs"]) for one in joined]
    return noise, [one["strengths"] for one in joined]


def join_layers(layers: Sequence[Frames]) -> dict[str, Any]:
    """The frames of all layers, one below the other."""
    return {name: pl.concat([frames[name] for frames in layers]) for name in FRAMES}
