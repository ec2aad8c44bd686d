"""Which word pairs does each neuron pair connect?  (Paper 5.1; METHOD 2.)

For neuron pair d of a head, of all pairs of a top word of its query neuron and a top word of its key neuron, those
1. whose cosine exceeds both words' thresholds,
2. whose two activations have the same sign,
3. whose words differ, capitals aside.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aftertune.explainers.heads.cooccurrence import CoOccurrence
from aftertune.models.top_words import TopWords

PAIR_BYTES = 64 * 2**20
BYTES_PER_PAIR = 16


@dataclass(frozen=True, eq=False)
class WordPairs:
    """Word pairs (n,) of the neuron pairs of a layer, by neuron pair, query word and key word.

    ``neuron`` is head * d_head + d; ``query`` and ``key`` are places in the vocabulary.
    """

    neuron: Tensor
    query: Tensor
    key: Tensor
    cosine: Tensor


def word_pairs(query: TopWords, key: TopWords, words: CoOccurrence) -> WordPairs:
    """The word pairs of all neuron pairs of a layer, from the top words of its query and key neurons (n_neurons, k)."""
    size = max(1, PAIR_BYTES // (BYTES_PER_PAIR * query.words.shape[1] ** 2))
    blocks = [_of_block(query, key, words, slice(*ends)) for ends in _ranges(len(query.words), size)]
    fields = ("neuron", "query", "key", "cosine")
    return WordPairs(*(torch.cat([getattr(block, name) for block in blocks]) for name in fields))


def _of_block(query: TopWords, key: TopWords, words: CoOccurrence, block: slice) -> WordPairs:
    q, k = query.words[block], key.words[block]
    rows_q, rows_k = words.rows[q], words.rows[k]
    cosine = words.unit[rows_q] @ words.unit[rows_k].transpose(1, 2)
    above = cosine > words.thresholds[rows_q][:, :, None]
    above &= cosine > words.thresholds[rows_k][:, None, :]
    neuron, i, j = above.nonzero(as_tuple=True)  # few are; the other two conditions are asked of these only
    q, k = q[neuron, i], k[neuron, j]
    same_sign = (query.activations[block][neuron, i] > 0) == (key.activations[block][neuron, j] > 0)
    kept = same_sign & (words.lowered[q] != words.lowered[k])
    neuron, q, k = neuron[kept], q[kept], k[kept]
    # Once more in one order of summation: (a, b) and (b, a) must not differ in the last bit, or lists were arbitrary.
    exact = (words.unit[words.rows[q]] * words.unit[words.rows[k]]).sum(dim=1)
    return WordPairs(neuron + block.start, q, k, exact)


def _ranges(n: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, size):
        yield start, min(start + size, n)
