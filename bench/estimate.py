"""Is a comparison's estimate right?  What was expected beside what was measured, stage by stage, on the demo pair.

1. Run the demo pair on some prompts into a folder of its own, and keep the estimate that is made before it starts.
2. Take the time of every stage from the steps that the run tells.
3. With ``--processor-time`` one thread's processor time is taken on both sides, for a machine that is busy otherwise.
4. ``--seven-billion`` tells the estimate alone, of a pair of Llama-2-7B's shape that nobody measured.
"""

import argparse
import resource
import tempfile
import time

import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig

import aftertune
from aftertune.demo import ADAPTER, find_demo_base
from aftertune.explainers.explainer import Inputs
from aftertune.models.machine import measure_machine
from aftertune.models.size import size_by_config
from aftertune.runs.run import RunFolder
from aftertune.study.estimate import estimate
from aftertune.study.intent import Intent
from aftertune.study.rows import read_rows

PROMPT_TOKENS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=None, help="a checkpoint instead of the demo's, compared with itself")
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--max-new-tokens", type=int, default=80)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--seven-billion", action="store_true", help="the estimate alone of a pair of that size")
    settings = parser.parse_args()
    if settings.seven_billion:
        show(foretell(), {})
        return
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


def foretell():
    """The estimate for a pair of Llama-2-7B's shape, with the defaults of a comparison, on this machine."""
    intent = intent_of_seven_billion(len(read_rows(None, None).prompts))
    return estimate(intent, measure_machine("cpu", intent.study.dtype))


def intent_of_seven_billion(n_prompts: int) -> Intent:
    """A comparison of such a pair on so many prompts, with the defaults."""
    study, template = aftertune.Study("base", "tuned", device="cpu"), "chat"
    prompts = [aftertune.Prompt(f"p{n}", (aftertune.Message("user", "Which text is it?"),)) for n in range(n_prompts)]
    inputs = Inputs(prompts, template, study.max_new_tokens)
    inputs.lengths[:] = [PROMPT_TOKENS] * n_prompts
    works = {name: one.prepare(study.settings[name], inputs) for name, one in study.explainers.items()}
    sizes = dict.fromkeys(("base", "tuned"), size_by_config(LlamaConfig()))
    subjects = dict(zip(sizes, study.subjects, strict=True))
    return Intent(study, RunFolder("none"), subjects, sizes, works, inputs)


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
