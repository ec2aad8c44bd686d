"""A whole study of so many prompts, computed from the measured seconds of each unit; nothing of it was run.

1. Responses of both models, as many prompts at once as on a GPU, each of as many tokens as it may have.
2. Attribution by removal of both models' responses, and of the tuned model's under the base; on a few prompts of each
   model what maps are held against, by the operations of it.
3. Outputs and location, which read twelve prompts whatever a study has; heads and concepts of both models and of noise.
4. The digests of both models' weights. Files that are read and the report are not in it.
"""

from math import ceil
from typing import Any

from aftertune.explainers.attribution.importance.chunks import responses_at_once
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.attribution.work import cost
from aftertune.explainers.attribution.work.cost import Item
from bench.gpu.kept import Kept
from bench.gpu.shapes import Shape

N_MODELS, N_READINGS = 2, 3
SIZES = (12, 632)


def studies(kept: Kept, shape: Shape) -> dict[str, dict[str, float]]:
    """Seconds of each part by the number of prompts; parts whose unit is not measured yet are left out."""
    return {str(n): study(kept, shape, n) for n in SIZES}


def study(kept: Kept, shape: Shape, n_prompts: int) -> dict[str, float]:
    found: dict[str, float] = {}
    batch = _first(kept, "responses-bfloat16", "responses-TF32")
    if batch:
        at_once = _at_once(shape)
        steps = N_MODELS * ceil(n_prompts / at_once) * shape.n_response
        found["responses"] = steps * batch[str(at_once)]["seconds_a_step"]
    one = _first(kept, "removal-bfloat16", "removal-TF32", "removal-float32")
    if one:
        checked = N_MODELS * min(n_prompts, AttributionSettings().check) * check_share(shape)
        found["attribution"] = (N_READINGS * n_prompts + checked) * one["seconds"]
    for name in ("outputs", "location"):
        whole = kept.get(f"{name}-bfloat16")
        found |= {name: whole["seconds"]} if whole else {}
    for name in ("heads", "concepts"):
        of_model, of_pair = kept.get(name), kept.get(f"{name}-of-pair-bfloat16")
        if of_model and of_pair:
            found[name] = N_MODELS * of_model["seconds"] + of_pair["seconds"]
    digest = kept.get("loading")
    found |= {"digests": N_MODELS * digest["seconds"]} if digest else {}
    return found | {"all": sum(found.values())}


def check_share(shape: Shape) -> float:
    """What holding one map against others costs, over the map itself, by operations."""
    item = Item(shape.n_prompt, shape.n_response)
    own = cost.attribution(shape.size, item, "removal").operations
    return 1 + cost.interventions(shape.size, item).operations / own


def _at_once(shape: Shape) -> int:
    kept = cost.kept_of_position(shape.size)
    return responses_at_once(shape.size.n_parameters, kept, shape.n_prompt + shape.n_response, "cuda")


def _first(kept: Kept, *names: str) -> dict[str, Any] | None:
    return next((kept[name] for name in names if kept.has(name)), None)
