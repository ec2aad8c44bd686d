"""How fast are several workers beside one, and what does a unit cost beside its work?

1. Units without work: a part of one row each, by this process and by workers on Ray: what a turn of the board costs,
   and a part.
2. Units of work: products of one thread, about ``--seconds`` each; units a second of 1, 2 and 4 workers, once all of
   them have begun, beside the processors that there are.
3. On paper: prompts of a pair of Llama-2-7B's shape on many GPUs, by the costs of the explainers and what was measured
   here. Units of a stage go round the workers; a stage ends with its longest unit. One GPU was timed, not many.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl
import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.explainers.attribution.importance.chunks import responses_at_once
from aftertune.explainers.attribution.work import cost
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.machine import Machine
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import silent
from aftertune.study.engine.crew import crew_of
from aftertune.study.engine.process import Plan
from aftertune.study.estimate import estimate
from aftertune.study.intent import Intent
from aftertune.study.templates import Template
from bench.estimate import PROMPT_TOKENS, intent_of_seven_billion
from bench.reliability.tiny_run import save_models
from bench.shared import dated

SIDE = 512
# An H200's rates in large products and in sums of vectors, as `bench.gpu` measured them.
GPU_RATES = {"TF32, 409 Tflop/s": 409e12, "bfloat16, 783 Tflop/s": 783e12}
MEMORY_RATE, GPU_BYTES = 4.3e12, 140e9
SERIAL = {("outputs", "texts"), ("location", "sizes"), ("location", "answers"), ("outputs", "samples")}


@dataclass(frozen=True)
class Timed(Work):
    """``n`` units, each of about so many seconds; a part says who made it, and when."""

    n: int
    seconds: float
    is_shared = True

    def is_measured(self, run: RunFolder, role: str) -> bool:  # noqa: ARG002
        return all(run.exists(*part(run, unit)) for unit in range(self.n))

    def measure(self, checkpoint: Any, role: str, run: RunFolder, progress: Any) -> None:  # noqa: ARG002
        for unit in run.missing(range(self.n), lambda unit: [part(run, unit)]):
            begun = time.time()
            work(self.seconds)
            run.write_frame(
                part(run, unit), pl.DataFrame({"worker": [os.getpid()], "begun": [begun], "ended": [time.time()]})
            )


def part(run: RunFolder, unit: int) -> tuple[str, str, str]:
    return run.part("timed", "base", f"unit-{unit:05d}")


def work(seconds: float) -> None:
    """Products of one thread, for so many seconds of its own processor time."""
    torch.set_num_threads(1)  # a worker of its own has all processors
    product, started = torch.ones(SIDE, SIDE), time.thread_time()
    while time.thread_time() - started < seconds:
        product = product @ product.T / SIDE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=300, help="units without work")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=632)
    parser.add_argument("--out", type=Path, default=dated("workers"))
    settings = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save_models(Path(folder))
        alone = seconds_of(Path(folder), Timed(settings.units, 0.0), None)
        rows = [measure(Path(folder), n, settings) for n in settings.workers]
    results = {"processors": os.cpu_count(), "unit_alone": alone, "workers": rows}
    overhead = max(row["unit_without_work"] for row in rows)
    results["on_paper"] = {name: on_paper(rate, overhead, settings) for name, rate in GPU_RATES.items()}
    settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results, settings)


def measure(folder: Path, n_workers: int, settings: argparse.Namespace) -> dict[str, float]:
    """What a unit without work costs, and units a second of those with work."""
    import ray

    ray.init(num_cpus=max(settings.workers), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        engine = aftertune.RayEngine(workers=n_workers)
        empty = seconds_of(folder, Timed(settings.units, 0.0), engine)
        n = ceil(20 * n_workers / min(n_workers, os.cpu_count() or 1)) * 2
        times = times_of(folder, Timed(n, settings.seconds), engine)
    finally:
        ray.shutdown()
    began = max(min(rows["begun"]) for _, rows in times.group_by("worker"))  # when all were at work
    after = times.filter(pl.col("begun") >= began)
    ended = min(max(rows["ended"]) for _, rows in times.group_by("worker"))  # until the first had none left
    rate = after.filter(pl.col("ended") <= ended).height / (ended - began)
    return {"workers": n_workers, "unit_without_work": empty, "units_a_second": rate}


def times_of(folder: Path, work: Timed, engine: Any) -> pl.DataFrame:
    """Who made each unit, and when."""
    study = aftertune.Study(folder / "base", folder / "tuned", run=tempfile.mkdtemp(dir=folder) + "/run", device="cpu")
    run = RunFolder.start(study.run, {"base": study.base.identity()}, {"aftertune": "0"})
    run.remember("begun.json", {})
    plan = Plan(study, {"base": study.base}, {"timed": work}, Inputs(), Template())
    intent = Intent(study, run, plan.subjects, {}, plan.works, plan.inputs)
    with crew_of(engine, plan, run, intent, silent) as crew:
        crew.measure("models", ["base"])
    return pl.concat([run.read_frame(part(run, unit)) for unit in range(work.n)])


def seconds_of(folder: Path, work: Timed, engine: Any) -> float:
    """Seconds of a worker from one unit to its next."""
    times = times_of(folder, work, engine)
    gaps = [rows.sort("begun")["begun"].diff().drop_nulls() for _, rows in times.group_by("worker")]
    return float(pl.concat([gap for gap in gaps if len(gap)]).median() or 0.0)


def on_paper(rate: float, overhead: float, settings: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each explainer on one GPU, and on many."""
    intent = intent_of_seven_billion(settings.prompts)
    found = estimate(intent, Machine("cuda", rate, MEMORY_RATE, int(GPU_BYTES)))
    rows: dict[str, dict[str, float]] = {}
    for stage, seconds in found.most.items():
        n = 1 if (stage.explainer, stage.step) in SERIAL else units_of(stage.step, intent, settings.prompts)
        many = ceil(n / settings.gpus) * (seconds / n + overhead)
        row = rows.setdefault(stage.explainer or stage.step, {"one": 0.0, "many": 0.0})
        row["one"], row["many"] = row["one"] + seconds, row["many"] + many
    return rows


def units_of(step: str, intent: Intent, n_prompts: int) -> int:
    """How many units a step of a study has."""
    size = next(iter(intent.sizes.values()))
    n_layers, n_positions = size.n_layers, PROMPT_TOKENS + intent.study.max_new_tokens
    at_once = responses_at_once(size.n_parameters, cost.kept_of_position(size), n_positions, "cuda")
    known = {
        "responses": ceil(n_prompts / at_once),
        "attribution": n_prompts,
        "difference": n_prompts,
        "swaps": 3 * n_layers,
        "noise": n_layers,
        "heads": n_layers,
        "concepts": n_layers,
    }
    return known.get(step, 1)


def show(results: dict[str, Any], settings: argparse.Namespace) -> None:
    console, cores = Console(width=120), results["processors"]
    table = Table(
        "workers", "a unit without work, ms", "units a second", "beside one", "ideal", title=f"{cores} processors"
    )
    table.add_row("this process", f"{1e3 * results['unit_alone']:.1f}", "", "", "")
    first = results["workers"][0]["units_a_second"]
    for row in results["workers"]:
        n, rate = int(row["workers"]), row["units_a_second"]
        times = f"{1e3 * row['unit_without_work']:.1f}", f"{rate:.2f}", f"{rate / first:.2f}", f"{min(n, cores):.2f}"
        table.add_row(str(n), *times)
    console.print(table)
    for name, rows in results["on_paper"].items():
        title = f"On paper, {settings.prompts} prompts of a 7B pair, {name}: seconds"
        paper = Table("explainer", "1 GPU", f"{settings.gpus} GPUs", title=title)
        for explainer, row in rows.items():
            paper.add_row(explainer, f"{row['one']:.0f}", f"{row['many']:.0f}")
        paper.add_row("all", *(f"{sum(row[key] for row in rows.values()):.0f}" for key in ("one", "many")))
        console.print(paper)


if __name__ == "__main__":
    main()
