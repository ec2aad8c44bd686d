"""What do responses and attributions cost, and how much memory do they hold?

1. A range, since nobody knows when responses end: at most all of them have the most tokens that they may have, at least
   a quarter of those.
2. What a pass costs (`passes`), as often as a step passes the layers.
3. Memory is that of the step that needs most: keys, values and logits of a batch of responses, or as many directions at
   once as `chunks` takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from aftertune.explainers.attribution.importance.chunks import (
    MOST_ON_CPU,
    MOST_ON_GPU,
    attributions_at_once,
    bytes_of_direction,
    bytes_written_out,
    most_at_once,
    responses_at_once,
    scores_of_position,
)
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.head import STATES_AT_ONCE
from aftertune.explainers.attribution.importance.instruction import N_CONTROLS
from aftertune.explainers.attribution.importance.interventions import N_ABLATIONS, N_DRAWS, N_RANDOM, N_REPLACED
from aftertune.explainers.attribution.importance.removal import n_passes
from aftertune.explainers.attribution.importance.routes import BFLOAT16, FORWARD, REVERSE_COST, Way, cheaper_route
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, RESPONSES
from aftertune.explainers.attribution.settings import LEAST_UNITS, AttributionSettings
from aftertune.explainers.attribution.work.passes import generation, one_pass, plain_pass, prediction
from aftertune.explainers.explainer import Inputs
from aftertune.models.cost import DTYPE_BYTES, FLOAT32_BYTES, Cost, Remaining, Step
from aftertune.models.description import AttentionShape
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.prompts.instruction import instruction_spans
from aftertune.prompts.prompt import Prompt
from aftertune.runs.run import RunFolder

Asked = Way | Literal["auto"]
EARLY = 0.25
# What forward mode takes with products in bfloat16, where the processor has such products.
COST_OF_BFLOAT16 = 0.6
# What Python and its libraries take around the products of a layer in a chunk of directions.
SECONDS_OF_CHUNK = 3e-3
# A GPU moves less for each number of a tangent than a processor's caches do, where forward mode is written out.
SHARE_MOVED_ON_GPU = 0.35
SECONDS_OF_REPORTED_PROMPT = 0.05
# Logits of response tokens are there as such, as probabilities, and as gradients of both.
COPIES_OF_LOGITS = 4


@dataclass(frozen=True)
class Item:
    """One prompt under one model; ``is_silent`` until its response is there, whose length nobody knows.

    ``is_marked`` where its instruction is, so that it is left out whole too.
    """

    n_prompt: int
    n_response: int
    is_silent: bool = False
    is_attributed: bool = False
    is_marked: bool = False


def remaining(
    settings: AttributionSettings, inputs: Inputs, run: RunFolder, role: str, size: ModelSize, machine: Machine
) -> Remaining:
    """What is left to do for the model of a role."""
    items = list(_items(inputs, run, role))
    left = [item for item in items if not item.is_attributed]
    n_most = most_tokens(inputs, size) if left else 0
    ends = [_answered(left, n) for n in (max(1, round(EARLY * n_most)), n_most)]
    n_checked = round(min(settings.check, len(items)) * _share(left, items))
    answering = [responses(size, end, machine) for end in ends]
    way = way_of(settings)
    attributing = [attributions(size, end, settings, n_checked, machine) for end in ends]
    silent = [item for item in left if item.is_silent]
    steps = {
        "responses": Step(answering[0], answering[1], 1 - _share(silent, items)),
        "attribution": Step(attributing[0], attributing[1], 1 - _share_of_work(left, items, inputs)),
    }
    peaks = [peak_bytes(size, end, DTYPE_BYTES[inputs.dtype], way, machine) for end in ends]
    return Remaining(
        steps={name: step for name, step in steps.items() if step.most != Cost()},
        least_bytes=peaks[0],
        most_bytes=peaks[1],
        report=Cost(seconds=SECONDS_OF_REPORTED_PROMPT * len(inputs.prompts)),
    )


def remaining_pair(
    settings: AttributionSettings, inputs: Inputs, missing: Sequence[Prompt], size: ModelSize, machine: Machine
) -> Remaining:
    """What is left of the base's reading of the tuned model's responses to prompts."""
    if not missing or not inputs.lengths:
        return Remaining()
    lengths = dict(zip((prompt.id for prompt in inputs.prompts), inputs.lengths, strict=True))
    items = [Item(lengths[prompt.id], 0, is_silent=True) for prompt in missing]
    n_most = most_tokens(inputs, size)
    least, most = (
        attributions(size, _answered(items, n), settings, 0, machine) for n in (max(1, round(EARLY * n_most)), n_most)
    )
    return Remaining({"difference": Step(least, most)})


def relative_cost(n_prompt: int, n_response: int) -> float:
    """What an attribution costs beside others, by count: directions times positions."""
    return min(n_prompt, n_response) * (n_prompt + n_response)


def most_tokens(inputs: Inputs, size: ModelSize) -> int:
    """The most tokens that a response can have: as asked for, or until the longest prompt fills the context."""
    longest = max(inputs.lengths)
    room = (size.context or inputs.max_new_tokens + longest) - longest
    return max(1, min(inputs.max_new_tokens, room))


def responses(size: ModelSize, items: Sequence[Item], machine: Machine) -> Cost:
    """Generating the responses of those that have none, batch by batch."""
    silent = sorted((item for item in items if item.is_silent), key=lambda item: item.n_prompt)
    at_once = _responses_at_once(size, silent, machine)
    batches = [silent[start : start + at_once] for start in range(0, len(silent), at_once)]
    each = (generation(size, len(one), one[-1].n_prompt, one[-1].n_response, machine.kind) for one in batches)
    return sum(each, Cost())


def way_of(settings: AttributionSettings) -> Asked:
    """How importance is computed; "auto" is the cheaper of two ways of the gradient."""
    return settings.route if settings.method == "gradient" else settings.method


def attributions(
    size: ModelSize, items: Sequence[Item], settings: AttributionSettings, n_checked: int, machine: Machine
) -> Cost:
    """The attribution of all, and of a sample of ``n_checked`` what it is held against."""
    at_once, way, found = MOST_ON_GPU if machine.kind == "cuda" else MOST_ON_CPU, way_of(settings), Cost()
    for item in items:
        share = settings.removal_budget if item.n_prompt >= LEAST_UNITS else 1.0
        removal = attribution(size, item, "removal", at_once, share)
        check = (removal + interventions(size, item)) * (n_checked / len(items))
        passes = share * n_passes(settings.removal)
        own = attribution(size, item, chosen_way(way, item, size), at_once, passes, machine.kind)
        found += own + check + (without_instruction(size, item) if item.is_marked else Cost())
    return found


def interventions(size: ModelSize, item: Item) -> Cost:
    """Words of a prompt replaced, and units left out together."""
    if not item.n_response:
        return Cost()
    positions, n_many = item.n_prompt + item.n_response - 1, N_ABLATIONS + N_RANDOM + 1
    after = plain_pass(size, positions - item.n_prompt // 2) * (min(item.n_prompt, N_REPLACED) * N_DRAWS)
    n_all = min(item.n_prompt, N_REPLACED) * N_DRAWS + n_many
    return after + plain_pass(size, positions) * n_many + prediction(size, item.n_response) * n_all


def without_instruction(size: ModelSize, item: Item) -> Cost:
    """The response after the prompt without its instruction, and without as many other units, often."""
    if not item.n_response:
        return Cost()
    each = plain_pass(size, item.n_prompt + item.n_response - 1) + prediction(size, item.n_response)
    return each * (2 + N_CONTROLS)


def attribution(
    size: ModelSize, item: Item, route: Asked, at_once: int = MOST_ON_CPU, passes: float = 1.0, kind: str = "cpu"
) -> Cost:
    """One prompt with its response by a way other than "auto", ``at_once`` directions at a time.

    Removal takes ``passes`` of them for each prompt token.
    """
    n_prompt, n_response = item.n_prompt, item.n_response
    positions, n_directions = n_prompt + n_response - 1, float(n_response if route == "reverse" else n_prompt)
    if route == "removal":
        n_directions *= passes
    if not n_response:
        return Cost()
    around = Cost(seconds=SECONDS_OF_CHUNK * size.n_layers * ceil(n_directions / at_once))
    if route == "removal":
        # What stands before the removed token is kept, so half of the prompt on average.
        one = plain_pass(size, positions - n_prompt // 2) + prediction(size, n_response)
        return one * n_directions + around
    taken = n_directions * {"reverse": REVERSE_COST, BFLOAT16: COST_OF_BFLOAT16}.get(route, 1.0)
    written_out = route in FORWARD and size.written_out
    # Written out, what stands before a unit is left out.
    passed = positions - n_prompt // 2 if written_out else positions
    one = one_pass(size, passed, written_out)
    if written_out and kind == "cuda":
        one = replace(one, moved=SHARE_MOVED_ON_GPU * one.moved)
    return one * taken + prediction(size, n_response) * 3 + around


def chosen_way(way: Asked, item: Item, size: ModelSize) -> Way:
    """The way that a prompt with a response goes."""
    return cheaper_route(item.n_prompt, item.n_response, size.written_out) if way == "auto" else way


def peak_bytes(size: ModelSize, items: Sequence[Item], dtype_bytes: int, route: Asked, machine: Machine) -> float:
    """Bytes at the peak beside the weights, in a dtype of so many bytes."""
    silent = [item for item in items if item.is_silent]
    kept = kept_of_position(size) * _longest(silent)
    answering = _responses_at_once(size, silent, machine) * dtype_bytes * (kept + size.n_vocabulary) if silent else 0
    return max([answering, *(attribution_bytes(size, item, dtype_bytes, route, machine) for item in items)])


def attribution_bytes(size: ModelSize, item: Item, dtype_bytes: int, route: Asked, machine: Machine) -> float:
    """Bytes that the attribution of a batch of such prompts holds beside the weights."""
    n_prompt, n_response, n_batch = item.n_prompt, item.n_response, attributions_at_once(machine.kind)
    positions, shape = n_prompt + n_response - 1, (size.d_inner, size.d_model)
    fixed, most = 0, MOST_ON_GPU if machine.kind == "cuda" else MOST_ON_CPU
    chosen = chosen_way(route, item, size)
    scores = scores_of_position(FUSED if chosen in FORWARD else "sdpa", positions, size.n_heads)
    each = bytes_of_direction(n_batch, positions, *shape, scores, dtype_bytes)
    if size.written_out and chosen in FORWARD:
        most = n_prompt
        fixed, each = bytes_written_out(n_batch, positions, *shape, size.n_heads, dtype_bytes)
    logits = COPIES_OF_LOGITS * FLOAT32_BYTES * n_batch * min(n_response, STATES_AT_ONCE) * size.n_vocabulary
    at_once = most_at_once(each, machine.free_bytes, most)
    return float(logits + fixed + each * min(at_once, max(n_prompt, n_response)))


def _responses_at_once(size: ModelSize, silent: Sequence[Item], machine: Machine) -> int:
    """How many responses are generated in one batch."""
    return responses_at_once(size.n_parameters, kept_of_position(size), _longest(silent), machine.kind)


def kept_of_position(shape: ModelSize | AttentionShape) -> int:
    """Numbers of keys and values of a position."""
    return 2 * shape.n_layers * shape.n_key_heads * shape.d_head


def _longest(items: Sequence[Item]) -> int:
    """The longest prompt with its response."""
    return max((item.n_prompt + item.n_response for item in items), default=0)


def _items(inputs: Inputs, run: RunFolder, role: str) -> Iterator[Item]:
    """The prompts of one role; none where nobody knows how long they are."""
    for prompt, n_prompt in zip(inputs.prompts, inputs.lengths, strict=False):
        part, n_response = run.part(RESPONSES, role, prompt.id), None
        if prompt.response is not None:
            n_response = round(len(prompt.response) * n_prompt / max(1, len(prompt.text)))
        elif run.exists(*part):
            n_response = len(run.read(part)["response_ids"])
        is_attributed = run.exists(*run.part(ATTRIBUTIONS, role, prompt.id))
        yield Item(n_prompt, n_response or 0, n_response is None, is_attributed, _is_marked(prompt))


def _is_marked(prompt: Prompt) -> bool:
    """Whether the user wrote more than the instruction, so that leaving it out can be compared."""
    marked = sum(end - start for start, end, _ in instruction_spans(prompt))
    return 0 < marked < sum(len(one.content) for one in prompt.messages if one.role == "user")


def _answered(items: Sequence[Item], n_tokens: int) -> list[Item]:
    """The same prompts, every response that is not there yet having ``n_tokens``."""
    return [replace(item, n_response=n_tokens) if item.is_silent else item for item in items]


def _share(part: Sequence[Item], whole: Sequence[Item]) -> float:
    return len(part) / len(whole) if whole else 0.0


def _share_of_work(part: Sequence[Item], whole: Sequence[Item], inputs: Inputs) -> float:
    """The share in units of what attribution tells as its progress."""
    of_part, of_whole = (
        sum(relative_cost(one.n_prompt, one.n_response) for one in _answered(items, inputs.max_new_tokens))
        for items in (part, whole)
    )
    return of_part / of_whole if of_whole else 0.0
