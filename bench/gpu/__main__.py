"""A pair of Llama-2-7B's shape with random weights on one GPU: attribution, outputs, location, heads, concepts.

python -m bench.gpu --out FOLDER [--minutes 8] [--shape tiny] [--device cuda] [--profile]

1. What has its file in the folder is not measured again; after each measurement its file, ``results.json`` and the
   table are written, so that a killed run has lost the measurement that was under way and nothing else.
2. In the order of value (`plan`). What would not end within the minutes is left for the next call.
3. What fails is told, with its traceback, and ends nothing else; the program's status is then 1.
4. A whole study of 12 and of 632 prompts is computed from the units, and said to be.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bench.gpu.clock import profiled
from bench.gpu.kept import Kept
from bench.gpu.plan import PLAN, SECONDS_OF_BUILDING, Measurement
from bench.gpu.shapes import SHAPES, Pair, Shape
from bench.gpu.whole_study import studies

LARGE, TINY, RESULTS = "llama-2-7b", "tiny", "results"
NOT_ROWS = ("about", RESULTS)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps each measurement")
    parser.add_argument("--shape", choices=SHAPES, default=LARGE)
    parser.add_argument("--device", default=None, help="by default the GPU; the CPU for the tiny shape")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin nothing that would not end within them")
    parser.add_argument("--only", nargs="+", default=None, choices=[one.name for one in PLAN])
    parser.add_argument("--profile", action="store_true", help="where the processor's time goes, in FOLDER/*.profile")
    settings = parser.parse_args(arguments)
    device = settings.device or ("cpu" if settings.shape == TINY else "cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no GPU here. Try it with --shape tiny, which runs on the CPU.")
    ends = time.monotonic() + 60 * settings.minutes
    kept, shape = Kept.at(settings.out, settings.shape, device), SHAPES[settings.shape]
    left = [one for one in PLAN if not kept.has(one.name) and (settings.only is None or one.name in settings.only)]
    is_small = settings.shape == TINY
    left_out, failed = measure(left, kept, Pair(shape, device), ends, is_small, settings.profile)
    keep_all(kept, shape)
    show(kept, shape)
    if left_out:
        print(f"Left for another call, for want of time: {', '.join(left_out)}.")
    if failed:
        print(f"Failed, and is tried again by another call: {', '.join(failed)}.")
        sys.exit(1)


def measure(
    left: list[Measurement], kept: Kept, pair: Pair, ends: float, is_small: bool, is_profiled: bool
) -> tuple[list[str], list[str]]:
    """Measure what is left and fits; returns the names of what did not fit and of what failed."""
    left_out, failed = list[str](), list[str]()
    building = 0.0 if is_small else SECONDS_OF_BUILDING
    for one in left:
        needed = 0.0 if is_small else one.seconds + building
        if time.monotonic() + needed > ends:
            left_out.append(one.name)
            continue
        started, building = time.monotonic(), 0.0
        try:
            with profiled(kept.folder / f"{one.name}.profile" if is_profiled else None):
                kept.keep(one.name, one.run(pair, kept))
        except Exception:
            failed.append(one.name)
            traceback.print_exc()
        keep_all(kept, pair.shape)
        for row in rows_of(one.name, kept[one.name]) if kept.has(one.name) else ():
            print("  ".join(filter(None, row)))
        print(f"{one.name}: {time.monotonic() - started:.1f} s in all", flush=True)
    return left_out, failed


def keep_all(kept: Kept, shape: Shape) -> None:
    """All measurements and what is computed of them in one file."""
    found = {name: kept[name] for name in kept.names() if name != RESULTS}
    kept.keep(RESULTS, found | {"studies, computed": studies(kept, shape)})


def show(kept: Kept, shape: Shape) -> None:
    console, about = Console(width=120), kept["about"]
    title = f"{about['shape']} on {about['chip']}, N = {shape.n_prompt}, M = {shape.n_response}, random weights"
    table = Table("measured", "seconds", "peak GiB", "share of rate", "error", title=title)
    for one in PLAN:
        if kept.has(one.name):
            for row in rows_of(one.name, kept[one.name]):
                table.add_row(*row)
    console.print(table)
    computed = Table("computed, not measured", *(f"{n} prompts" for n in studies(kept, shape)), title="a whole study")
    of_each = list(studies(kept, shape).values())
    for part in of_each[0]:
        computed.add_row(part, *(minutes(one[part]) for one in of_each))
    console.print(computed)


def rows_of(name: str, found: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows of a measurement."""
    if name == "rates":
        return [(f"rate, {kind}", *_rate(kind, value)) for kind, value in found.items()]
    if name == "waits":
        return [(f"{way} waits for the GPU", "", "", "", f"{one['n']} times") for way, one in found.items()]
    if name.startswith("responses"):
        return [
            (f"{name}, {n} at once, a step", _number(one["seconds_a_step"]), _number(one["peak_gib"], 1), "", "")
            for n, one in found.items()
        ]
    error = found.get("error")
    told = f"{found['nats']:.1e} nats" if found.get("nats") is not None else "" if error is None else f"{error:.1e}"
    share = "" if found.get("share") is None else f"{found['share']:.0%}"
    return [(name, _number(found["seconds"]), _number(found["peak_gib"], 1), share, told)]


def _rate(kind: str, value: float) -> tuple[str, ...]:
    unit = "GB/s" if kind == "memory" else "Tflop/s"
    return "", "", f"{value / (1e9 if kind == 'memory' else 1e12):.2f} {unit}", ""


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
