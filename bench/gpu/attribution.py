"""Attribution of one prompt by removal and by forward mode, in several precisions; and what else one model says.

Operations are those of the library's own cost formulas; the share is what is left of them at the chip's rate in large
products of the same precision. An error is the largest difference from float32, relative to the largest number there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.removal import removal_importance
from aftertune.explainers.attribution.work import cost
from aftertune.explainers.attribution.work.cost import Item
from aftertune.explainers.outputs.probabilities import mean_predictions
from aftertune.explainers.outputs.texts import generic_texts
from aftertune.models.backbone import Backbone
from aftertune.models.fingerprint import fingerprint
from aftertune.models.generation import generate
from aftertune.models.loaded import Checkpoint
from aftertune.models.temporary_state import borrowed
from bench.gpu.clock import products_in, timed, waits
from bench.gpu.kept import Kept
from bench.gpu.shapes import Pair, Shape

REMOVAL, FORWARD = "removal", "forward"
ATTENTION = {REMOVAL: "sdpa", FORWARD: FUSED}
FIRST_TOKEN = 2  # after those that begin and end a text
AT_ONCE = (16, 32, 64)  # responses
Importance = Callable[[], torch.Tensor]


def attribution(way: str, precision: str, pair: Pair, kept: Kept) -> dict[str, Any]:
    """One way in one precision: "bfloat16" is that of the weights where they are, else of products of tangents."""
    shape, checkpoint = pair.shape, pair.base
    with borrowed(checkpoint.model, attention=ATTENTION[way]), products_in(precision):
        one = timed(pair.device, shape.repeats, importance(way, precision, checkpoint, shape))
    numbers = one.found[0].float().cpu().numpy()
    name = f"{way}-importance"
    if precision == "float32":
        kept.keep_array(name, numbers)
    operations = cost.attribution(shape.size, Item(shape.n_prompt, shape.n_response), way).operations
    found = {"seconds": one.seconds, "first": one.first, "peak_gib": one.peak_gib, "operations": operations}
    found |= {"share": _share(kept, precision, operations, one.seconds)}
    return found | {"error": error(numbers, kept.array(name)), "largest": float(np.abs(numbers).max())}


def importance(way: str, precision: str, checkpoint: Checkpoint, shape: Shape) -> Importance:
    """A function that computes importance (1, N, M)."""
    backbone = Backbone(checkpoint)
    batch = make_batch(backbone, [task(shape)])
    if way == REMOVAL:
        return lambda: removal_importance(backbone, batch, "deleted")[0]
    is_of_tangents = precision == "bfloat16" and checkpoint.model.dtype == torch.float32
    return lambda: forward_importance(backbone, batch, torch.bfloat16 if is_of_tangents else None)[0]


def task(shape: Shape, seed: int = 0) -> Task:
    n, most = shape.n_prompt, shape.config["vocab_size"]
    ids = np.random.default_rng(seed).integers(FIRST_TOKEN, most, n + shape.n_response).tolist()
    return Task(tuple(ids[:n]), tuple(ids[n:]), tuple((place,) for place in range(n)))


def error(found: np.ndarray, exact: np.ndarray | None) -> float | None:
    """None where there is nothing to hold it against."""
    return None if exact is None else float(np.abs(found - exact).max() / np.abs(exact).max())


def waiting(pair: Pair, _kept: Kept) -> dict[str, Any]:
    """How often attribution of one prompt waits for the GPU."""
    found = {}
    for way in (REMOVAL, FORWARD):
        with borrowed(pair.base.model, attention=ATTENTION[way]):
            call = importance(way, "float32", pair.base, pair.shape)
            call()
            found[way] = waits(pair.device, call)
    return found


def responses(precision: str, pair: Pair, _kept: Kept) -> dict[str, Any]:
    """A step of generation for so many prompts at once; lengths that are new to the GPU's libraries are not told."""
    found: dict[str, Any] = {}
    for n in AT_ONCE:
        prompts = [task(pair.shape, seed).prompt_ids for seed in range(n)]
        with products_in(precision):
            one = timed(pair.device, 1, partial(generate, pair.base, prompts, pair.shape.n_new))
        n_tokens = sum(map(len, one.found))
        steps = max(map(len, one.found))
        found[str(n)] = {
            "seconds": one.seconds,
            "first": one.first,
            "steps": steps,
            "tokens_a_second": n_tokens / one.seconds,
        }
        found[str(n)] |= {"peak_gib": one.peak_gib, "seconds_a_step": one.seconds / max(1, steps)}
    return found


def predictions(precision: str, pair: Pair, kept: Kept) -> dict[str, Any]:
    """Mean log probabilities over the generic texts of outputs, and how far they lie from float32's, in nats."""
    texts = generic_texts(pair.tokenizer)
    with products_in(precision):
        call = partial(mean_predictions, pair.base, texts, pair.shape.config["vocab_size"])
        one = timed(pair.device, pair.shape.repeats, call)
    if precision == "float32":
        kept.keep_array("predictions-log-p", one.found.log_p)
    exact = kept.array("predictions-log-p")
    off = None if exact is None else float(np.abs(one.found.log_p - exact).max())
    n_positions = sum(len(text.ids) for text in texts)
    operations = 2 * pair.shape.size.n_parameters * n_positions
    share = _share(kept, precision, operations, one.seconds)
    return {"seconds": one.seconds, "peak_gib": one.peak_gib, "operations": operations, "share": share, "nats": off}


def loading(pair: Pair, _kept: Kept) -> dict[str, Any]:
    """The digest of one layer's weights, times all of them; reading files is not in it."""
    layer = pair.base.model.model.layers[0]
    n = sum(weight.numel() for weight in layer.parameters())
    one = timed(pair.device, 1, partial(fingerprint, layer, "layer"))
    return {"seconds": one.seconds * pair.shape.size.n_parameters / n, "peak_gib": one.peak_gib}


def _share(kept: Kept, precision: str, operations: float, seconds: float) -> float | None:
    rates = kept.get("rates")
    return None if rates is None else operations / rates[precision] / seconds
