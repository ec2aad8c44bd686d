"""Importance by whole forward passes of the unmodified model, one at a time: no cache, no batch, no autograd."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


@torch.no_grad()
def _probability(model: torch.nn.Module, embeds: Tensor, response_ids: Sequence[int]) -> Tensor:
    logits = model(inputs_embeds=embeds[None]).logits[0].double()
    m = len(response_ids)
    return logits[-m:].softmax(-1)[torch.arange(m), torch.tensor(response_ids)]


def _embed(model: torch.nn.Module, prompt_ids: Sequence[int], response_ids: Sequence[int]) -> Tensor:
    return model.get_input_embeddings()(torch.tensor([*prompt_ids, *response_ids[:-1]])).detach()


def finite_difference(model, prompt_ids, response_ids, step: float = 4e-3) -> np.ndarray:
    """d p(y_m) / d a at a = 0 for embeddings scaled by (1 + a): central, fourth order in ``step``."""
    embeds, rows = _embed(model, prompt_ids, response_ids), []
    for n in range(len(prompt_ids)):

        def at(a: float, n: int = n) -> Tensor:
            scaled = embeds.clone()
            scaled[n] *= 1 + a
            return _probability(model, scaled, response_ids)

        rows.append((8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step))
    return torch.stack(rows).numpy()


def zero_each(model, prompt_ids, response_ids, units: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """p(y_m) minus p(y_m) with the unit's embeddings set to zero (Eq. 1, appendix A)."""

    def zero(embeds: Tensor, unit: Sequence[int]) -> Tensor:
        changed = embeds.clone()
        changed[list(unit)] = 0
        return changed

    return _each(model, prompt_ids, response_ids, units, zero)


def delete_each(model, prompt_ids, response_ids, units: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """p(y_m) minus p(y_m) with the unit's tokens left out of the sequence (Eq. 1)."""

    def delete(embeds: Tensor, unit: Sequence[int]) -> Tensor:
        return embeds[[index for index in range(len(embeds)) if index not in unit]]

    return _each(model, prompt_ids, response_ids, units, delete)


def mean_each(model, prompt_ids, response_ids, units: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """p(y_m) minus p(y_m) with the unit's embeddings set to the mean of what the model makes of every token."""
    every = model.get_input_embeddings()(torch.arange(model.config.get_text_config().vocab_size))

    def mean(embeds: Tensor, unit: Sequence[int]) -> Tensor:
        changed = embeds.clone()
        changed[list(unit)] = every.double().mean(0).to(embeds)
        return changed

    return _each(model, prompt_ids, response_ids, units, mean)


def average_each(model, prompt_ids, response_ids, units: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """The mean of both."""
    both = [one(model, prompt_ids, response_ids, units) for one in (delete_each, mean_each)]
    return np.mean(both, axis=0)


def replace_each(model, prompt_ids, response_ids, others: Sequence[int]) -> np.ndarray:
    """Each token replaced by that of ``others`` in its place."""
    found = _embed(model, others, response_ids)
    units = [[n] for n in range(len(prompt_ids))]

    def change(embeds: Tensor, unit: Sequence[int]) -> Tensor:
        changed = embeds.clone()
        changed[list(unit)] = found[list(unit)]
        return changed

    return _each(model, prompt_ids, response_ids, units, change)


def _each(model, prompt_ids, response_ids, units, change: Callable[[Tensor, Sequence[int]], Tensor]) -> np.ndarray:
    embeds = _embed(model, prompt_ids, response_ids)
    whole = _probability(model, embeds, response_ids)
    units = units or [[n] for n in range(len(prompt_ids))]
    rows = [whole - _probability(model, change(embeds, unit), response_ids) for unit in units]
    return torch.stack(rows).numpy()
