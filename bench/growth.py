"""How attribution grows with the prompt: forward and reverse mode with N = 50 to 2,000 prompt tokens, M = 300.

Both take as long as they have directions, each as long as any other but for where it begins. So two samples are run, of
4 and of 20 directions in groups that are spread evenly: their difference gives the time of one direction, the smaller
one what comes on top. Each in a process of its own; the operations are counted, so that their rate tells whether time
grows as the formula says.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.reverse import reverse_importance
from aftertune.explainers.attribution.importance.routes import attention_for, cheaper_route
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from aftertune.report.chart_style import styled
from aftertune.report.render import write_picture
from bench.peak import peak_mib
from bench.shared import dated, save_model, weights_of_layers

FEW, MANY, GROUP = 4, 20, 4
ROUTES = ("forward", "reverse")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-prompt", type=int, nargs="+", default=[50, 100, 200, 350, 500, 1000, 2000])
    parser.add_argument("--n-response", type=int, default=300)
    parser.add_argument("--out", type=Path, default=dated("growth"))
    parser.add_argument("--plot", type=Path, help="also draw the curves of --out, or of an earlier one, here")
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "ROUTE", "N"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        folder, route, n_prompt = settings.one
        print(json.dumps(measure(folder, route, int(n_prompt), settings.n_response)))
        return
    if not (settings.plot and settings.out.exists()):
        measure_all(settings)
    found = json.loads(settings.out.read_text(encoding="utf-8"))
    show(found)
    if settings.plot:
        plot(found, settings.plot)


def measure_all(settings: argparse.Namespace) -> None:
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for n_prompt in settings.n_prompt:
            for route in ROUTES:
                asked = [folder, route, str(n_prompt), "--n-response", str(settings.n_response)]
                command = [sys.executable, "-m", "bench.growth", "--one", *asked]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
                print(rows[-1], flush=True)
                settings.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measure(folder: str, route: str, n_prompt: int, n_response: int) -> dict:
    checkpoint = aftertune.load(folder, device="cpu")
    n_directions = n_prompt if route == "forward" else n_response
    run_sample(checkpoint, route, 10, 10, FEW)  # weights are read from the disk when they are first used
    few, many = (run_sample(checkpoint, route, n_prompt, n_response, k) for k in (FEW, MANY))
    each = (many - few) / (MANY - FEW)
    return {
        "route": route,
        "n_prompt": n_prompt,
        "n_response": n_response,
        "seconds_of_direction": each,
        "seconds": few + each * (n_directions - FEW),
        "operations": n_directions * operations(checkpoint, route, n_prompt, n_response),
        "peak_mib": peak_mib(),
        "peak_mib_all": peak_mib() + kept_mib(checkpoint, route, n_prompt, n_response),
    }


def run_sample(checkpoint, route: str, n_prompt: int, n_response: int, k: int) -> float:
    """Seconds of ``k`` directions; what the tokens are makes no difference."""
    ids = np.random.default_rng(0).integers(5, 40_000, n_prompt + n_response).tolist()
    asked = sample(n_prompt if route == "forward" else n_response, k)
    units = tuple((place,) for place in (asked if route == "forward" else range(n_prompt)))
    with borrowed(checkpoint.model, attention=attention_for(route, checkpoint)):
        backbone = Backbone(checkpoint)
        batch = make_batch(backbone, [Task(tuple(ids[:n_prompt]), tuple(ids[n_prompt:]), units)])
        started = time.perf_counter()
        if route == "forward":
            forward_importance(backbone, batch)
        else:
            some = torch.tensor(asked)
            reverse_importance(backbone, replace(batch, targets=batch.targets[:, some], places=batch.places[:, some]))
        return time.perf_counter() - started


def sample(n: int, k: int) -> list[int]:
    """``k`` of ``n`` places in groups of neighbours, spread evenly."""
    groups = max(1, k // GROUP)
    starts = [int((index + 0.5) * n / groups) - GROUP // 2 for index in range(groups)]
    return [start + step for start in starts for step in range(GROUP)]


def operations(checkpoint, route: str, n_prompt: int, n_response: int) -> float:
    """Of the products of one direction; forward mode leaves out what stands before its token, half of the prompt."""
    config, positions = checkpoint.model.config, n_prompt + n_response - 1
    weights = weights_of_layers(checkpoint)
    d_heads = config.num_hidden_layers * config.num_attention_heads * config.head_dim
    if route == "reverse":
        return 2 * weights * positions + 8 * d_heads * positions**2 / 2
    passed = positions - n_prompt / 2
    return 2 * weights * passed + 8 * d_heads * (positions**2 - n_prompt**2 / 3) / 2


def kept_mib(checkpoint, route: str, n_prompt: int, n_response: int) -> float:
    """What the directions beyond the sample hold besides, computed: a tangent of the residual stream each."""
    if route == "reverse":
        return 0.0
    return max(0, n_prompt - MANY) * (n_prompt + n_response - 1) * checkpoint.model.config.hidden_size * 4 / 2**20


def show(rows: list[dict]) -> None:
    table = Table("N", "route", "seconds", "a direction, s", "Gflop/s", "peak MiB, sample", "MiB, all", "chosen")
    for row in rows:
        rate = row["operations"] / row["seconds"] / 1e9
        is_chosen = cheaper_route(row["n_prompt"], row["n_response"], written_out=True) == row["route"]
        numbers = (f"{row['seconds']:.0f}", f"{row['seconds_of_direction']:.2f}", f"{rate:.0f}")
        memory = (f"{row['peak_mib']:.0f}", f"{row['peak_mib_all']:.0f}")
        table.add_row(str(row["n_prompt"]), row["route"], *numbers, *memory, "yes" if is_chosen else "")
    Console(width=120).print(table)


def plot(rows: list[dict], place: Path) -> None:
    """Measured seconds as points; as lines the operations at the median rate of the route."""
    values = []
    for route in ROUTES:
        own = [row for row in rows if row["route"] == route]
        rate = statistics.median(row["operations"] / row["seconds"] for row in own)
        values += [
            {"route": route, "n": row["n_prompt"], "seconds": row["seconds"], "counted": row["operations"] / rate}
            for row in own
        ]
    x = alt.X("n:Q", scale=alt.Scale(type="log"), title="prompt tokens N")
    scale = alt.Scale(type="log")
    base = alt.Chart(alt.NamedData(name="growth")).encode(x=x, color=alt.Color("route:N", title=None))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=alt.Y("seconds:Q", scale=scale))
    lines = base.mark_line().encode(y=alt.Y("counted:Q", scale=scale, title="seconds"))
    title = f"Seconds for one prompt, M = {rows[0]['n_response']}: measured, and the operations at the median rate"
    chart = alt.layer(lines, points).properties(width=420, height=280, title=title)
    write_picture(place, styled(chart, {"growth": values}))


if __name__ == "__main__":
    main()
