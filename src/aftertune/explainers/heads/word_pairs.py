"""Which word pairs does each neuron pair connect, and which are a head's list?  (Paper 5.1 and appendix F.)

For neuron pair d of a head, of all pairs of a top word of its query neuron and a top word of its key neuron, those
1. whose cosine exceeds both words' thresholds,
2. whose two activations have the same sign,
3. whose words differ, capitals aside.

From these the lists:
4. A neuron pair's list: its word pairs by cosine.
5. A head's list: the lower-cased, unordered word pairs that occur in at least 2 of its neuron pairs, those of most
   neuron pairs first; of as many, those of higher cosine; of the same cosine, the more frequent words.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aftertune.explainers.heads.cooccurrence import CoOccurrence
from aftertune.models.top_words import TopWords

PAIR_BYTES = 64 * 2**20
BYTES_PER_PAIR = 16
LEAST_NEURONS = 2


@dataclass(frozen=True, eq=False)
class WordPairs:
    """Word pairs (n,) of the neuron pairs of a layer, by neuron pair, query word and key word.

    ``neuron`` is head * d_head + d; ``query`` and ``key`` are places in the vocabulary.
    """

    neuron: Tensor
    query: Tensor
    key: Tensor
    cosine: Tensor


@dataclass(frozen=True, eq=False)
class HeadLists:
    """The lists of the heads of a layer (n,): ``a`` and ``b`` are lower-cased words, a before b; ranks from 1."""

    head: Tensor
    rank: Tensor
    a: Tensor
    b: Tensor
    n_neurons: Tensor


def word_pairs(query: TopWords, key: TopWords, words: CoOccurrence) -> WordPairs:
    """The word pairs of all neuron pairs of a layer, from the top words of its query and key neurons (n_neurons, k)."""
    size = max(1, PAIR_BYTES // (BYTES_PER_PAIR * query.words.shape[1] ** 2))
    blocks = [_of_block(query, key, words, slice(*ends)) for ends in _ranges(len(query.words), size)]
    fields = ("neuron", "query", "key", "cosine")
    return WordPairs(*(torch.cat([getattr(block, name) for block in blocks]) for name in fields))


def shortened(pairs: WordPairs, n: int) -> WordPairs:
    """The ``n`` pairs of highest cosine of each neuron pair, by neuron pair and falling cosine."""
    order = torch.argsort(pairs.neuron * 4 + (1 - pairs.cosine.double()), stable=True)
    kept = order[_rank(pairs.neuron[order]) <= n]
    return WordPairs(*(field[kept] for field in (pairs.neuron, pairs.query, pairs.key, pairs.cosine)))


def head_lists(pairs: WordPairs, lowered: Tensor, d_head: int, n: int) -> HeadLists:
    """The ``n`` first word pairs of each head, from all pairs of its neuron pairs; ``lowered`` as in `CoOccurrence`."""
    n_types = int(lowered.max()) + 1
    first, second = lowered[pairs.query], lowered[pairs.key]
    code = torch.minimum(first, second) * n_types + torch.maximum(first, second)
    in_head = pairs.neuron // d_head * n_types**2 + code
    # Once for each neuron pair: (a, b) and (b, a), or two ways to write a word, are the same pair.
    once = torch.unique(in_head * d_head + pairs.neuron % d_head) // d_head
    found, n_neurons = torch.unique_consecutive(once, return_counts=True)
    cosine = _largest(pairs.cosine, torch.searchsorted(found, in_head), len(found))
    often = n_neurons >= LEAST_NEURONS
    return _ranked(found[often], n_neurons[often], cosine[often], n_types, d_head, n)


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


def _ranked(found: Tensor, n_neurons: Tensor, cosine: Tensor, n_types: int, d_head: int, n: int) -> HeadLists:
    head = found // n_types**2
    order = torch.argsort((head * (d_head + 1) + d_head - n_neurons) * 4 + (1 - cosine.double()), stable=True)
    rank = _rank(head[order])
    kept, rank = order[rank <= n], rank[rank <= n]
    code = found[kept] % n_types**2
    return HeadLists(head[kept], rank, code // n_types, code % n_types, n_neurons[kept])


def _largest(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    return values.new_full((n_groups,), -2.0).scatter_reduce(0, group, values, "amax")


def _rank(groups: Tensor) -> Tensor:
    """The rank, from 1, of each element in its run of equal elements."""
    _, counts = torch.unique_consecutive(groups, return_counts=True)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return torch.arange(len(groups), device=groups.device) - starts + 1
