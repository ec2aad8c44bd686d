"""From the word pairs of neuron pairs to lists: of each neuron pair, and of each head.  (Paper 5.1; METHOD 2.)

1. A neuron pair's list: its word pairs by cosine.
2. A head's list: the lower-cased, unordered word pairs that occur in at least 2 of its neuron pairs, those of most
   neuron pairs first; of as many, those of higher cosine; of the same cosine, the more frequent words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from aftertune.explainers.heads.pairs import WordPairs

LEAST_NEURONS = 2


@dataclass(frozen=True, eq=False)
class HeadLists:
    """The lists of the heads of a layer (n,): ``a`` and ``b`` are lower-cased words, a before b; ranks from 1."""

    head: Tensor
    rank: Tensor
    a: Tensor
    b: Tensor
    n_neurons: Tensor


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
