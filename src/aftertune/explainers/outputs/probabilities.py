"""What does a model say next?  One forward pass of one model at a time, and of its logits a few rows.

1. `final_states`: the final states of the positions that count, d_model numbers each. What all texts begin with (a chat
   template's system message) is read once.
2. `mean_predictions`: probabilities and log probabilities of each vocabulary token, their mean over those positions of
   even and of odd texts.
3. `compare_positions`: both models on the same texts, from the final states of both and their output embeddings.

Probabilities are of the tokens that both models have, and add up to 1 over these: rows that pad one of the embeddings,
or of tokens that tuning added, would else take something from all others. What share the added ones have is told apart.

Who needs 2 and 3 of the same texts reads them once and gives the states.

Texts are padded on the right: with causal attention no position that counts sees the padding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from aftertune.explainers.outputs.texts import Text
from aftertune.explainers.outputs.words import Array
from aftertune.models.backbone import Backbone
from aftertune.models.loaded import Checkpoint
from aftertune.models.prefix import n_shared, seen_by
from aftertune.models.temporary_state import borrowed

POSITIONS_AT_ONCE = 2048
LOGIT_BYTES = 64 * 2**20


def common_vocabulary(base: Checkpoint, tuned: Checkpoint) -> int:
    """How many tokens both output embeddings have."""
    return min(n_vocabulary(one) for one in (base, tuned))


def n_vocabulary(checkpoint: Checkpoint) -> int:
    """How many tokens the output embedding has."""
    return int(checkpoint.model.get_output_embeddings().weight.shape[0])


@dataclass(frozen=True, eq=False)
class Predictions:
    """Means over the positions of even and of odd texts: ``p`` and ``log_p``, (2, n_vocabulary), in nats."""

    p: Array
    log_p: Array


def finite_texts(checkpoint: Checkpoint, texts: Sequence[Text], states: Tensor) -> list[bool]:
    """Of each text, whether all logits at its positions that count are finite; ``states`` are the `final_states`."""
    model, found = Backbone(checkpoint), list[Tensor]()
    with _reading(checkpoint):
        if _are_small(model, states):
            return [True] * len(texts)
        for rows in _chunks(len(states), n_vocabulary(checkpoint)):
            found.append(torch.isfinite(model.logits(states[rows])).all(-1))
    by_text = torch.split(torch.cat(found).cpu(), [len(text.ids) - text.first for text in texts])
    return [bool(one.all()) for one in by_text]


def _are_small(model: Backbone, states: Tensor) -> bool:
    """Whether no logit can overflow: each is at most the sum of a state's numbers times the largest weight."""
    head = model.plain_head
    if head is None:
        return False
    grows = max(1.0, 1.0 / model.checkpoint.logit_rule.divisor)
    largest = grows * torch.linalg.vector_norm(head, torch.inf).double() * states.double().abs().sum(-1).max()
    return bool(largest < torch.finfo(states.dtype).max / 2)  # NaN is not


def mean_predictions(
    checkpoint: Checkpoint, texts: Sequence[Text], n_tokens: int, states: Tensor | None = None
) -> Predictions:
    """How likely each of the first tokens is, on average over positions, given that one of them comes.

    ``states`` are the `final_states` of the texts, where they are known.
    """
    model = Backbone(checkpoint)
    # Where the logits lie, so that nothing waits for the device; MPS does not know float64.
    place = torch.device("cpu") if model.device.type == "mps" else model.device
    sums = torch.zeros(2, 2, n_tokens, dtype=torch.float64, device=place)
    counts = torch.tensor([len(text.ids) - text.first for text in texts])
    parities = torch.arange(len(texts)).repeat_interleave(counts) % 2
    half = torch.stack([parities == parity for parity in (0, 1)]).to(model.device)
    states = final_states(checkpoint, texts) if states is None else states
    with _reading(checkpoint):
        for rows in _chunks(len(states), 2 * n_tokens):
            logs = model.logits(states[rows])[:, :n_tokens].log_softmax(-1)
            which = half[:, rows].to(logs.dtype)
            sums += torch.stack([which @ logs.exp(), which @ logs]).to(place).double()
    totals = [max(int(counts[parity::2].sum()), 1) for parity in (0, 1)]
    return Predictions(*(sums.cpu().numpy() / np.array(totals)[:, None]))


def added_share(checkpoint: Checkpoint, states: Tensor, n_tokens: int) -> float:
    """The mean probability, over final states, that none of the first tokens comes but one that only this model has."""
    model, sums = Backbone(checkpoint), list[Tensor]()
    with _reading(checkpoint):
        for rows in _chunks(len(states), 2 * n_vocabulary(checkpoint)):
            logits = model.logits(states[rows])[:, : len(checkpoint.tokenizer)].double()
            sums.append(logits.softmax(-1)[:, n_tokens:].sum())
    return sum(map(float, sums)) / max(len(states), 1)


def final_states(checkpoint: Checkpoint, texts: Sequence[Text]) -> Tensor:
    """Final states (n_positions, d_model) of all positions that count, in the order of the texts."""
    with _reading(checkpoint):
        found = dict(_final_states(Backbone(checkpoint), texts))
        return torch.cat([found[number] for number in range(len(texts))])


def compare_positions(
    base: Checkpoint, tuned: Checkpoint, texts: Sequence[Text], states: Sequence[Tensor] | None = None
) -> tuple[Array, Array, Array]:
    """For every answer token: log p of it by base and by tuned, and KL(tuned || base) of the whole prediction, in nats.

    Three arrays (n_tokens,), in the order of the texts; an answer's end is not among them. ``states`` are the
    `final_states` of the texts by base and by tuned, where they are known.
    """
    targets, n_tokens = [id for one in texts for id in one.answer], common_vocabulary(base, tuned)
    if not targets:
        return (np.empty(0),) * 3
    kept = [place < len(one.answer) for one in texts for place in range(len(one.ids) - one.first)]
    pair = (base, tuned)
    states = [final_states(one, texts) for one in pair] if states is None else states
    models = [(Backbone(one), of_it[torch.tensor(kept)]) for one, of_it in zip(pair, states, strict=True)]
    wanted, found = torch.tensor(targets, device=states[0].device)[:, None], list[Tensor]()
    for rows in _chunks(len(targets), 2 * n_tokens):
        with torch.inference_mode():
            before, after = (model.logits(own[rows])[:, :n_tokens].log_softmax(-1) for model, own in models)
            after = after.to(before.device)
            place = wanted[rows].to(before.device)
            kl = (after.exp() * (after - before)).sum(-1, keepdim=True)
            found.append(torch.cat([before.gather(1, place), after.gather(1, place), kl], dim=1))
    first, second, third = torch.cat(found).cpu().double().numpy().T
    return first, second, third


@contextmanager
def _reading(checkpoint: Checkpoint) -> Iterator[None]:
    """Evaluation mode, and no gradients."""
    experts = "eager" if checkpoint.model.dtype == torch.float64 else None  # fused experts do not know float64
    with borrowed(checkpoint.model, experts=experts), torch.inference_mode():
        yield


def _final_states(model: Backbone, texts: Sequence[Text]) -> Iterator[tuple[int, Tensor]]:
    """The number of each text, and the final states of its positions that count; texts of like length at once."""
    n = n_shared(model.checkpoint, [text.prompt for text in texts])
    cache = DynamicCache() if n else None
    if n:
        model.states(model.embed(torch.tensor([texts[0].prompt[:n]], device=model.device)), cache)
    for batch in _batches(texts):
        width = max(len(texts[number].ids) for number in batch)
        padded = [[*texts[number].ids[n:], *[0] * (width - len(texts[number].ids))] for number in batch]
        before = None if cache is None else seen_by(len(batch), cache, n)
        states = model.states(model.embed(torch.tensor(padded, device=model.device)), before)
        yield from (
            (number, states[row, texts[number].first - n : len(texts[number].ids) - n])
            for row, number in enumerate(batch)
        )


def _batches(texts: Sequence[Text]) -> Iterator[list[int]]:
    order = sorted(range(len(texts)), key=lambda number: len(texts[number].ids))
    batch: list[int] = []
    for number in order:
        if batch and (len(batch) + 1) * len(texts[number].ids) > POSITIONS_AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _chunks(n_rows: int, n_tokens: int) -> Iterator[slice]:
    size = max(LOGIT_BYTES // (4 * n_tokens), 1)
    return (slice(start, start + size) for start in range(0, n_rows, size))
