"""How long will a study take, and how much memory, with what is left of it on this machine?

A range: each explainer says what its steps take at least and at most (nobody knows when responses end). Memory is that
of the model and, beside it, of the explainer that needs most.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from aftertune.models.cost import Cost, Remaining, Step, loading, weight_bytes
from aftertune.models.machine import SMALL, Machine
from aftertune.models.size import ModelSize
from aftertune.runs.roles import Pair, pairs_of
from aftertune.runs.stage import Stage
from aftertune.study.intent import Intent
from aftertune.study.named import can_be_named

SECONDS_OF_REPORT = 5.0
# Python with torch, transformers and word lists, before any weight is read.
LIBRARY_BYTES = 700e6
REPORT, LOADING = Stage(step="report"), "loading"
Seconds = Mapping[Stage, float]


@dataclass(frozen=True)
class Estimate:
    """Seconds of each stage in their order, ``least`` and ``most``, and memory in bytes.

    ``already`` is the share of a stage that was done before and is in neither.
    """

    least: Seconds
    most: Seconds
    already: Seconds
    least_bytes: float
    most_bytes: float
    machine: Machine

    @property
    def expected(self) -> dict[Stage, float]:
        """The middle of each stage's range."""
        return {stage: (self.least[stage] + most) / 2 for stage, most in self.most.items()}

    @property
    def seconds(self) -> tuple[float, float]:
        """The whole time, least and most."""
        return sum(self.least.values()), sum(self.most.values())


def estimate(intent: Intent, machine: Machine) -> Estimate:
    """Time and memory of what is left."""
    left = {role: _remaining(intent, role, size, machine) for role, size in intent.sizes.items()}
    pairs, named = (dict(found(intent, machine)) for found in (_remaining_of_pairs, _remaining_named))
    steps = dict(_steps(intent, left, [*pairs.items(), *named.items()], machine))
    shares = {stage: _share(intent, stage) for stage in steps}
    held = partial(weight_bytes, dtype=intent.study.dtype, on_disk=machine.on_disk)
    weights = {role: held(size) for role, size in intent.sizes.items()}
    return Estimate(
        least={stage: step.least.on(machine) * shares[stage] for stage, step in steps.items()},
        most={stage: step.most.on(machine) * shares[stage] for stage, step in steps.items()},
        already={stage: step.already for stage, step in steps.items()},
        least_bytes=_peak(intent, left, pairs, weights, "least_bytes", machine),
        most_bytes=_peak(intent, left, pairs, weights, "most_bytes", machine),
        machine=machine,
    )


def _share(intent: Intent, stage: Stage) -> float:
    """The share of a stage's work that one of several workers has: each loads all, and the report is the driver's."""
    is_whole = intent.means is None or stage == REPORT or stage.step == LOADING
    return 1.0 if is_whole or intent.means is None else 1 / intent.means.n_workers


def _remaining(intent: Intent, role: str, size: ModelSize, machine: Machine) -> dict[str, Remaining]:
    return {name: work.remaining(intent.run, role, size, machine) for name, work in intent.works.items()}


def _remaining_of_pairs(intent: Intent, machine: Machine) -> Iterator[tuple[Pair, dict[str, Remaining]]]:
    """What needs both models of a pair; nothing where all of it is measured."""
    for pair in pairs_of(list(intent.subjects)) if intent.sizes else ():
        size = intent.sizes.get(pair.tuned) or next(iter(intent.sizes.values()))
        yield pair, {name: work.remaining_pair(intent.run, pair, size, machine) for name, work in intent.works.items()}


def _remaining_named(intent: Intent, machine: Machine) -> Iterator[tuple[Pair, dict[str, Remaining]]]:
    """What is left to do of what explainers will name, when all else is measured."""
    for pair in pairs_of(list(intent.subjects)) if intent.sizes and can_be_named(intent.run, intent.works) else ():
        size = intent.sizes.get(pair.tuned) or next(iter(intent.sizes.values()))
        yield pair, {name: work.remaining_named(intent.run, pair, size, machine) for name, work in intent.works.items()}


def _steps(
    intent: Intent,
    left: Mapping[str, Mapping[str, Remaining]],
    pairs: Iterable[tuple[Pair, Mapping[str, Remaining]]],
    machine: Machine,
) -> Iterator[tuple[Stage, Step]]:
    read: set[object] = set()
    for role in reversed(list(left)):
        reading = _loading(intent, role, machine, read)
        yield Stage(role, "", LOADING), Step(reading, reading)
    for role, parts in left.items():
        yield from _stages(role, parts)
    for pair, parts in pairs:
        yield from _stages("-".join(pair), parts)
    report = Cost(seconds=SECONDS_OF_REPORT)
    # Of all roles, those that are measured already too: they are read again; as large as those that are not.
    parts = next(iter(left.values()), {})
    report = sum((one.report * len(intent.subjects) for one in parts.values()), report)
    yield REPORT, Step(report, report)


def _loading(intent: Intent, role: str, machine: Machine, read: set[object]) -> Cost:
    """Once to bind the run to the weights, and once to measure, unless two stay in memory (`Loader`).

    A GGUF file is parsed once, and copied where it is ``read`` already.
    """
    size, subject, stays = intent.sizes[role], intent.subjects[role], _stay(intent, role, machine)
    again = loading(replace(size, is_gguf=False) if stays and subject.ref in read else size, machine.on_disk)
    read.add(subject.ref)
    return again * (1 if stays or intent.run.exists(f"{role}.json") else 2)


def _stay(intent: Intent, role: str, machine: Machine) -> bool:
    """Whether both models of a study are small enough to be held."""
    n_bytes = weight_bytes(intent.sizes[role], intent.study.dtype)
    return len(intent.subjects) == 2 and (machine.on_disk or n_bytes <= SMALL * machine.free_bytes)


def _stages(role: str, parts: Mapping[str, Remaining]) -> Iterator[tuple[Stage, Step]]:
    for name, remaining in parts.items():
        for step, costs in remaining.steps.items():
            if costs.most != Cost():
                yield Stage(role, name, step), costs


def _peak(
    intent: Intent,
    left: Mapping[str, Mapping[str, Remaining]],
    pairs: Mapping[Pair, Mapping[str, Remaining]],
    weights: Mapping[str, float],
    which: str,
    machine: Machine,
) -> float:
    """The model, and beside it what the hungriest explainer needs; a GGUF file's weights are held twice for a while.

    Where two models stay in memory, both count.
    """
    both = not machine.on_disk  # of models on disk only one runs at a time
    beside = {role: weights[role] if both and _stay(intent, role, machine) else 0.0 for role in left}
    peaks = [
        weights[role]
        + beside[role]
        + max([weights[role] * intent.sizes[role].is_gguf, *(getattr(one, which) for one in parts.values())])
        for role, parts in left.items()
    ]
    largest = max(weights.values(), default=0.0)
    held = (2 if both else 1) * largest
    peaks += [held + getattr(one, which) for parts in pairs.values() for one in parts.values() if one.steps]
    return (LIBRARY_BYTES if machine.kind == "cpu" and peaks else 0.0) + max(peaks, default=0.0)
