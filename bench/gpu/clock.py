"""Seconds, peak memory, the chip's own rates, precisions, and where a call waits for the GPU."""

import cProfile
import pstats
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.peak import peak_mib

FLOAT32, TF32 = "float32", "TF32"
FP32_PRECISION = {FLOAT32: "ieee", TF32: "tf32"}
SIDE_ON_GPU, SIDE_ON_CPU, N_PRODUCTS = 8192, 256, 8
WAITING = "synchronizing"
MOST_CALLS = 60  # told of a profile, each way


@dataclass(frozen=True)
class Timed:
    """Least ``seconds`` of a few calls, after a ``first``; peak bytes; what the last call gave.

    The first pays for what a GPU's libraries make ready once for a shape.
    """

    seconds: float
    first: float
    peak_gib: float
    found: Any


def timed(device: str, repeats: int, call: Callable[[], Any]) -> Timed:
    """Peak memory is the GPU's, models included; on the CPU the most that the process ever held."""
    first = seconds(device, call)[0]
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    calls = [seconds(device, call) for _ in range(repeats)]
    return Timed(min(taken for taken, _ in calls), first, peak_gib(device), calls[-1][1])


def seconds(device: str, call: Callable[[], Any]) -> tuple[float, Any]:
    wait(device)
    started = time.perf_counter()
    found = call()
    wait(device)
    return time.perf_counter() - started, found


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak_gib(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else peak_mib() / 1024


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Products of float32 matrices on a GPU in full precision, or in TF32."""
    products = torch.backends.cuda.matmul
    before, products.fp32_precision = products.fp32_precision, FP32_PRECISION.get(precision, "ieee")
    try:
        yield
    finally:
        products.fp32_precision = before


def matrix_rate(device: str, precision: str) -> float:
    """Operations a second of the fastest of a few large products."""
    side = SIDE_ON_GPU if device == "cuda" else SIDE_ON_CPU
    number = torch.float32 if precision in FP32_PRECISION else getattr(torch, precision)
    one = torch.randn(side, side, device=device).to(number)
    with products_in(precision):
        best = min(seconds(device, lambda: one @ one)[0] for _ in range(N_PRODUCTS))
    return 2 * side**3 / best


def memory_rate(device: str) -> float:
    """Bytes a second of sums of two vectors of float32."""
    n = 2**28 if device == "cuda" else 2**20
    one, two, both = (torch.ones(n, device=device) for _ in range(3))
    best = min(seconds(device, lambda: torch.add(one, two, out=both))[0] for _ in range(N_PRODUCTS))
    return 3 * n * both.element_size() / best


def waits(device: str, call: Callable[[], Any]) -> dict[str, Any]:
    """How often a call waits for the GPU, and the lines where it does most; unknown on the CPU."""
    if device != "cuda":
        return {"n": None, "lines": {}}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    lines = Counter(f"{one.filename}:{one.lineno}" for one in told if WAITING in str(one.message))
    return {"n": lines.total(), "lines": dict(lines.most_common(5))}


@contextmanager
def profiled(place: Path | None) -> Iterator[None]:
    """Write where the processor's time goes to a file, by calls and what they call; nothing where there is none."""
    if place is None:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        with place.open("w", encoding="utf-8") as file:
            stats = pstats.Stats(profile, stream=file)
            stats.sort_stats("cumulative").print_stats(MOST_CALLS)
            stats.sort_stats("tottime").print_stats(MOST_CALLS)


class Steps:
    """Progress that keeps the seconds of each step."""

    def __init__(self, device: str) -> None:
        self._device, self._step, self._since = device, "", 0.0
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, _done: float, _total: float) -> None:
        self.end()
        self._step, self._since = step, time.perf_counter()

    def end(self) -> dict[str, float]:
        """Close the step that is going on."""
        wait(self._device)
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + time.perf_counter() - self._since
        self._step = ""
        return self.seconds
