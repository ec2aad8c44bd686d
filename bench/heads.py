"""Reading all attention heads of SmolLM2-135M-Instruct, beside the products it can't avoid and beside an obvious loop.

1. The floor: for every layer the product of all neurons' weights with all words' embeddings, and the cosines of every
   neuron pair's top words; nothing else, on this machine, in this run. With controls there are cosines of their vectors
   too.
2. Ours: every layer from the weights to the finished lists, with and without the controls.
3. The obvious loop on a sample of heads: neuron by neuron, sort all words, look at every pair of top words. Its time
   for the model is that of the sample times the number of heads.
4. Peak memory beyond what was there before reading (model, words, vectors), with two sizes of vocabulary, each in a
   process of its own.

The three take turns, ``--repeats`` times; nothing else should run on the machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.heads.layer import read_layer
from aftertune.explainers.heads.measure import make_lexicon
from aftertune.models.products.weight import TallWeight
from aftertune.models.vocabulary import WordEmbeddings
from aftertune.models.weights import attention_shape, query_key_weights
from aftertune.words import load_vectors, load_words
from bench.shared import spread

N_TOP = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", help="as aftertune heads --words")
    parser.add_argument("--vectors", help="as aftertune heads --vectors")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, default=6, help="heads that the obvious loop reads")
    parser.add_argument("--memory", type=int, help="only tell the peak memory with so many words")
    parser.add_argument("--out", type=Path, help="also keep the numbers as JSON")
    settings = parser.parse_args()
    if settings.memory:
        print(json.dumps(peak_memory(settings.memory)))
        return
    results = measure(settings)
    show(results)
    if settings.out:
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(settings: argparse.Namespace) -> dict:
    checkpoint = aftertune.load(find_demo_base(), device="cpu")
    plain, controlled = (
        make_lexicon(settings.words, settings.vectors, aftertune.HeadSettings(n_draws=draws)) for draws in (0, 1)
    )
    shape, found = attention_shape(checkpoint), []
    for _ in range(settings.repeats):
        one = {
            "floor": seconds(lambda: floor(checkpoint, plain)),
            "floor_with_controls": seconds(lambda: floor(checkpoint, controlled, 1 + len(controlled.controls))),
            "ours": seconds(lambda: read(checkpoint, plain)),
            "ours_with_controls": seconds(lambda: read(checkpoint, controlled)),
            "loop": obvious_loop(checkpoint, plain, settings.sample) * shape.n_layers * shape.n_heads,
        }
        print(json.dumps(one), flush=True)
        found.append(one)
    memory = {n: memory_of(n) for n in (26_000, 100_000)}
    about = {"threads": torch.get_num_threads(), "torch": torch.__version__}
    about |= {"n_words": len(plain.words), "n_with_vector": int(plain.co_occurrence.has_vector.sum())}
    about |= {"d_vector": plain.vectors.vectors.shape[1], "words": plain.words.source, "vectors": plain.vectors.source}
    return {"time": datetime.now(UTC).isoformat(timespec="seconds"), "about": about, "rounds": found, "memory": memory}


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def read(checkpoint: aftertune.Checkpoint, lexicon, n_layers: int | None = None) -> None:
    """What `aftertune.read_heads` does, once words and vectors are ready."""
    embeddings = WordEmbeddings(checkpoint, lexicon.words.words)
    for layer in range(n_layers or attention_shape(checkpoint).n_layers):
        read_layer(checkpoint, layer, lexicon, embeddings)


def floor(checkpoint: aftertune.Checkpoint, lexicon, n_kinds: int = 1) -> None:
    """The matrix products alone, of the same shapes and by the fastest way that we know, with cosines of so many kinds
    of vectors.
    """
    shape, n = attention_shape(checkpoint), len(lexicon.words)
    columns, d_model = (shape.n_heads + shape.n_key_heads) * shape.d_head, checkpoint.model.config.hidden_size
    weights, embeddings = torch.randn(columns, d_model), TallWeight(torch.randn(n, d_model))
    top = torch.randn(shape.n_heads * shape.d_head, N_TOP, lexicon.vectors.vectors.shape[1])
    for _ in range(shape.n_layers):
        for part in embeddings.parts:
            part.product(weights)
        for _ in range(n_kinds):
            top @ top.transpose(1, 2)


def obvious_loop(checkpoint: aftertune.Checkpoint, lexicon, n_heads: int) -> float:
    """Seconds for a head, on average over a sample spread over the model."""
    shape, co = attention_shape(checkpoint), lexicon.co_occurrence
    blocks = WordEmbeddings(checkpoint, lexicon.words.words).blocks()
    embeddings = np.concatenate([block.numpy() for _, block in blocks])
    rows, unit, limits = co.rows.numpy(), co.unit.numpy(), co.thresholds.numpy()
    names = [word.lower() for word in lexicon.words.words]
    started = time.perf_counter()
    for number in np.linspace(0, shape.n_layers * shape.n_heads - 1, n_heads).astype(int):
        layer, head = divmod(int(number), shape.n_heads)
        query, key = query_key_weights(checkpoint, layer)
        held: Counter[tuple[str, ...]] = Counter()
        for q, k in zip(query[head].numpy(), key[head // shape.n_sharing].numpy(), strict=True):
            held.update(pairs_of_neuron(embeddings @ q, embeddings @ k, rows, unit, limits, names))
        [pair for pair, count in held.most_common() if count >= 2][:100]
    return (time.perf_counter() - started) / n_heads


def pairs_of_neuron(q, k, rows, unit, limits, names) -> set[tuple[str, ...]]:
    found, of_key = set(), np.argsort(-np.abs(k))[:N_TOP]
    for a in np.argsort(-np.abs(q))[:N_TOP]:
        for b in of_key:
            cosine = unit[rows[a]] @ unit[rows[b]]
            above = cosine > limits[rows[a]] and cosine > limits[rows[b]]
            if above and q[a] * k[b] > 0 and names[a] != names[b]:
                found.add(tuple(sorted((names[a], names[b]))))
    return found


def memory_of(n_words: int) -> dict:
    command = [sys.executable, "-m", "bench.heads", "--memory", str(n_words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_memory(n_words: int) -> dict:
    """Peak memory of reading three layers, beyond what lay there before, in MiB."""
    checkpoint = aftertune.load(find_demo_base(), device="cpu")
    words = load_words(limit=n_words)
    lexicon = make_lexicon(words, load_vectors(), aftertune.HeadSettings(min_coverage=0))
    assert lexicon.controls
    before = psutil.Process().memory_info().rss
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
        file.write("5")  # forget the peak of loading
    took = seconds(lambda: read(checkpoint, lexicon, 3))
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return {"n_words": n_words, "peak_mib": (peak - before) / 2**20, "seconds_per_layer": took / 3}


def show(results: dict) -> None:
    console = Console(width=120)
    console.print(results["about"])
    others = ("floor", "floor_with_controls", "ours")
    table = Table("", "seconds", *(f"times {other.replace('_', ' ')}" for other in others))
    for name in ("floor", "floor_with_controls", "ours", "ours_with_controls", "loop"):
        rounds = results["rounds"]
        taken = statistics.median(one[name] for one in rounds)
        ratios = [spread([one[name] / one[other] for one in rounds]) for other in others]
        table.add_row(name.replace("_", " "), f"{taken:.1f}", *ratios)
    console.print(table)
    for found in results["memory"].values():
        console.print(f"{found['n_words']:,} words: {found['peak_mib']:.0f} MiB beyond model, words and vectors")


if __name__ == "__main__":
    main()
