"""How far does log p of a response fall when its whole instruction leaves the prompt?

1. All units of the instruction are left out together: of one that is left out alone the others often tell.
2. Beside it as many other units that the user wrote, or all of them, drawn N_CONTROLS times.
Asked where an instruction is marked and the user wrote more than it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from aftertune.explainers.attribution.importance.batch import make_batch
from aftertune.explainers.attribution.importance.variants import Whole, falls_without
from aftertune.explainers.attribution.result import Attribution, InstructionFall
from aftertune.models.backbone import Backbone

if TYPE_CHECKING:
    from aftertune.explainers.attribution.importance.batch import Task
    from aftertune.models.loaded import Checkpoint

N_CONTROLS = 8


def with_instruction_fall(checkpoint: Checkpoint, task: Task, found: Attribution) -> Attribution:
    """The attribution with what leaving its instruction out does; as it is where that can't be asked, or overflows."""
    marked, others = (np.flatnonzero(found.is_user & one) for one in (found.is_instruction, ~found.is_instruction))
    if not (len(marked) and len(others) and task.response_ids):
        return found
    rng, n_units = np.random.default_rng(0), min(len(marked), len(others))
    sets = [marked, *(rng.permutation(others)[:n_units] for _ in range(N_CONTROLS))]
    backbone = Backbone(checkpoint)
    with torch.no_grad():
        falls = falls_without(Whole.of(backbone, make_batch(backbone, [task]), 0), sets)
    if not np.isfinite(falls).all():
        return found
    return replace(found, instruction=InstructionFall(float(falls[0]), float(falls[1:].mean()), n_units))
