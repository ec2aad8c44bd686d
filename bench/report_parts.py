"""What memory does the report of a large run take?  The heads of a 70B model, the largest parts, made up.

1. Parts of base, tuned and one draw of noise, as large as those of 64 heads of 128 neuron pairs with 20 word pairs each
   (beside the lists of heads, and one draw of both controls), are written through the library's own writers.
2. In a process of its own the two models are compared from them, and the section of the report is made: seconds, and
   the most memory that it held.
3. For a few numbers of layers; what a layer adds, times 80, is computed, not measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from aftertune.explainers import explainers
from aftertune.explainers.heads.result import (
    CONTROL_NEURONS,
    CONTROLS,
    FRAMES,
    HEADS,
    NOISE_PARTS,
    NOISE_SHOWN,
    STRENGTHS,
    noise_role,
)
from aftertune.explainers.heads.settings import HeadSettings
from aftertune.runs.held import Held
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.words import load_words
from bench.peak import peak_mib

PAIR, N_WORDS, N_LIST = Pair("base", "tuned"), 10_000, 100
OF_NEURON, WHOLE = 20, 80
ONCE = {
    "neurons": ("layer", "head", "neuron", "query_word", "key_word"),
    "control_neurons": ("control", "draw", "layer", "head", "neuron", "query", "key"),
}
Generator = np.random.Generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-layers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--n-heads", type=int, default=64)
    parser.add_argument("--d-head", type=int, default=128)
    parser.add_argument("--compare", help="compare the run at this address; what each of the others is started with")
    settings = parser.parse_args()
    if settings.compare:
        print(json.dumps(compared(settings.compare)))
        return
    rows = []
    for n_layers in settings.n_layers:
        with tempfile.TemporaryDirectory() as folder:
            taken, size = write(Path(folder) / "run", n_layers, settings.n_heads, settings.d_head)
            command = [sys.executable, "-m", "bench.report_parts", "--compare", f"{folder}/run"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append({"layers": n_layers, "written": taken, "mib": size} | json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
    show(rows)


def write(folder: Path, n_layers: int, n_heads: int, d_head: int) -> tuple[float, float]:
    """Seconds of writing, and MiB of the run."""
    drawn, started = np.random.default_rng(0), time.perf_counter()
    words = list(load_words(None, N_WORDS).words)
    run = RunFolder.start(folder, {role: {"checkpoint": role} for role in PAIR}, {})
    vectors = {"source": "random numbers"}
    run.claim(HEADS.settings, {"words": {"source": "wordfreq, English"}, "vectors": vectors, "plan": {}}, {})
    run.write_frame(HEADS.words, pl.DataFrame({"word": words, "has_vector": [True] * len(words)}))
    layers = tuple(range(n_layers))
    for role in PAIR:
        run.claim(f"{role}.json", {"fingerprint": role}, {"name": role})
        about = {"layers": layers, "n_layers": n_layers, "n_heads": n_heads, "d_head": d_head}
        HEADS.remember(run, role, {"model": role} | about)
        for layer in layers:
            HEADS.write(run, role, layer, frames(drawn, words, layer, n_heads, d_head))
    for layer in layers:
        own = frames(drawn, words, layer, n_heads, d_head)
        NOISE_PARTS.write(run, noise_role(PAIR, 0), layer, own | {"strengths": strengths(drawn, own["pairs"])})
    run.remember(NOISE_SHOWN, {"noise_models": 1})
    return time.perf_counter() - started, sum(one.stat().st_size for one in folder.rglob("*.parquet")) / 2**20


def frames(drawn: Generator, words: list[str], layer: int, n_heads: int, d_head: int) -> dict[str, pl.DataFrame]:
    """The parts of one layer of one model."""
    n = n_heads * d_head * OF_NEURON
    heads, neurons = (np.repeat(np.arange(n_heads), d_head * OF_NEURON), np.tile(np.arange(d_head), n_heads))
    places = {"layer": np.full(n, layer), "head": heads, "neuron": np.repeat(neurons, OF_NEURON)}
    named = {f"{side}_word": pl.Series(words).gather(some(drawn, n)) for side in ("query", "key")}
    found = {"neurons": pl.DataFrame(places | named | {"rank": 1, "energy": 1.0, "cosine": drawn.random(n)})}
    found["pairs"] = pl.concat([pairs_of(drawn, words, layer, head) for head in range(n_heads)])
    kinds = [{"control": kind, "draw": 0} for kind in ("permuted", "frequency-matched")]
    controls = [found["pairs"].with_columns(**{name: pl.lit(one) for name, one in kind.items()}) for kind in kinds]
    numbers = [pl.DataFrame(places | {"query": some(drawn, n), "key": some(drawn, n)} | kind) for kind in kinds]
    found |= {"controls": pl.concat(controls), "control_neurons": pl.concat(numbers)}
    shapes: dict[str, Any] = dict(FRAMES) | {"controls": CONTROLS, "control_neurons": CONTROL_NEURONS}
    cast = {name: frame.select(*shapes[name]).cast(pl.Schema(shapes[name])) for name, frame in found.items()}
    return cast | {name: cast[name].unique(once, maintain_order=True) for name, once in ONCE.items()}


def pairs_of(drawn: Generator, words: list[str], layer: int, head: int) -> pl.DataFrame:
    """The list of one head."""
    two = np.unique(np.sort(np.stack([some(drawn, N_LIST), some(drawn, N_LIST)], axis=1), axis=1), axis=0)
    named = {name: pl.Series(words).gather(two[:, side]) for side, name in enumerate(("word_a", "word_b"))}
    counts = {"rank": np.arange(1, len(two) + 1), "n_neurons": np.arange(len(two), 0, -1)}
    return pl.DataFrame({"layer": layer, "head": head} | named | counts)


def strengths(drawn: Generator, pairs: pl.DataFrame) -> pl.DataFrame:
    numbers = {name: pl.Series(drawn.standard_normal(pairs.height)) for name in ("base", "tuned", "noise")}
    own = pairs.with_columns(is_turned=pl.lit(False), scale=pl.lit(1.0), **numbers)
    return own.select(*STRENGTHS).cast(pl.Schema(STRENGTHS))


def some(drawn: Generator, n: int) -> np.ndarray:
    """Places of words."""
    return drawn.integers(0, N_WORDS, n)


def compared(address: str) -> dict[str, float]:
    own, started = explainers()["heads"], time.perf_counter()
    change = own.change(Held(RunFolder.open(address)), PAIR, HeadSettings(), {})
    assert change is not None
    between = time.perf_counter()
    section = own.section(change)
    size = sum(map(len, section.blocks.values())) / 2**20
    ended = time.perf_counter()
    return {"compared": between - started, "section": ended - between, "block_mib": size, "peak_mib": peak_mib()}


def show(rows: list[dict[str, Any]]) -> None:
    columns = ("layers", "parts, MiB", "written, s", "compared, s", "section, s", "blocks, MiB", "peak, MiB")
    table = Table(*columns, title="The heads of two models and a draw of noise, made up")
    names = ("mib", "written", "compared", "section", "block_mib", "peak_mib")
    for row in rows:
        table.add_row(str(row["layers"]), *(f"{row[name]:.1f}" for name in names))
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        more = (WHOLE - last["layers"]) / (last["layers"] - first["layers"])
        whole = (last[name] + more * (last[name] - first[name]) for name in names)
        table.add_row(f"{WHOLE}, computed", *(f"{value:.0f}" for value in whole))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
