"""How long will a comparison take, and how much memory, with what is left of it on this machine?

A range, since nobody knows when responses end: at most all of them have the most tokens that they may have, at least a
quarter of those. Each end is the sum over the stages of `costs`; memory is that of the stage that needs most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aftertune.explainers.attribution.importance.chunks import MOST_ON_CPU, MOST_ON_GPU
from aftertune.explainers.attribution.measure import RESPONSES_AT_ONCE
from aftertune.models.machine import Machine
from aftertune.study.expected import costs
from aftertune.study.expected.costs import Cost
from aftertune.study.expected.intent import Intent, Item, Left, left_of, most_tokens, route_of
from aftertune.study.expected.memory import peak_bytes

EARLY = 0.25
REPORT = "report"


@dataclass(frozen=True)
class Estimate:
    """Seconds of each stage ("base: heads") in their order, ``least`` and ``most``, and memory in bytes.

    ``already`` is the share of a stage that was done before and is in neither.
    """

    least: Mapping[str, float]
    most: Mapping[str, float]
    already: Mapping[str, float]
    least_bytes: float
    most_bytes: float
    machine: Machine

    @property
    def expected(self) -> dict[str, float]:
        """The middle of each stage's range."""
        return {name: (self.least[name] + most) / 2 for name, most in self.most.items()}

    @property
    def seconds(self) -> tuple[float, float]:
        """The whole time, least and most."""
        return sum(self.least.values()), sum(self.most.values())


def estimate(intent: Intent, machine: Machine) -> Estimate:
    """Time and memory of what is left."""
    left = {role: left_of(intent, role) for role in intent.sizes}
    longest = {role: most_tokens(intent, one.size) if one.items else 0 for role, one in left.items()}
    shortest = {role: max(1, round(EARLY * n)) for role, n in longest.items()}
    return Estimate(
        least=_seconds(intent, left, shortest, machine),
        most=_seconds(intent, left, longest, machine),
        already={f"{role}: {stage}": share for role, one in left.items() for stage, share in one.already.items()},
        least_bytes=_bytes(intent, left, shortest, machine),
        most_bytes=_bytes(intent, left, longest, machine),
        machine=machine,
    )


def _seconds(
    intent: Intent, left: Mapping[str, Left], n_tokens: Mapping[str, int], machine: Machine
) -> dict[str, float]:
    at_once = MOST_ON_GPU if machine.kind == "cuda" else MOST_ON_CPU
    return {name: cost.on(machine) for name, cost in _stages(intent, left, n_tokens, at_once)}


def _bytes(intent: Intent, left: Mapping[str, Left], n_tokens: Mapping[str, int], machine: Machine) -> float:
    return max(
        (peak_bytes(one, n_tokens[role], intent.dtype, intent.plan.route, machine) for role, one in left.items()),
        default=0.0,
    )


def _stages(
    intent: Intent, left: Mapping[str, Left], n_tokens: Mapping[str, int], at_once: int
) -> Iterator[tuple[str, Cost]]:
    for role, one in left.items():
        for stage, cost in stages_of(intent, one, n_tokens[role], at_once).items():
            yield f"{role}: {stage}", cost
    yield REPORT, _report(intent)


def stages_of(intent: Intent, left: Left, n_tokens: int, at_once: int) -> dict[str, Cost]:
    """The costs of one role's stages, if every response that is not there yet has ``n_tokens``."""
    size, plan = left.size, intent.plan
    items = [replace(item, n_response=n_tokens) if item.n_response is None else item for item in left.items]
    stages = {
        "loading": costs.loading(size),
        "responses": _responses(left, n_tokens),
        "attribution": sum((_attribution(left, item, plan.route, at_once) for item in items), Cost()),
    }
    if intent.lexicon:
        n_words, made = len(intent.lexicon.words), intent.lexicon.plan
        d_vector = intent.lexicon.vectors.vectors.shape[1]
        of_layer = costs.heads_of_layer(size, n_words, d_vector, made.n_top, made.n_draws)
        stages["heads"] = of_layer * left.head_layers
    if intent.concepts:
        words, read = intent.concepts
        stages["concepts"] = costs.concepts_of_layer(size, len(words), read.n_components) * left.concept_layers
    return {name: cost for name, cost in stages.items() if cost != Cost()}


def _responses(left: Left, n_tokens: int) -> Cost:
    lengths = sorted(left.silent)
    batches: Sequence[Sequence[int]] = [
        lengths[start : start + RESPONSES_AT_ONCE] for start in range(0, len(lengths), RESPONSES_AT_ONCE)
    ]
    return sum((costs.responses(left.size, len(batch), batch[-1], n_tokens) for batch in batches), Cost())


def _attribution(left: Left, item: Item, route: str, at_once: int) -> Cost:
    """A prompt's attribution, and its part in the check against removal, which is made on a sample."""
    n, m = item.n_prompt, item.n_response or 0
    check = costs.attribution(left.size, n, m, "removal", at_once) * (left.n_checked / len(left.items))
    return costs.attribution(left.size, n, m, route_of(route, item, left.size), at_once) + check


def _report(intent: Intent) -> Cost:
    """Over all roles, those that are measured already too: they are read again; as large as those that are not."""
    sizes = list(intent.sizes.values())
    if not sizes:
        return Cost(seconds=costs.SECONDS_OF_REPORT)
    n_layers = sizes[0].n_layers
    heads = len(intent.lexicon.plan.chosen_layers(n_layers)) if intent.lexicon else 0
    concepts = len(intent.concepts[1].chosen_layers(n_layers)) if intent.concepts else 0
    n_components = intent.concepts[1].n_components if intent.concepts else 0
    each = costs.report(sizes[0], len(intent.prompts), heads, concepts, n_components)
    return each * len(intent.subjects) + Cost(seconds=costs.SECONDS_OF_REPORT)
