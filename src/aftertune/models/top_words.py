"""Which words activate a neuron, or lie along a direction, most?  (Paper 5.1 and 5.2.)

1. Activations of all words: their embeddings times the weights, in blocks of words and of neurons, so that memory does
   not grow with the vocabulary.
2. Of each neuron the K words of largest |activation|; block by block, the best so far against the next block's.
3. Its energy: the sum over all words of the activation's square.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from aftertune.models.products.weight import TallWeight

ACTIVATION_BYTES_ON_CPU = 20 * 2**20  # what is in work stays in the caches (NOTES.md)
ACTIVATION_BYTES_ON_GPU = 128 * 2**20

Chunks = Callable[[], Iterable[tuple[int, TallWeight]]]


@dataclass(frozen=True, eq=False)
class TopWords:
    """Of every neuron: its top words (n_neurons, k) as places in the vocabulary, ascending, their activations, and
    the neuron's energy (n_neurons,) over all words.
    """

    words: Tensor
    activations: Tensor
    energy: Tensor


def top_words(weights: Tensor, chunks: Chunks, k: int) -> TopWords:
    """The ``k`` words of largest |activation| of neurons with ``weights`` (n_neurons, d_model).

    ``chunks()`` gives the words' embeddings (n_chunk, d_model) block by block, each with the place of its first word.
    """
    words = torch.empty(len(weights), 0, dtype=torch.long, device=weights.device)
    activations, energy = weights.new_empty(len(weights), 0), weights.new_zeros(len(weights), dtype=torch.float64)
    for start, embeddings in chunks():
        found = [_of_block(part, embeddings, k) for part in _blocks(weights, embeddings)]
        places, values, squares = (torch.cat(parts).to(weights.device) for parts in zip(*found, strict=True))
        energy += squares
        words, activations = _best(torch.cat([words, places + start], 1), torch.cat([activations, values], 1), k)
    words, order = words.sort(dim=1)
    return TopWords(words, activations.gather(1, order), energy)


def _blocks(weights: Tensor, embeddings: TallWeight) -> tuple[Tensor, ...]:
    most = ACTIVATION_BYTES_ON_CPU if embeddings.device.type == "cpu" else ACTIVATION_BYTES_ON_GPU
    return torch.split(weights, max(1, most // (embeddings.n_outputs * weights.element_size())))


def _of_block(weights: Tensor, embeddings: TallWeight, k: int) -> tuple[Tensor, Tensor, Tensor]:
    values = embeddings.product(weights).to(weights.dtype)
    squares = torch.linalg.vector_norm(values, dim=1).double().square()
    places = values.abs().topk(min(k, values.shape[1]), dim=1, sorted=False).indices
    return places, values.gather(1, places), squares


def _best(words: Tensor, activations: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if words.shape[1] <= k:
        return words, activations
    places = activations.abs().topk(k, dim=1, sorted=False).indices
    return words.gather(1, places), activations.gather(1, places)
