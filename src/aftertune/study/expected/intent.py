"""What a comparison is about to do: all that was chosen, and how much of it does not lie in the run folder yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.explainers.attribution.importance.routes import cheaper_route
from aftertune.explainers.attribution.measure import Plan
from aftertune.explainers.concepts.parts import CONCEPTS
from aftertune.explainers.concepts.settings import ConceptPlan
from aftertune.explainers.heads.layer import Lexicon
from aftertune.explainers.heads.parts import HEADS
from aftertune.models.architectures import is_written_out
from aftertune.models.size import ModelSize, size_of
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Prompt
from aftertune.runs.layer_parts import LayerParts, LayerPlan
from aftertune.runs.run import RunFolder
from aftertune.words import Words


@dataclass(frozen=True)
class Intent:
    """A comparison that has been checked and not begun.

    ``subjects`` are all checkpoints by their roles, ``sizes`` those of the roles that are not wholly measured yet;
    ``n_tokens`` (n_prompts,) the prompts' lengths, empty where nothing is left to measure. ``lexicon`` is None where
    heads are skipped, ``concepts`` where feed-forward layers are; ``prompts`` and ``n_tokens`` are empty where
    attribution is.
    """

    run: RunFolder
    subjects: Mapping[str, Subject]
    sizes: Mapping[str, ModelSize]
    prompts: Sequence[Prompt]
    n_tokens: Sequence[int]
    plan: Plan
    lexicon: Lexicon | None
    concepts: tuple[Words, ConceptPlan] | None
    device: str
    dtype: str


def sizes_of(subjects: Mapping[str, Subject], configs: Sequence[Any]) -> dict[str, ModelSize]:
    """The sizes of checkpoints by their roles; raises `CheckpointError` if a GGUF file's header can't be read."""
    known: dict[Any, ModelSize] = {}
    for one, config in zip(subjects.values(), configs, strict=True):
        if (one.ref, one.revision) not in known:
            known[one.ref, one.revision] = size_of(one.ref, config, one.revision)
    return {role: known[one.ref, one.revision] for role, one in subjects.items()}


@dataclass(frozen=True)
class Item:
    """A prompt that is left: ``n_response`` is None until its response is there, which may end early."""

    n_prompt: int
    n_response: int | None


@dataclass(frozen=True)
class Left:
    """What is left to do for one role.

    ``silent`` are the lengths of prompts without a response, ``items`` the prompts without an attribution, of which
    ``n_checked`` are held against removal. ``head_layers`` and ``concept_layers`` are numbers of layers. ``already`` is
    the share of each stage that was done before.
    """

    size: ModelSize
    silent: tuple[int, ...]
    items: tuple[Item, ...]
    n_checked: int
    head_layers: int
    concept_layers: int
    already: Mapping[str, float]


def left_of(intent: Intent, role: str) -> Left:
    """What does not lie in the run folder yet of one role."""
    size, run = intent.sizes[role], intent.run
    responses = list(_responses(intent, role))
    items = [item for prompt, item in responses if not run.exists(*run.part("attribution", role, prompt.id))]
    silent = tuple(item.n_prompt for item in items if item.n_response is None)
    heads = _layers_left(HEADS, run, role, intent.lexicon.plan if intent.lexicon else None, size)
    concepts = _layers_left(CONCEPTS, run, role, intent.concepts[1] if intent.concepts else None, size)
    n_all, work = len(responses), sum(_work(item, intent.plan) for _, item in responses)
    return Left(
        size=size,
        silent=silent,
        items=tuple(items),
        n_checked=0
        if intent.plan.route == "removal"
        else round(min(intent.plan.check, n_all) * len(items) / max(n_all, 1)),
        head_layers=heads[0],
        concept_layers=concepts[0],
        already={
            "responses": 1 - len(silent) / n_all if n_all else 1.0,
            "attribution": 1 - sum(_work(item, intent.plan) for item in items) / work if work else 1.0,
            "heads": heads[1],
            "concepts": concepts[1],
        },
    )


def most_tokens(intent: Intent, size: ModelSize) -> int:
    """The most tokens that a response can have: as asked for, or until the longest prompt fills the context."""
    room = (size.context or intent.plan.max_new_tokens + max(intent.n_tokens)) - max(intent.n_tokens)
    return max(1, min(intent.plan.max_new_tokens, room))


def _responses(intent: Intent, role: str) -> Iterator[tuple[Prompt, Item]]:
    run = intent.run
    for prompt, n_prompt in zip(intent.prompts, intent.n_tokens, strict=False):
        part, n_response = run.part("responses", role, prompt.id), None
        if prompt.response is not None:
            n_response = round(len(prompt.response) * n_prompt / max(1, len(prompt.text)))
        elif run.exists(*part):
            n_response = len(run.read(part)["response_ids"])
        yield prompt, Item(n_prompt, n_response)


def _work(item: Item, plan: Plan) -> float:
    """The units in which attribution tells its progress."""
    n, m = item.n_prompt, plan.max_new_tokens if item.n_response is None else item.n_response
    return min(n, m) * (n + m)


def _layers_left(
    parts: LayerParts, run: RunFolder, role: str, plan: LayerPlan | None, size: ModelSize
) -> tuple[int, float]:
    """The number of layers that are not read yet, and the share of those that are."""
    layers = plan.chosen_layers(size.n_layers) if plan else ()
    left = sum(not parts.is_written(run, role, layer) for layer in layers)
    return left, 1 - left / len(layers) if layers else 1.0


def route_of(route: str, item: Item, size: ModelSize) -> str:
    """The route that a prompt with a response goes by."""
    if route != "auto":
        return route
    return cheaper_route(item.n_prompt, item.n_response or 0, is_written_out(size.architecture))
