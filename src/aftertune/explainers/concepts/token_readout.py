"""Which vocabulary tokens lie along directions of the stream, and how far do they stand out?

1. The output embeddings of all tokens but special ones: centred on their mean, each then of unit length.
2. Along a direction u: the product of each with u, as z, the number of standard deviations from the mean over tokens.
   What lies in many tokens alike (their mean, a common length) says nothing of a direction, so it is taken out.
3. Of a direction the tokens of largest z, of either sign, each word once, and the largest |z| of any token.
Everything in one pass over the embeddings, block by block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from aftertune.models.loaded import Checkpoint
from aftertune.models.vocabulary import embedding_matrix
from aftertune.prompts.encoding import show_tokens

DIRECTIONS_AT_ONCE, TOKENS_AT_ONCE = 256, 2048  # their products stay in the caches
N_CANDIDATES = 32  # tokens of a side, of which words that differ in case or space are then listed once
TINY = 1e-30
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Readout:
    """Of directions: the largest |z| (n,) of any token; of the first of them, for each sign, words and their z."""

    largest: Numbers
    words: list[list[list[str]]]
    z: list[list[list[float]]]


class TokenReadout:
    """The output embeddings of a model, ready to be read along directions."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._matrix, self._tokenizer = embedding_matrix(checkpoint, "output"), checkpoint.tokenizer
        self._ids = torch.tensor(readable_tokens(self._tokenizer, len(self._matrix)), device=self._matrix.device)
        self._mean = torch.stack([rows.double().sum(0) for _, rows in self._rows()]).sum(0) / len(self._ids)

    def __call__(self, directions: Tensor, n_named: int, n_words: int) -> Readout:
        """Read ``directions`` (n, d_model); the ``n_named`` first of them get ``n_words`` words for each sign."""
        directions = directions.to(self._matrix.device, torch.float32)
        sums = torch.zeros(2, len(directions), dtype=torch.float64, device=directions.device)
        ends, best = torch.zeros(2, len(directions), device=directions.device), (_Best(1), _Best(-1))
        ends[0], ends[1] = torch.inf, -torch.inf
        for start, block in self._centred():
            for first in range(0, len(directions), DIRECTIONS_AT_ONCE):
                at = slice(first, first + DIRECTIONS_AT_ONCE)
                products = directions[at] @ block.T
                sums[0, at] += products.sum(1, dtype=torch.float64)
                sums[1, at] += torch.linalg.vector_norm(products, dim=1).double().square()
                low, high = products.aminmax(dim=1)
                ends[0, at], ends[1, at] = torch.minimum(ends[0, at], low), torch.maximum(ends[1, at], high)
                for side in best if first < n_named else ():
                    side.add(first, products[: n_named - first], start)
        mean = sums[0] / len(self._ids)
        deviation = (sums[1] / len(self._ids) - mean.square()).clamp(min=TINY).sqrt()
        largest = ((ends.double() - mean) / deviation).abs().amax(0)
        sides = [self._named(side, mean.cpu(), deviation.cpu(), n_words) for side in best]
        both = list(zip(*sides, strict=True))
        words, z = ([[side[which] for side in row] for row in both] for which in (0, 1))
        return Readout(largest.cpu().numpy(), words, z)

    def _named(self, side: "_Best", mean: Tensor, deviation: Tensor, n: int) -> list[tuple[list[str], list[float]]]:
        """Of each direction the words of a side, and their z, positive."""
        rows = enumerate(side.rows())
        return [self._distinct(places, side.sign * (v - mean[row]) / deviation[row], n) for row, (v, places) in rows]

    def _distinct(self, places: Tensor, z: Tensor, n: int) -> tuple[list[str], list[float]]:
        """The first ``n`` words, those that differ in case or space once, as their first token is written."""
        texts = show_tokens(self._tokenizer, self._ids[places].tolist())
        found: dict[str, tuple[str, float]] = {}
        for text, value in zip(texts, z.tolist(), strict=True):
            found.setdefault(text.strip().lower() or text, (text.strip() or text, value))
        first = list(found.values())[:n]
        return [text for text, _ in first], [value for _, value in first]

    def _rows(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self._ids), TOKENS_AT_ONCE):
            yield start, self._matrix[self._ids[start : start + TOKENS_AT_ONCE]]

    def _centred(self) -> Iterator[tuple[int, Tensor]]:
        mean = self._mean.float()
        for start, rows in self._rows():
            yield start, normalize(rows.float() - mean, dim=1)


class _Best:
    """The tokens of largest product of each of the first directions, for one sign: their products and places."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self._found: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, first: int, products: Tensor, start: int) -> None:
        """Products (n, n_block) of directions from ``first`` on with tokens from ``start`` on."""
        top = products.topk(min(N_CANDIDATES, products.shape[1]), dim=1, largest=self.sign > 0)
        values, places = top.values.cpu(), top.indices.cpu() + start
        if first in self._found:
            before = self._found[first]
            values, places = torch.cat([before[0], values], 1), torch.cat([before[1], places], 1)
            kept = values.topk(min(N_CANDIDATES, values.shape[1]), dim=1, largest=self.sign > 0)
            values, places = kept.values, places.gather(1, kept.indices)
        self._found[first] = values, places

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Of each direction the products and the places, the largest first."""
        for _, (values, places) in sorted(self._found.items()):
            yield from zip(values, places, strict=True)


def readable_tokens(tokenizer: Any, n_rows: int) -> list[int]:
    """The ids of all tokens that have an embedding, but special and added ones."""
    left_out = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    found = [id for id in range(min(len(tokenizer), n_rows)) if id not in left_out]
    return found or list(range(n_rows))


def word_tokens(tokenizer: Any, ids: Sequence[int]) -> tuple[list[int], list[str]]:
    """Those of the ids that are whole words of three letters or more, and the words."""
    texts = show_tokens(tokenizer, ids)
    words = [(id, text) for id, text in zip(ids, texts, strict=True) if text.strip().isalpha() and len(text) > 2]
    spaced = [(id, text) for id, text in words if text[:1].isspace() and len(text) > 3]
    chosen = spaced or words
    return [id for id, _ in chosen], [text.strip() for _, text in chosen]
