"""Is a comparison's estimate right?  What was expected beside what was measured, stage by stage, on the demo pair.

1. Run the demo pair on some prompts into a folder of its own, and keep the estimate that is made before it starts.
2. Take the time of every stage from the steps that the run tells.
3. With ``--processor-time`` one thread's processor time is taken on both sides, for a machine that is busy otherwise.
"""

import argparse
import resource
import tempfile
import time

import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.demo import ADAPTER, find_demo_base
from aftertune.models.machine import measure_machine
from aftertune.study.estimate import estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=None, help="a checkpoint instead of the demo's, compared with itself")
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--max-new-tokens", type=int, default=80)
    parser.add_argument("--processor-time", action="store_true")
    settings = parser.parse_args()
    if settings.processor_time:
        torch.set_num_threads(1)
    clock = time.process_time if settings.processor_time else time.perf_counter
    expected, measured = compare(settings, clock)
    show(expected, measured)


def compare(settings, clock):
    """The estimate, and the seconds of each stage."""
    estimates, begun, took = [], {}, {}

    def announce(intent):
        estimates.append(estimate(intent, measure_machine(intent.study.device, intent.study.dtype, clock)))

    def progress(what, *_):
        begun.setdefault(what, clock())
        took[what] = clock() - begun[what]

    base = settings.base or find_demo_base()
    tuned = aftertune.Subject(base, None if settings.base else ADAPTER, name="tuned")
    # raw, as when the figures in the documentation were taken
    given = {"template": "raw", "max_new_tokens": settings.max_new_tokens, "limit": settings.limit, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        study = aftertune.Study(base, tuned, run=f"{folder}/run", **given)
        aftertune.compare(study, progress=progress, announce=announce)
    return estimates[0], took


def show(expected, measured) -> None:
    table = Table("stage", "expected, s", "measured, s")
    for name, most in expected.most.items():
        table.add_row(str(name), f"{expected.least[name]:.1f} to {most:.1f}", f"{measured.get(name, 0.0):.1f}")
    least, most = expected.seconds
    table.add_row("all", f"{least:.1f} to {most:.1f}", f"{sum(measured.values()):.1f}")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    table.add_row(
        "memory, GB", f"{expected.least_bytes / 1e9:.2f} to {expected.most_bytes / 1e9:.2f}", f"{held / 1e9:.2f}"
    )
    console = Console()
    rate = expected.machine
    console.print(f"{rate.matrix_rate / 1e9:.0f} Gflop/s, {rate.memory_rate / 1e9:.0f} GB/s")
    console.print(table)


if __name__ == "__main__":
    main()
