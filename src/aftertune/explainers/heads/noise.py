"""The base's heads with noise of the size of the change in its weights, and how strongly heads respond to a pair.

Beside each pair of models, for each draw of noise, a layer at a time:
1. The lists of word pairs of the noisy heads, read as those of the models are; without controls.
2. Strengths: for each pair of a list of base or tuned, x' W_q W_k' y of the unit input embeddings of its words, in
   base, tuned and noise. Of both orders of the two words the one whose strength tuning changed more.
3. The scale of a head: the root mean square of what noise changes in the strength of its pairs, in both orders.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from aftertune.explainers.heads.cooccurrence import Lexicon
from aftertune.explainers.heads.layer import read_layer
from aftertune.explainers.heads.list_changes import UNORDERED
from aftertune.explainers.heads.result import HEADS, NOISE_PARTS, STRENGTHS, noise_role
from aftertune.models.loaded import Checkpoint
from aftertune.models.vocabulary import WordEmbeddings, embed_words
from aftertune.models.weight_noise import Norms, WeightNoise
from aftertune.models.weights import query_key_weights
from aftertune.runs.layer_parts import Frames
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.runs.turns import Tell

Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NoisyHeads:
    """The heads of a pair's base with noise, to be read into a run beside those of base and tuned."""

    base: Checkpoint
    tuned: Checkpoint
    pair: Pair
    lexicon: Lexicon
    norms: Norms
    run: RunFolder
    layers: Sequence[int]

    def fill(self, draw: int, tell: Tell) -> None:
        """Read the layers of a draw that are not there yet. The base is left as it was."""
        noise = WeightNoise(self.base, self.norms, draw, self.lexicon.settings.seed)
        with ExitStack() as stack:  # noise is put in by who has a layer to read
            embedded = cache(lambda: self._embedded_words(noise, stack))

            def read(layer: int) -> Frames:
                base, tuned, noisy, embeddings = embedded()
                before = self._strengths(self.base, layer, base), self._strengths(self.tuned, layer, tuned)
                with noise.in_layer(layer):
                    frames = read_layer(self.base, layer, self.lexicon, embeddings, with_controls=False)
                    after = self._strengths(self.base, layer, noisy)
                strengths = strength_frame(layer, self.pairs[layer], *before, after)
                return {"neurons": frames["neurons"], "pairs": frames["pairs"], "strengths": strengths}

            role = noise_role(self.pair, draw)
            NOISE_PARTS.fill(self.run, role, self.layers, read, lambda _, done, total: tell(done, total))

    def _embedded_words(self, noise: WeightNoise, stack: ExitStack) -> tuple[Tensor, Tensor, Tensor, WordEmbeddings]:
        """The words of all pairs in base, tuned and noise, and the vocabulary; noise stays in the base's embeddings."""
        clean = self._embedded(self.base), self._embedded(self.tuned)
        stack.enter_context(noise.outside_layers())
        return *clean, self._embedded(self.base), WordEmbeddings(self.base, self.lexicon.words.words)

    @cached_property
    def pairs(self) -> dict[int, pl.DataFrame]:
        """The pairs of a list of base or tuned in each layer: ``head, word_a, word_b``."""
        found = {}
        for layer in self.layers:
            lists = [frames["pairs"] for role in self.pair for frames in HEADS.frames_of(self.run, role, [layer])]
            found[layer] = pl.concat(lists).select("head", *UNORDERED).unique().sort("head", *UNORDERED)
        return found

    @cached_property
    def _words(self) -> pl.Series:
        """The words of all pairs, each once."""
        columns = [frame[name] for frame in self.pairs.values() for name in UNORDERED]
        return pl.concat(columns).unique().sort()

    def _embedded(self, checkpoint: Checkpoint) -> Tensor:
        return normalize(embed_words(checkpoint, self._words.to_list()), dim=1)

    def _strengths(self, checkpoint: Checkpoint, layer: int, embedded: Tensor) -> Numbers:
        pairs = self.pairs[layer]
        places = [self._words.search_sorted(pairs[name]).to_numpy() for name in UNORDERED]
        return strengths(*query_key_weights(checkpoint, layer), embedded, pairs["head"].to_numpy(), places)


@torch.inference_mode()
def strengths(
    query: Tensor, key: Tensor, embedded: Tensor, heads: npt.NDArray[np.integer], places: Sequence[Places]
) -> Numbers:
    """x' W_q W_k' y (n_pairs, 2) of pairs of words in both orders: the first word the query's, then the second.

    ``query`` (n_heads, d_head, d_model) and ``key`` (n_key_heads, d_head, d_model) are the weights of a layer,
    ``embedded`` (n_words, d_model) the words. Of each pair ``heads`` (n_pairs,) has the query head, ``places`` of both
    words (n_pairs,) each.
    """
    sharing, found = len(query) // len(key), np.empty((len(heads), 2))
    for head in np.unique(heads):
        own = heads == head
        sides = [torch.from_numpy(some[own].astype(np.int64)).to(embedded.device) for some in places]
        asked = [embedded[side] @ query[head].T for side in sides]
        offered = [embedded[side] @ key[head // sharing].T for side in sides]
        for order in (0, 1):
            found[own, order] = (asked[order] * offered[1 - order]).sum(1).cpu().numpy()
    return found


def strength_frame(layer: int, pairs: pl.DataFrame, base: Numbers, tuned: Numbers, noise: Numbers) -> pl.DataFrame:
    """The rows of ``STRENGTHS`` of one layer; strengths (n_pairs, 2) are those of `strengths`."""
    change, by_noise = tuned - base, noise - base
    order = np.abs(change).argmax(axis=1)
    rows = np.arange(len(order))
    squares = pairs.select("head").with_columns(square=pl.Series((by_noise**2).mean(axis=1), dtype=pl.Float64))
    scale = squares.select(pl.col("square").mean().over("head").sqrt())["square"]
    values = {"base": base, "tuned": tuned, "noise": noise}
    columns = {name: value[rows, order] for name, value in values.items()}
    found = pairs.with_columns(layer=layer, is_turned=pl.Series(order == 1), scale=scale, **_series(columns))
    return found.select(*STRENGTHS).cast(pl.Schema(STRENGTHS))


def _series(columns: dict[str, Numbers]) -> dict[str, pl.Series]:
    return {name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}
