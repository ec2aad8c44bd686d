"""A model of Llama-2-7B's shape with random weights, on a GPU: attribution in three precisions, heads and concepts.

1. The chip's own rate in products of 4,096 x 4,096, in float32, TF32 and bfloat16.
2. Attribution, N = 50 and M = 300: forward mode in float32, in TF32, and with products of tangents in bfloat16;
   seconds, peak memory, share of the chip's rate, and the largest difference from float32 relative to the largest
   importance.
3. One layer's heads and concepts, times the number of layers, with the default words.

``--device cpu --layers 2 --d-model 256`` tries it where there is no GPU.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.forward import forward_importance
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.models.backbone import Backbone
from aftertune.models.temporary_state import borrowed
from bench.shared import weights_of_layers

PRECISIONS = {"float32": ("ieee", None), "TF32": ("tf32", None), "bfloat16 tangents": ("ieee", torch.bfloat16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--d-model", type=int, default=4096)
    parser.add_argument("--n-prompt", type=int, default=50)
    parser.add_argument("--n-response", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    settings = parser.parse_args()
    checkpoint = random_model(settings)
    show(settings, measure(settings, checkpoint), weights(settings, checkpoint))


def random_model(settings: argparse.Namespace) -> aftertune.Checkpoint:
    """Llama 2's proportions: heads of 128, a network of 2.7 times the width, the demo model's tokenizer."""
    base = aftertune.load(find_demo_base(), device="cpu")
    d_model = settings.d_model
    config = LlamaConfig(
        hidden_size=d_model,
        intermediate_size=11_008 * d_model // 4096,
        num_hidden_layers=settings.layers,
        num_attention_heads=max(1, d_model // 128),
        vocab_size=len(base.tokenizer),
        eos_token_id=base.tokenizer.eos_token_id,
    )
    with torch.device(settings.device):
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
    return aftertune.load(model, tokenizer=base.tokenizer)


def measure(settings: argparse.Namespace, checkpoint: aftertune.Checkpoint) -> list[dict]:
    ids = np.random.default_rng(0).integers(5, 1000, settings.n_prompt + settings.n_response).tolist()
    n, rows, first = settings.n_prompt, [], None
    task = Task(tuple(ids[:n]), tuple(ids[n:]), tuple((place,) for place in range(n)))
    operations = 2 * weights_of_layers(checkpoint) * (n + settings.n_response - 1) * n
    backbone = Backbone(checkpoint)
    with borrowed(checkpoint.model, attention=FUSED):
        batch = make_batch(backbone, [task])
        for name, (precision, number) in PRECISIONS.items():
            with products_in(precision):
                rate = matrix_rate(settings.device, number or torch.float32)
                taken, peak, (found, _) = timed(
                    settings.device, settings.repeats, partial(forward_importance, backbone, batch, number)
                )
            first = found if first is None else first
            difference = float((found - first).abs().max() / first.abs().max())
            row = {"precision": name, "seconds": taken, "peak_gib": peak / 2**30, "difference": difference}
            rows.append(row | {"rate": rate, "share": operations / rate / taken})
    return rows


def weights(settings: argparse.Namespace, checkpoint: aftertune.Checkpoint) -> dict[str, float]:
    """Seconds of all layers' heads and concepts, from one layer."""
    words, first = aftertune.load_words(), aftertune.HeadSettings(layers="0")
    calls = {
        "heads": lambda: aftertune.read_heads(checkpoint, words, settings=first),
        "concepts": lambda: aftertune.read_concepts(checkpoint, words, layers="0"),
    }
    return {name: settings.layers * timed(settings.device, 1, call)[0] for name, call in calls.items()}


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Products of float32 matrices on a GPU in full precision ("ieee") or in TF32."""
    products = torch.backends.cuda.matmul
    before, products.fp32_precision = products.fp32_precision, precision
    try:
        yield
    finally:
        products.fp32_precision = before


def matrix_rate(device: str, number: torch.dtype) -> float:
    """Operations a second of products of 4,096 x 4,096."""
    size = 4096 if device == "cuda" else 512
    a = torch.randn(size, size, device=device).to(number)
    best = min(seconds(device, lambda: a @ a)[0] for _ in range(20))
    return 2 * size**3 / best


def timed(device: str, repeats: int, call: Callable) -> tuple[float, int, object]:
    """Least seconds over the repeats, after one that does not count; peak bytes on the GPU; and what was found."""
    seconds(device, call)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    runs = [seconds(device, call) for _ in range(repeats)]
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    return min(taken for taken, _ in runs), peak, runs[-1][1]


def seconds(device: str, call: Callable) -> tuple[float, object]:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, found


def show(settings: argparse.Namespace, rows: list[dict], weights: dict[str, float]) -> None:
    console = Console(width=120)
    title = f"{settings.layers} layers, d_model {settings.d_model}, N = {settings.n_prompt}, M = {settings.n_response}"
    table = Table("attribution", "seconds", "peak GiB", "share of rate", "rate, Tflop/s", "difference", title=title)
    for row in rows:
        numbers = (f"{row['seconds']:.2f}", f"{row['peak_gib']:.1f}", f"{row['share']:.0%}")
        table.add_row(row["precision"], *numbers, f"{row['rate'] / 1e12:.1f}", f"{row['difference']:.1e}")
    console.print(table)
    console.print(", ".join(f"{name} of all layers, from one: {taken:.0f} s" for name, taken in weights.items()))


if __name__ == "__main__":
    main()
