"""What does a model make of whole words?  (Paper 5.1, which pairs words, not sub-word tokens.)

1. A word is tokenised as after a space; a token that is the word boundary alone is dropped.
2. Its embedding is the mean of the embeddings of its tokens, on the input or the output side.
A word that has no token, or one that the tokenizer does not know, has the zero vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize
from transformers import PreTrainedTokenizerBase

from aftertune.errors import CheckpointError
from aftertune.models.products.weight import TallWeight

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

BOUNDARIES = ("▁", "Ġ")
SIDES = ("input", "output")
EMBEDDING_BYTES = 128 * 2**20


@dataclass(frozen=True, eq=False)
class WordTokens:
    """Token ids (n_tokens,) of all words in a row, and the place (n_words + 1,) at which each word begins."""

    ids: Tensor
    starts: Tensor

    def __len__(self) -> int:
        return len(self.starts) - 1

    def cut(self, start: int, stop: int) -> WordTokens:
        """The tokens of the words from ``start`` to ``stop``."""
        starts = self.starts[start : stop + 1]
        return WordTokens(self.ids[starts[0] : starts[-1]], starts - starts[0])


def tokenize_words(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> WordTokens:
    """The token ids of each word as after a space; a word that the tokenizer does not know has none."""
    if not words:
        return WordTokens(torch.empty(0, dtype=torch.long), torch.zeros(1, dtype=torch.long))
    before = "" if _adds_boundary(tokenizer) else " "
    spaced = [before + word for word in words]
    found = tokenizer(spaced, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    boundaries = set(tokenizer.convert_tokens_to_ids(list(BOUNDARIES))) - {tokenizer.unk_token_id, None}
    kept = [_without(ids, boundaries, tokenizer.unk_token_id) for ids in found]
    lengths = torch.tensor([0, *map(len, kept)])
    return WordTokens(torch.tensor([id for ids in kept for id in ids], dtype=torch.long), lengths.cumsum(0))


def embed_words(checkpoint: Checkpoint, words: Sequence[str], side: str = "input") -> Tensor:
    """Embeddings (n_words, d_model) of whole words, in float32 (float64 for a model in float64).

    ``side`` is "input" or "output"; with tied embeddings both are the same. Raises `CheckpointError` for another side.
    """
    return mean_embeddings(embedding_matrix(checkpoint, side), tokenize_words(checkpoint.tokenizer, words))


def embedding_matrix(checkpoint: Checkpoint, side: str) -> Tensor:
    """The model's embeddings (n_tokens, d_model) as they are, "input" or "output"; raises `CheckpointError` else."""
    if side not in SIDES:
        raise CheckpointError(f"The side {side!r} is not known. Allowed: {', '.join(SIDES)}.")
    model = checkpoint.model
    module = model.get_input_embeddings() if side == "input" else model.get_output_embeddings()
    weight: Tensor = module.weight
    return weight.detach()


def mean_embeddings(matrix: Tensor, tokens: WordTokens) -> Tensor:
    """The mean embedding (n_words, d_model) of each word's tokens; zero for a word without tokens."""
    ids, starts = tokens.ids.to(matrix.device), tokens.starts[:-1].to(matrix.device)
    if matrix.dtype not in (torch.float32, torch.float64):
        # Half precision is too coarse to add up in, so the rows that are used are made float32 first.
        matrix, ids = matrix[ids].float(), torch.arange(len(ids), device=matrix.device)
    return embedding_bag(ids, matrix, starts, mode="mean")


class WordEmbeddings:
    """Embeddings of a vocabulary, block by block.

    ``side`` is "input" or "output"; ``unit`` divides each by its length.
    """

    def __init__(
        self, checkpoint: Checkpoint, words: Sequence[str], side: str = "input", *, unit: bool = False
    ) -> None:
        self._matrix = embedding_matrix(checkpoint, side)
        self._tokens = tokenize_words(checkpoint.tokenizer, words)
        self._unit = unit
        self._size = max(1, EMBEDDING_BYTES // (4 * self._matrix.shape[1]))
        self._kept: list[tuple[int, TallWeight]] = []

    def __call__(self) -> Iterable[tuple[int, TallWeight]]:
        """The blocks, ready for products, each with the place of its first word; kept where there is a single one."""
        ready = ((start, TallWeight(block)) for start, block in self.blocks())
        if len(self._tokens) > self._size:
            return ready
        self._kept = self._kept or list(ready)
        return self._kept

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """The blocks (n_chunk, d_model) themselves, each with the place of its first word."""
        for start in range(0, len(self._tokens), self._size):
            found = mean_embeddings(self._matrix, self._tokens.cut(start, min(start + self._size, len(self._tokens))))
            yield start, normalize(found, dim=1) if self._unit else found


def _adds_boundary(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a boundary before the first word by itself, so that a space would be a second one."""
    return any(token.startswith(BOUNDARIES) for token in tokenizer.tokenize("x")[:1])


def _without(ids: list[int], boundaries: set[int], unknown: int | None) -> list[int]:
    if ids and ids[0] in boundaries and len(ids) > 1:
        ids = ids[1:]
    return [] if unknown in ids else ids
