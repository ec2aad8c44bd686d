"""How many workers have room in a cluster, and what does each get?

1. A worker needs memory for what an explainer needs most, and a GPU where the device is one.
2. By default there are as many as memory and GPUs allow, at most one for each processor.
3. Each gets an even share of the processors of its machine: as many as all of them can have.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from aftertune.errors import RunError

CPU, GPU, MEMORY = "CPU", "GPU", "memory"
ALL_GPUS = "balanced"
NUMBERED = re.compile(r"cuda:\d+")
Node = Mapping[str, float]


@dataclass(frozen=True)
class Room:
    """``n_workers``, each with so many processors and GPUs, and so much memory in bytes."""

    n_workers: int
    n_cpus: int
    n_gpus: int
    n_bytes: float

    @property
    def text(self) -> str:
        """What a person is told of it."""
        gpus = f", {self.n_gpus} GPU{'s' * (self.n_gpus > 1)}" if self.n_gpus else ""
        workers = f"{self.n_workers} worker{'s' * (self.n_workers > 1)}"
        of_each = f"{self.n_cpus} thread{'s' * (self.n_cpus > 1)}{gpus} and {self.n_bytes / 1e9:.1f} GB"
        return f"{workers} on Ray, each with {of_each}"


def gpus_of_worker(device: str, nodes: Sequence[Node]) -> int:
    """The GPUs that a worker needs for a study's device; raises `RunError` where there are none, or one is named."""
    most = int(max((one.get(GPU, 0) for one in nodes), default=0))
    if NUMBERED.fullmatch(device):
        raise RunError(f"Which GPU a worker gets is Ray's to say, and the device is {device}. Give cuda, or auto.")
    if device in ("cuda", ALL_GPUS) and not most:
        raise RunError(f"The device is {device}, and no machine of the cluster has a GPU. Give cpu, or auto.")
    return {"auto": min(most, 1), "cuda": 1, ALL_GPUS: most}.get(device, 0)


def find_room(nodes: Sequence[Node], asked: int | None, n_gpus: int, n_bytes: float) -> Room:
    """Workers for ``nodes`` (each with its CPUs, GPUs and bytes of memory); ``asked``: just so many.

    Raises `RunError` where there is no room for them.
    """
    most = sum(_fitting(one, 1, n_gpus, n_bytes) for one in nodes)
    if not most or (asked or 0) > most:
        raise RunError(f"{_say_wanted(asked, most)} {_say_needed(n_gpus, n_bytes)} {_say_nodes(nodes)} {REMEDY}")
    wanted = asked or most
    largest = int(max(one.get(CPU, 0) for one in nodes))
    enough = (n for n in range(largest, 0, -1) if sum(_fitting(one, n, n_gpus, n_bytes) for one in nodes) >= wanted)
    return Room(wanted, next(enough), n_gpus, n_bytes)


REMEDY = "Give machines with more, fewer workers, a smaller model, or --dtype bfloat16."


def _fitting(node: Node, n_cpus: int, n_gpus: int, n_bytes: float) -> int:
    """How many workers fit on a machine."""
    each = {CPU: n_cpus, GPU: n_gpus, MEMORY: n_bytes}
    return int(min(node.get(name, 0) // need if need else inf for name, need in each.items()))


def _say_wanted(asked: int | None, most: int) -> str:
    if most:
        return f"There is room for {most} worker{'s' * (most > 1)} in the cluster, and {asked} were asked for."
    return "There is no room for a worker in the cluster."


def _say_needed(n_gpus: int, n_bytes: float) -> str:
    gpus = f", {n_gpus} GPU{'s' * (n_gpus > 1)}" if n_gpus else ""
    return f"Each needs a processor{gpus} and about {n_bytes / 1e9:.1f} GB of memory."


def _say_nodes(nodes: Sequence[Node]) -> str:
    def say(one: Node) -> str:
        return f"{one.get(CPU, 0):.0f} CPUs, {one.get(GPU, 0):.0f} GPUs, {one.get(MEMORY, 0) / 1e9:.1f} GB"

    return f"Its machines have {'; '.join(map(say, nodes[:4]))}{'; ...' if len(nodes) > 4 else ''}."
