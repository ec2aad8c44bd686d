"""Which device and dtype does a setting name, how fast is that machine, and how much memory is free?

Rates are measured in a fraction of a second, right before a run.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from aftertune.errors import CheckpointError
from aftertune.models.mapped.memory import ON_DISK, bytes_in_memory, free_memory
from aftertune.models.products.digits import TF32, multiply_as

Clock = Callable[[], float]
SIDE, N_ADDED = 1024, 2**21
SIDE_ON_GPU, N_ADDED_ON_GPU = 8192, 2**25  # less does not fill it
SECONDS = 0.15
SMALL = 1 / 8
PLACES = {"balanced": "cuda", ON_DISK: "cpu"}  # where what is spread, or stays on disk, is computed


@dataclass(frozen=True)
class Machine:
    """``matrix_rate`` operations a second in products of matrices, ``memory_rate`` bytes a second in sums of vectors.

    ``free_bytes`` are free where the model will lie, ``kind`` is "cpu", "cuda" or "mps"; ``on_disk`` says that weights
    stay on disk.
    """

    kind: str
    matrix_rate: float
    memory_rate: float
    free_bytes: int
    on_disk: bool = False


def measure_machine(device: str = "auto", dtype: str = "float32", clock: Clock = time.perf_counter) -> Machine:
    """Measure the device in the type that a run is asked to use; raises `CheckpointError` if either can't be used."""
    named, kind = chosen_device(device), chosen_dtype(dtype)
    multiply_as(dtype, named)
    place = torch.device(PLACES.get(named, named))
    free = _free_bytes(place, named == "balanced")
    side, n_added = (SIDE_ON_GPU, N_ADDED_ON_GPU) if place.type == "cuda" else (SIDE, N_ADDED)
    left, right = (torch.rand(side, side, dtype=kind, device=place) for _ in range(2))  # ones are faster than numbers
    one, two, both = (torch.ones(n_added, dtype=kind, device=place) for _ in range(3))
    product = _seconds(lambda: torch.mm(left, right), place, clock)
    addition = _seconds(lambda: torch.add(one, two, out=both), place, clock)
    moved = 3 * n_added * both.element_size()
    return Machine(place.type, 2 * side**3 / product, moved / addition, free, named == ON_DISK)


def use_threads(n: int) -> None:
    """Let this process compute with so many threads."""
    torch.set_num_threads(n)


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
        return free_memory()
    places = range(torch.cuda.device_count()) if all_of_them else [place]
    return sum(int(torch.cuda.mem_get_info(one)[0]) for one in places)


def is_small(model: torch.nn.Module) -> bool:
    """Whether a model takes an eighth of what is free where it lies at most, so that another can be held beside it."""
    return bytes_in_memory(model) <= SMALL * _free_bytes(next(model.parameters()).device, False)


DTYPES = {"float32": torch.float32, TF32: torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DTYPES |= {"float64": torch.float64}
DTYPES |= {"int8": torch.bfloat16, "int4": torch.bfloat16}  # what is computed where weights are held in fewer bits
DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")


def chosen_device(device: str) -> str:
    """The device that a setting stands for ("auto" is CUDA, else the CPU); `CheckpointError` if it can't be used."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device in PLACES:
        return device
    try:
        if not DEVICE.fullmatch(device):
            raise RuntimeError("it is not one of those allowed")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = re.split(r"\.\s|\n", str(error))[0].rstrip(".")
        raise CheckpointError(
            f"The device {device!r} can't be used here: {reason}. "
            "Allowed: auto, cpu, cuda, cuda:N, mps, balanced, disk."
        ) from error
    return device


def chosen_dtype(dtype: str) -> torch.dtype:
    """The type in which a model computes, by a setting; raises `CheckpointError` for another."""
    if dtype not in DTYPES:
        raise CheckpointError(f"The dtype {dtype!r} is not known. Allowed: {', '.join(DTYPES)}.")
    return DTYPES[dtype]
