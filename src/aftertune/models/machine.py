"""How fast is this machine, and how much memory is free?  Measured in a fraction of a second, right before a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from aftertune.models.checkpoint import chosen_device, chosen_dtype

Clock = Callable[[], float]
SIDE = 1024
N_ADDED = 2**21
SECONDS = 0.15


@dataclass(frozen=True)
class Machine:
    """``matrix_rate`` operations a second in products of matrices, ``memory_rate`` bytes a second in sums of vectors.

    ``free_bytes`` are free where the model will lie, ``kind`` is "cpu", "cuda" or "mps".
    """

    kind: str
    matrix_rate: float
    memory_rate: float
    free_bytes: int


def measure_machine(device: str = "auto", dtype: str = "float32", clock: Clock = time.perf_counter) -> Machine:
    """Measure the device in the type that a run is asked to use; raises `CheckpointError` if either can't be used."""
    named, kind = chosen_device(device), chosen_dtype(dtype)
    place = torch.device("cuda" if named == "balanced" else named)
    left, right = (torch.ones(SIDE, SIDE, dtype=kind, device=place) for _ in range(2))
    one, two, both = (torch.ones(N_ADDED, dtype=kind, device=place) for _ in range(3))
    product = _seconds(lambda: torch.mm(left, right), place, clock)
    addition = _seconds(lambda: torch.add(one, two, out=both), place, clock)
    moved = 3 * N_ADDED * both.element_size()
    return Machine(place.type, 2 * SIDE**3 / product, moved / addition, _free_bytes(place, named == "balanced"))


def _seconds(work: Callable[[], object], place: torch.device, clock: Clock) -> float:
    """The median time of ``work``, which others on the machine slow down as they will slow down the run."""
    work()
    taken, ends = list[float](), clock() + SECONDS / 2
    while not taken or clock() < ends:
        started = clock()
        work()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        taken.append(clock() - started)
    return sorted(taken)[len(taken) // 2]


def _free_bytes(place: torch.device, all_of_them: bool) -> int:
    if place.type != "cuda":
        return int(psutil.virtual_memory().available)
    places = range(torch.cuda.device_count()) if all_of_them else [place]
    return sum(int(torch.cuda.mem_get_info(one)[0]) for one in places)
