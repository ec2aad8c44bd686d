"""A batch of encoded prompts with responses, by one of three routes to the importance (section 4.1).

1. Divide the prompts into units.
2. Choose the route: forward costs one pass per unit, reverse one per response token, removal is Eq. 1 itself.
3. Compute the importance of every unit for every response token, several prompts in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aftertune.errors import AttributionError
from aftertune.explainers.attribution.faithfulness import measure_agreement
from aftertune.explainers.attribution.importance.batch import Batch, Task, make_batch
from aftertune.explainers.attribution.importance.explicit_jvp.build import is_of_this_build
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.removal import removal_importance
from aftertune.explainers.attribution.importance.reverse import reverse_importance
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.settings import Removal, Route, must_be_known
from aftertune.explainers.attribution.units import Unit, UnitChoice, split_units
from aftertune.models.architectures import ARCHITECTURES, is_written_out
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from aftertune.prompts.encoding import EncodedPrompt, show_tokens

if TYPE_CHECKING:
    from aftertune.models.checkpoint import Checkpoint

BFLOAT16: Literal["forward-bfloat16"] = "forward-bfloat16"
FORWARD: tuple[Route, ...] = ("forward", BFLOAT16)
# One backward pass over one pass of forward mode: by `torch.func`, and as it is written out (measured, NOTES.md).
REVERSE_COST = 1.0
REVERSE_COST_WRITTEN_OUT = 1.8


def with_agreement(
    checkpoint: Checkpoint, encoded: EncodedPrompt, found: Attribution, unit: UnitChoice, removal: Removal = "zeroed"
) -> Attribution:
    """The attribution of an encoded prompt with its agreement with removal, which this computes."""
    (removed,) = attribute_batch(checkpoint, [encoded], "removal", unit, removal=removal)
    return replace(found, agreement=measure_agreement(found.importance, removed.importance, removal))


def respond(encoded: EncodedPrompt, response_ids: Sequence[int]) -> EncodedPrompt:
    """The encoded prompt with a response in token ids, as a model generated it."""
    return replace(encoded, response_ids=np.asarray(response_ids, dtype=np.int64))


def response_of(encoded: EncodedPrompt) -> npt.NDArray[np.int64]:
    """The response's token ids; raises `AttributionError` if there is no response yet."""
    if encoded.response_ids is None:
        raise AttributionError("This prompt has no response yet. Generate one, or give it.")
    return encoded.response_ids


def attribute_batch(
    checkpoint: Checkpoint,
    prompts: Sequence[EncodedPrompt],
    route: Route = "auto",
    unit: UnitChoice = "token",
    *,
    removal: Removal = "zeroed",
) -> list[Attribution]:
    """Attributions of several encoded prompts with responses, computed as one batch; settings as for `attribute`.

    An empty response gives an importance of shape (n_prompt, 0).
    """
    must_be_known("route", route, get_args(Route))
    must_be_known("removal", removal, get_args(Removal))
    divided = [(encoded, split_units(encoded, unit)) for encoded in prompts]
    tasks = [_task(encoded, units) for encoded, units in divided if len(response_of(encoded))]
    chosen = choose_route(checkpoint, tasks) if route == "auto" and tasks else route
    computed = _compute(checkpoint, tasks, chosen, removal) if tasks else iter(())
    name = f"removal ({removal})" if chosen == "removal" else chosen
    kind = unit if isinstance(unit, str) else "spans"
    return [
        _result(checkpoint, encoded, units, next(computed) if len(response_of(encoded)) else None, name, kind)
        for encoded, units in divided
    ]


def choose_route(checkpoint: Checkpoint, tasks: Sequence[Task]) -> Route:
    """The cheaper of "forward" (one pass per unit) and "reverse" (one per response token) for a batch."""
    n_units = max(len(task.units) for task in tasks)
    n_response = max(len(task.response_ids) for task in tasks)
    return cheaper_route(n_units, n_response, checkpoint.description.written_out)


def cheaper_route(n_units: int, n_response: int, written_out: bool) -> Route:
    """The route for so many units and response tokens; ``written_out`` says how forward mode is taken."""
    cost = REVERSE_COST_WRITTEN_OUT if written_out else REVERSE_COST
    return "forward" if n_units <= cost * n_response else "reverse"


def _task(encoded: EncodedPrompt, units: tuple[Unit, ...]) -> Task:
    return Task(tuple(encoded.ids.tolist()), tuple(response_of(encoded).tolist()), units)


def _compute(
    checkpoint: Checkpoint, tasks: Sequence[Task], route: Route, removal: Removal
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    backbone = Backbone(checkpoint)
    # Fused experts have no forward mode, and none of them knows float64.
    must_suit(checkpoint, route)
    with borrowed(checkpoint.model, attention=attention_for(route, checkpoint), experts="eager"):
        batch = make_batch(backbone, tasks)
        importance, probability = _run(backbone, batch, route, removal)
    for row, task in enumerate(tasks):
        n, m = len(task.units), len(task.response_ids)
        yield importance[row, :n, :m].float().cpu().numpy(), probability[row, :m].float().cpu().numpy()


def must_suit_architecture(architecture: Any, dtype: str, route: Route) -> None:
    """Raise `AttributionError` if the route is not for an architecture with weights of a type.

    The architecture is a configuration, or the name of one of the table (``model_type``).
    """
    if route == BFLOAT16 and not (is_written_out(architecture) and dtype in ("float32", "float64")):
        name = getattr(architecture, "model_type", architecture)
        raise _not_written_out(f"The architecture {name!r} in {dtype}")


def must_suit(checkpoint: Checkpoint, route: Route) -> None:
    """Raise `AttributionError` if the route is not for this model."""
    if route == BFLOAT16 and not is_of_this_build(Backbone(checkpoint)):
        raise _not_written_out(checkpoint.provenance.name)


def _not_written_out(name: str) -> AttributionError:
    known = ", ".join(row.name for row in ARCHITECTURES.values() if row.written_out)
    return AttributionError(
        f"Route {BFLOAT16!r} is for models in float32 of these architectures: {known}, and others built like them. "
        f"{name} is not one. Take route forward or auto."
    )


def attention_for(route: Route, checkpoint: Checkpoint) -> str:
    """The attention implementation a route runs on; none of them keeps (positions, positions) matrices for long.

    For forward mode ours, whose tangent is written out. PyTorch's has no forward mode, and leaves out the soft-capping
    of attention scores (Gemma 2), which goes by plain matrices in the other routes.
    """
    if route in FORWARD:
        return FUSED
    return "eager" if getattr(checkpoint.model.config, "attn_logit_softcapping", None) else "sdpa"


def _run(backbone: Backbone, batch: Batch, route: Route, removal: Removal) -> tuple[Tensor, Tensor]:
    if route == "removal":
        return removal_importance(backbone, batch, removal)
    if route == "reverse":
        return reverse_importance(backbone, batch)
    return forward_importance(backbone, batch, torch.bfloat16 if route == BFLOAT16 else None)


def _result(
    checkpoint: Checkpoint,
    encoded: EncodedPrompt,
    units: tuple[Unit, ...],
    computed: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None,
    route: str,
    unit: str,
) -> Attribution:
    empty = np.zeros((len(units), 0), np.float32), np.zeros(0, np.float32)
    importance, probability = computed or empty
    offsets = _unit_offsets(encoded, units)
    tokens = encoded.tokens if unit == "token" else tuple(encoded.text[start:end] for start, end in offsets)
    ids = response_of(encoded).tolist()
    return Attribution(
        importance=importance,
        probability=probability,
        prompt_tokens=tuple(tokens),
        response_tokens=show_tokens(checkpoint.tokenizer, ids),
        text=encoded.text,
        response=checkpoint.tokenizer.decode(ids),
        offsets=offsets,
        is_user=_majority(encoded.is_user, units),
        is_instruction=_majority(encoded.is_instruction, units),
        unit=unit,
        route=route,
        provenance=checkpoint.provenance,
    )


def _unit_offsets(encoded: EncodedPrompt, units: tuple[Unit, ...]) -> npt.NDArray[np.int64]:
    ranges = [(encoded.offsets[unit[0], 0], encoded.offsets[unit[-1], 1]) for unit in units]
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)


def _majority(marked: npt.NDArray[np.bool_], units: tuple[Unit, ...]) -> npt.NDArray[np.bool_]:
    return np.array([2 * marked[list(unit)].sum() >= len(unit) for unit in units], dtype=bool)
