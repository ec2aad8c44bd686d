"""All prompts of one checkpoint, unit by unit, into the run folder.

1. Encode the prompts.
2. Responses in fixed batches of prompts of like length, one part a prompt; a batch is the unit of work, since the
   numbers of a batch depend on its members.
3. Attributions in fixed batches too, one part a prompt; on the CPU a batch is one prompt.
4. On a sample, the agreement with removal itself.
What has its part already is not computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.removal import REMOVALS
from aftertune.explainers.attribution.importance.routes import (
    ROUTES,
    attribute_batch,
    must_be_known,
    must_suit,
    respond,
    response_of,
    with_agreement,
)
from aftertune.explainers.attribution.result import Attribution
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.generation import generate
from aftertune.prompts.encoding import EncodedPrompt
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.templates import TEMPLATES
from aftertune.runs.run import RunFolder

Progress = Callable[[str, float, float], None]
RESPONSES_AT_ONCE = 8
ATTRIBUTIONS_AT_ONCE_ON_GPU = 8


@dataclass(frozen=True)
class Plan:
    """What is measured on every prompt; the names are those of the command line.

    ``template``, ``max_new_tokens``, ``route``, ``removal`` and ``unit`` are those of `aftertune.attribute`; ``check``
    is the number of prompts per model on which the first order is held against removal itself. Raises
    `AttributionError` for a template, route or removal that is not known: before a run begins, not after its first
    model was loaded.
    """

    template: str = "raw"
    max_new_tokens: int = 300
    route: str = "auto"
    removal: str = "zeroed"
    unit: str = "token"
    check: int = 4

    def __post_init__(self) -> None:
        must_be_known("template", self.template, TEMPLATES)
        must_be_known("route", self.route, ROUTES)
        must_be_known("removal", self.removal, REMOVALS)


def measure(
    checkpoint: Checkpoint, role: str, prompts: Sequence[Prompt], plan: Plan, run: RunFolder, progress: Progress
) -> None:
    """Write the parts "responses" and "attribution" of every prompt under ``role``, those that are not there yet.

    ``progress(what, done, total)`` is called after each unit of work, in units of estimated cost. Raises what
    `aftertune.attribute` raises, and `RunError` if a part cannot be written.
    """
    must_suit(checkpoint, plan.route)
    encoded = [encode_for(checkpoint, prompt, plan.template, prompt.response) for prompt in prompts]
    answered = _respond(checkpoint, role, encoded, plan, run, progress)
    _attribute(checkpoint, role, answered, plan, run, progress)


def is_measured(role: str, prompts: Sequence[Prompt], run: RunFolder) -> bool:
    """Whether every prompt has its attribution under ``role``."""
    return all(run.exists(*run.part("attribution", role, prompt.id)) for prompt in prompts)


def _respond(
    checkpoint: Checkpoint,
    role: str,
    encoded: Sequence[EncodedPrompt],
    plan: Plan,
    run: RunFolder,
    progress: Progress,
) -> list[EncodedPrompt]:
    asked = [item for item in encoded if item.response_ids is None]
    for done, batch in enumerate(_batches(asked, RESPONSES_AT_ONCE)):
        progress("responses", done * RESPONSES_AT_ONCE, len(asked))
        parts = [run.part("responses", role, item.prompt.id) for item in batch]
        if all(run.exists(*part) for part in parts):
            continue
        found = generate(checkpoint, [item.ids.tolist() for item in batch], plan.max_new_tokens)
        for part, item, ids in zip(parts, batch, found, strict=True):
            if run.exists(*part):
                continue
            text = checkpoint.tokenizer.decode(ids)
            row = {"id": item.prompt.id, "response": text, "response_ids": np.array(ids, dtype=np.int64)}
            run.write(part, row)
    progress("responses", len(asked), len(asked))
    return [_with_response(role, item, run) for item in encoded]


def _with_response(role: str, item: EncodedPrompt, run: RunFolder) -> EncodedPrompt:
    if item.response_ids is not None:
        return item
    return respond(item, run.read(run.part("responses", role, item.prompt.id))["response_ids"])


def _attribute(
    checkpoint: Checkpoint, role: str, answered: Sequence[EncodedPrompt], plan: Plan, run: RunFolder, progress: Progress
) -> None:
    n_checked = 0 if plan.route == "removal" else plan.check
    checked = {item.prompt.id for item in sample([item for item in answered if len(response_of(item))], n_checked)}
    size = ATTRIBUTIONS_AT_ONCE_ON_GPU if checkpoint.model.device.type == "cuda" else 1
    done, total = 0.0, sum(map(_cost, answered))
    for batch in _batches(answered, size):
        progress("attribution", done, total)
        done += sum(map(_cost, batch))
        parts = [run.part("attribution", role, item.prompt.id) for item in batch]
        if all(run.exists(*part) for part in parts):
            continue
        found = attribute_batch(checkpoint, batch, plan.route, plan.unit, removal=plan.removal)
        for part, item, one in zip(parts, batch, found, strict=True):
            if run.exists(*part):
                continue
            if item.prompt.id in checked:
                one = with_agreement(checkpoint, item, one, plan.unit, plan.removal)
            run.write(part, _row(item, one))
    progress("attribution", total, total)


def _row(item: EncodedPrompt, found: Attribution) -> dict[str, object]:
    return {"id": item.prompt.id, "dataset": item.prompt.dataset, **found.to_row()}


def _cost(item: EncodedPrompt) -> float:
    return relative_cost(len(item.ids), len(response_of(item)))


def relative_cost(n_prompt: int, n_response: int) -> float:
    """What an attribution costs beside others, by count: directions times positions."""
    return min(n_prompt, n_response) * (n_prompt + n_response)


def sample(items: Sequence[EncodedPrompt], n: int) -> list[EncodedPrompt]:
    """``n`` items spread evenly over the list, the same ones every time."""
    n = min(n, len(items))
    return [items[int((index + 0.5) * len(items) / n)] for index in range(n)]


def _batches(items: Sequence[EncodedPrompt], size: int) -> Iterator[list[EncodedPrompt]]:
    ordered = sorted(items, key=lambda item: len(item.ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
