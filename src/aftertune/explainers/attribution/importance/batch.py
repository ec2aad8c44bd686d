"""Prompts with their responses as padded tensors, and the prompt units whose importance is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aftertune.explainers.attribution.units import Unit
from aftertune.models.backbone import Backbone


@dataclass(frozen=True)
class Task:
    """One prompt and response as token ids, and the prompt units (token indices) whose importance is computed.

    With ``contrast_ids`` it is the importance for p(y_m) - p(c_m), c_m standing in the place of y_m. With ``groups``
    (indices of units) removal is by hierarchy.
    """

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    units: tuple[Unit, ...]
    contrast_ids: tuple[int, ...] | None = None
    groups: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """Several tasks padded on the right. B tasks, T positions, M response tokens (of the longest task each).

    The last response token is not fed to the model: nothing is predicted from it. ``embeds`` (B, T, d_model);
    ``targets`` (B, M) response ids, ``contrast`` (B, M) those that they are held against, if any; ``places`` (B, M) the
    positions whose states predict them; padding repeats 0.
    """

    tasks: tuple[Task, ...]
    embeds: Tensor
    targets: Tensor
    places: Tensor
    contrast: Tensor | None = None

    @property
    def n_units(self) -> int:
        """Units of the task that has most."""
        return max(len(task.units) for task in self.tasks)

    @property
    def n_response(self) -> int:
        """Response tokens of the longest response."""
        return self.targets.shape[1]

    def at_responses(self, states: Tensor) -> Tensor:
        """States (B, M, d_model) at the positions that predict the response, from states (B, T, d_model)."""
        return torch.take_along_dim(states, self.places[..., None], dim=1)

    def mask(self, start: int, stop: int) -> Tensor:
        """Which positions belong to units start..stop of each task: (stop - start, B, T, 1), 1 or 0."""
        mask = torch.zeros(stop - start, *self.embeds.shape[:2], 1, dtype=self.embeds.dtype)
        for row, task in enumerate(self.tasks):
            for index, unit in enumerate(task.units[start:stop]):
                mask[index, row, list(unit)] = 1
        return mask.to(self.embeds.device)


def make_batch(backbone: Backbone, tasks: Sequence[Task]) -> Batch:
    """Embed the tasks, padded on the right with the token 0, which no real position attends to."""
    rows = [task.prompt_ids + task.response_ids[:-1] for task in tasks]
    ids = _pad(rows).to(backbone.device)
    targets = _pad([task.response_ids for task in tasks]).to(backbone.device)
    places = _pad([tuple(_places(task)) for task in tasks]).to(backbone.device)
    with torch.no_grad():
        return Batch(tuple(tasks), backbone.embed(ids), targets, places, _contrast(tasks, backbone))


def _contrast(tasks: Sequence[Task], backbone: Backbone) -> Tensor | None:
    if all(task.contrast_ids is None for task in tasks):
        return None
    return _pad([task.contrast_ids or task.response_ids for task in tasks]).to(backbone.device)


def _places(task: Task) -> Iterator[int]:
    first = len(task.prompt_ids) - 1
    yield from range(first, first + len(task.response_ids))


def _pad(rows: Sequence[Sequence[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([list(row) + [0] * (longest - len(row)) for row in rows])
