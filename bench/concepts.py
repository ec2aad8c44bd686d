"""Reading all feed-forward layers of SmolLM2-135M-Instruct, beside what it can't avoid and beside plain ways.

1. The floor: for every layer the product that gives the covariance of the down projection's rows, in float64.
2. The products: these, and in float32 those of the components with the words' embeddings.
3. Plain: the covariance products, and `torch.linalg.eigh` of each; no words.
4. Ours: every layer from the weights to components with words, and the chance control.
5. A plain full SVD of every layer's rows, in float64; no words.
6. Floor, plain and our components for a model of 7 billion parameters (32 layers, 4,096 x 11,008): one layer of random
   weights, times 32.

All take turns, ``--repeats`` times (step 6 once); nothing else should run on the machine. The words are the default
ones, or those of ``--words``.
"""

import argparse
import json
import statistics
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.concepts.layer import principal_components
from aftertune.models.products.weight import TallWeight
from aftertune.models.weights import attention_shape, down_weights
from bench.heads import seconds
from bench.shared import spread

N_COMPONENTS = 300
MEANINGS = {
    "floor": "covariance products",
    "products": "covariance and word products",
    "plain": "covariance products + eigh of each",
    "ours": "all layers with words, chance control",
    "svd": "full SVD of each",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", help="as aftertune concepts --words")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also keep the numbers as JSON")
    settings = parser.parse_args()
    checkpoint, words = aftertune.load(find_demo_base(), device="cpu"), aftertune.load_words(settings.words)
    n_layers = attention_shape(checkpoint).n_layers
    layers = [weights for layer in range(n_layers) for weights in down_weights(checkpoint, layer)]
    rounds = []
    for _ in range(settings.repeats):
        one = {
            "floor": seconds(lambda: [covariance(weights) for weights in layers]),
            "products": seconds(lambda: products(layers, len(words))),
            "plain": seconds(lambda: [torch.linalg.eigh(covariance(weights)) for weights in layers]),
            "ours": seconds(lambda: aftertune.read_concepts(checkpoint, words)),
            "svd": seconds(lambda: [torch.linalg.svd(weights.double(), full_matrices=False) for weights in layers]),
        }
        print(json.dumps(one), flush=True)
        rounds.append(one)
    large = torch.randn(11_008, 4_096)
    seven = {"floor": 32 * seconds(lambda: covariance(large))}
    seven["plain"] = 32 * seconds(lambda: torch.linalg.eigh(covariance(large)))
    seven["components"] = 32 * seconds(lambda: principal_components(large, N_COMPONENTS))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"time": now, "threads": torch.get_num_threads(), "words": words.source, "n_words": len(words)}
    results = {**about, "rounds": rounds, "seven_billion": seven}
    show(results)
    if settings.out:
        settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def covariance(weights: torch.Tensor) -> torch.Tensor:
    rows = weights.double()
    return rows.T @ rows


def products(layers: list[torch.Tensor], n_words: int) -> None:
    embeddings = TallWeight(torch.randn(n_words, layers[0].shape[1]))
    for weights in layers:
        covariance(weights)
        for part in embeddings.parts:
            part.product(weights[:N_COMPONENTS])


def show(results: dict) -> None:
    others = ("floor", "products", "ours")
    table = Table("", "seconds", *(f"times {other}" for other in others))
    for name, meaning in MEANINGS.items():
        rounds = results["rounds"]
        ratios = [spread([one[name] / one[other] for one in rounds]) for other in others]
        table.add_row(f"{name}: {meaning}", f"{statistics.median(one[name] for one in rounds):.2f}", *ratios)
    console, seven = Console(width=140), results["seven_billion"]
    console.print(table)
    console.print("7B, estimated from one layer:", ", ".join(f"{name} {taken:.0f} s" for name, taken in seven.items()))


if __name__ == "__main__":
    main()
