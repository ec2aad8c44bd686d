"""A batch of encoded prompts with responses, by one of three methods to the importance (section 4.1).

1. Divide the prompts into units.
2. By removal (Eq. 1 itself), of groups first where there is a budget; by the gradient, whose route is the cheaper of
   forward (one pass per unit) and reverse (one per response token); or by that of the locally linear network, in
   forward mode.
3. Compute the importance of every unit for every response token, several prompts in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aftertune.errors import AttributionError, within_memory
from aftertune.explainers.attribution.faithfulness import measure_agreement
from aftertune.explainers.attribution.importance.batch import Batch, Task, make_batch
from aftertune.explainers.attribution.importance.describe import Computed, describe, response_of
from aftertune.explainers.attribution.importance.explicit_jvp.build import is_of_this_build
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.held import must_be_holdable, no_locally_linear
from aftertune.explainers.attribution.importance.hierarchy import longest_group
from aftertune.explainers.attribution.importance.instruction import with_instruction_fall
from aftertune.explainers.attribution.importance.interventions import with_faithfulness
from aftertune.explainers.attribution.importance.removal import removal_within_budget
from aftertune.explainers.attribution.importance.reverse import reverse_importance
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.settings import (
    LEAST_UNITS,
    Method,
    Removal,
    Route,
    must_be_known,
    must_belong,
    other_removal,
)
from aftertune.explainers.attribution.units import Unit, UnitChoice, group_units, split_units
from aftertune.models.architectures import ARCHITECTURES, is_written_out
from aftertune.models.backbone import Backbone
from aftertune.models.cost import NARROW_BYTES
from aftertune.models.mapped.memory import ON_DISK
from aftertune.models.temporary_state import borrowed
from aftertune.prompts.encoding import EncodedPrompt

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint

BFLOAT16: Literal["forward-bfloat16"] = "forward-bfloat16"
Way = Literal["removal", "locally-linear", "forward", "reverse", "forward-bfloat16"]
MORE_MEMORY = "Give a shorter prompt or response, or more memory."
LAYERS_WITH_ATTENTION = ("full_attention", "sliding_attention", "chunked_attention")
FORWARD: tuple[Way, ...] = ("forward", BFLOAT16, "locally-linear")
# One backward pass over one pass of forward mode: by `torch.func`, and as it is written out (measured, NOTES.md).
REVERSE_COST = 1.0
REVERSE_COST_WRITTEN_OUT = 1.8


def checked(
    checkpoint: Checkpoint,
    encoded: EncodedPrompt,
    found: Attribution,
    unit: UnitChoice,
    method: Method,
    removal: Removal,
) -> Attribution:
    """The attribution of an encoded prompt, held against removal and against words that are replaced.

    Removal is held against another kind of it; of removal by hierarchy, those units that were left out by themselves.
    """
    compared = other_removal(removal) if method == "removal" else removal
    task = _task(encoded, split_units(encoded, unit))
    alone = np.flatnonzero(~found.is_divided)
    (removed,) = _compute(
        checkpoint, [replace(task, units=tuple(task.units[index] for index in alone))], "removal", compared
    )
    if not np.isfinite(removed.importance).all():
        return found  # the other removal overflows: there is nothing to hold the map against
    agreement = measure_agreement(found.importance[alone], removed.importance, compared)
    with borrowed(checkpoint.model, attention=attention_for("removal", checkpoint), experts="eager"):
        return with_faithfulness(checkpoint, task, replace(found, agreement=agreement))


def without_instruction(
    checkpoint: Checkpoint, encoded: EncodedPrompt, found: Attribution, unit: UnitChoice
) -> Attribution:
    """The attribution of an encoded prompt, with how far log p falls when its whole instruction is left out."""
    with borrowed(checkpoint.model, attention=attention_for("removal", checkpoint), experts="eager"):
        return with_instruction_fall(checkpoint, _task(encoded, split_units(encoded, unit)), found)


def attribute_batch(
    checkpoint: Checkpoint,
    prompts: Sequence[EncodedPrompt],
    method: Method = "removal",
    unit: UnitChoice = "token",
    *,
    removal: Removal = "mean",
    route: Route = "auto",
    removal_budget: float = 1.0,
) -> list[Attribution]:
    """Attributions of several encoded prompts with responses, computed as one batch; settings as for `attribute`.

    An empty response gives an importance of shape (n_prompt, 0).
    """
    must_be_known("method", method, get_args(Method))
    must_be_known("removal", removal, get_args(Removal))
    must_be_known("route", route, get_args(Route))
    must_belong(method, route, removal_budget, unit)
    divided = [(encoded, split_units(encoded, unit)) for encoded in prompts]
    tasks = [_task(encoded, units, removal_budget) for encoded, units in divided if len(response_of(encoded))]
    way = _way(checkpoint, tasks, method, route)
    computed = _compute(checkpoint, tasks, way, removal, removal_budget) if tasks else iter(())
    name = f"removal ({removal})" if way == "removal" else way
    kind = unit if isinstance(unit, str) else "spans"
    return [
        _result(checkpoint, encoded, units, next(computed) if len(response_of(encoded)) else None, name, kind)
        for encoded, units in divided
    ]


def _way(checkpoint: Checkpoint, tasks: Sequence[Task], method: Method, route: Route) -> Way:
    if method != "gradient":
        return method
    if route != "auto":
        return route
    return choose_route(checkpoint, tasks) if tasks else "forward"


def choose_route(checkpoint: Checkpoint, tasks: Sequence[Task]) -> Literal["forward", "reverse"]:
    """The cheaper of "forward" (one pass per unit) and "reverse" (one per response token) for a batch."""
    n_units = max(len(task.units) for task in tasks)
    n_response = max(len(task.response_ids) for task in tasks)
    if checkpoint.provenance.device == ON_DISK:
        return "forward"  # reverse keeps every weight until it is back at the first layer
    return cheaper_route(n_units, n_response, checkpoint.description.written_out)


def cheaper_route(n_units: int, n_response: int, written_out: bool) -> Literal["forward", "reverse"]:
    """The route for so many units and response tokens; ``written_out`` says how forward mode is taken."""
    cost = REVERSE_COST_WRITTEN_OUT if written_out else REVERSE_COST
    return "forward" if n_units <= cost * n_response else "reverse"


def _task(encoded: EncodedPrompt, units: tuple[Unit, ...], budget: float = 1.0) -> Task:
    contrast = None if encoded.contrast_ids is None else tuple(encoded.contrast_ids.tolist())
    is_exact = budget == 1 or len(units) < LEAST_UNITS
    groups = () if is_exact else group_units(encoded, units, longest_group(budget))
    return Task(tuple(encoded.ids.tolist()), tuple(response_of(encoded).tolist()), units, contrast, groups)


class _Numbers(NamedTuple):
    """Of one prompt: importance (n_units, M), probability (M,), which units share their group's importance."""

    importance: npt.NDArray[np.float32]
    probability: npt.NDArray[np.float32]
    is_divided: npt.NDArray[np.bool_]


def _compute(
    checkpoint: Checkpoint, tasks: Sequence[Task], way: Way, removal: Removal, budget: float = 1.0
) -> Iterator[_Numbers]:
    backbone = Backbone(checkpoint)
    # Fused experts have no forward mode, and none of them knows float64.
    must_suit(checkpoint, way)
    with (
        within_memory(AttributionError, "while prompts were attributed", MORE_MEMORY),
        borrowed(checkpoint.model, attention=attention_for(way, checkpoint), experts="eager"),
    ):
        batch = make_batch(backbone, tasks)
        importance, probability, is_divided = _run(backbone, batch, way, removal, budget)
    for row, task in enumerate(tasks):
        n, m = len(task.units), len(task.response_ids)
        found = importance[row, :n, :m].float().cpu().numpy(), probability[row, :m].float().cpu().numpy()
        yield _Numbers(*found, is_divided[row, :n].numpy())


def must_suit_architecture(architecture: Any, dtype: str, method: Method, route: Route) -> None:
    """Raise `AttributionError` if the way is not for an architecture with weights of a type.

    The architecture is a configuration, or the name of one of the table (``model_type``).
    """
    name = f"The architecture {getattr(architecture, 'model_type', architecture)!r}"
    if route == BFLOAT16 and not (is_written_out(architecture) and dtype in ("float32", "float64")):
        raise _not_written_out(f"{name} in {dtype}")
    if dtype in NARROW_BYTES and method != "removal":
        raise AttributionError(
            f"Method {method!r} needs derivatives, which weights in {dtype} have not. Give --method removal, or "
            "another dtype."
        )
    kinds = getattr(architecture, "layer_types", None) or ()
    if method == "locally-linear" and not all(kind in LAYERS_WITH_ATTENTION for kind in kinds):
        raise no_locally_linear(name)


def must_suit(checkpoint: Checkpoint, way: str) -> None:
    """Raise `AttributionError` if a method or a route is not for this model."""
    if way == BFLOAT16 and not is_of_this_build(Backbone(checkpoint)):
        raise _not_written_out(checkpoint.provenance.name)
    if way == "locally-linear":
        must_be_holdable(checkpoint)


def _not_written_out(name: str) -> AttributionError:
    known = ", ".join(row.name for row in ARCHITECTURES.values() if row.written_out)
    return AttributionError(
        f"Route {BFLOAT16!r} is for models in float32 of these architectures: {known}, and others built like them. "
        f"{name} is not one. Take route forward or auto."
    )


def attention_for(way: Way, checkpoint: Checkpoint) -> str:
    """The attention implementation that a way runs on; none of them keeps (positions, positions) matrices for long.

    For forward mode ours, whose tangent is written out. PyTorch's has no forward mode, and leaves out the soft-capping
    of attention scores (Gemma 2), which goes by plain matrices in the other ways.
    """
    if way in FORWARD:
        return FUSED
    return "eager" if getattr(checkpoint.model.config, "attn_logit_softcapping", None) else "sdpa"


def _run(backbone: Backbone, batch: Batch, way: Way, removal: Removal, budget: float) -> tuple[Tensor, Tensor, Tensor]:
    if way == "removal":
        return removal_within_budget(backbone, batch, removal, budget)
    if way == "reverse":
        found = reverse_importance(backbone, batch)
    else:
        dtype = torch.bfloat16 if way == BFLOAT16 else None
        found = forward_importance(backbone, batch, dtype, held=way == "locally-linear")
    return *found, torch.zeros(found[0].shape[:2], dtype=torch.bool)


def _result(
    checkpoint: Checkpoint,
    encoded: EncodedPrompt,
    units: tuple[Unit, ...],
    computed: _Numbers | None,
    route: str,
    unit: str,
) -> Attribution:
    n = len(units)
    empty = _Numbers(np.zeros((n, 0), np.float32), np.zeros(0, np.float32), np.zeros(n, np.bool_))
    found = Computed(*(computed or empty), route, unit)
    return describe(found, encoded, units, checkpoint.tokenizer, checkpoint.provenance)
