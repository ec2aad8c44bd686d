"""Removal by hierarchy: groups of neighbouring units first, then the units of the groups that matter.

Exact removal runs a pass for every unit, so a long prompt costs many long passes. Hierarchical attribution leaves out
groups first and looks into those that matter (AttriBoT, arXiv 2411.15102; there the number of groups is given, here
the cost).
1. Each group is left out: sentences, short ones together and long ones in parts (`units.group_units`).
2. Groups by their effect on all response tokens for the cost of looking inside; those that fit into what is left of the
   budget are opened, the first in any case. Their units are left out one by one, as in exact removal.
3. A unit of a group that was not opened holds an equal share of the group's effect.
The cost of a unit is the number of positions that are computed again without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from aftertune.explainers.attribution.units import Unit

GROUPS_SHARE = 0.5  # of the budget, at most, goes into groups
Groups = tuple[tuple[int, ...], ...]


def longest_group(budget: float) -> int:
    """The most tokens of a group, such that groups cost their share of the budget at most.

    Any two neighbouring groups are longer than that together, or they would be one.
    """
    return max(1, round(2 / (GROUPS_SHARE * budget)))


def by_hierarchy(
    units: Sequence[Unit],
    groups: Groups,
    fall: Callable[[Sequence[Unit]], Tensor],
    cost: Callable[[Unit], int],
    budget: float,
) -> tuple[Tensor, Tensor]:
    """How far probabilities fall without each unit (n_units, M), and which units share their group's fall (n_units,).

    ``groups`` hold indices of units, every unit once; ``fall`` gives what falls without some tokens (n, M), ``cost``
    what that costs, and ``budget`` is the share of the cost of all units that may be spent.
    """
    wholes = [tuple(token for index in group for token in units[index]) for group in groups]
    of_groups = fall(wholes)
    costs = [sum(cost(units[index]) for index in group) for group in groups]
    left = budget * sum(costs) - sum(map(cost, wholes))
    opened = _opened(of_groups.abs().sum(-1).tolist(), costs, left)
    inside = [index for number in opened for index in groups[number]]
    found = of_groups.new_empty(len(units), of_groups.shape[1])
    for group, effect in zip(groups, of_groups, strict=True):
        found[list(group)] = effect / len(group)
    found[inside] = fall([units[index] for index in inside])
    is_divided = torch.ones(len(units), dtype=torch.bool)
    is_divided[[*inside, *(group[0] for group in groups if len(group) == 1)]] = False
    return found, is_divided


def _opened(effects: Sequence[float], costs: Sequence[int], left: float) -> list[int]:
    """The groups that are looked into, in their order."""
    order = sorted(range(len(effects)), key=lambda number: -effects[number] / costs[number])
    chosen = list[int]()
    for number in order:
        if not chosen or costs[number] <= left:
            chosen.append(number)
            left -= costs[number]
    return sorted(chosen)
