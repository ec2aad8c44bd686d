"""Reading all feed-forward layers of SmolLM2-135M-Instruct, beside the covariance products and beside a plain SVD.

1. The floor: for every layer the product that gives the covariance of the down projection's rows, in float64.
2. Ours: every layer from the weights to components with words, with the default words.
3. A plain full SVD of every layer's centred rows, in float64, nothing else.
4. What ours would take for a model of 7 billion parameters (32 layers, 4,096 x 11,008): one layer of random weights.

The three take turns, ``--repeats`` times; nothing else should run on the machine.
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
from aftertune.concepts.components import principal_components
from aftertune.demo import find_demo_base
from aftertune.models.weights import attention_shape, down_weights
from bench.heads import seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also keep the numbers as JSON")
    settings = parser.parse_args()
    checkpoint, words = aftertune.load(find_demo_base(), device="cpu"), aftertune.load_words()
    layers = [down_weights(checkpoint, layer)[0] for layer in range(attention_shape(checkpoint).n_layers)]
    rounds = []
    for _ in range(settings.repeats):
        one = {
            "floor": seconds(lambda: [covariance(weights) for weights in layers]),
            "ours": seconds(lambda: aftertune.read_concepts(checkpoint, words)),
            "svd": seconds(lambda: [torch.linalg.svd(weights.double(), full_matrices=False) for weights in layers]),
        }
        print(json.dumps(one), flush=True)
        rounds.append(one)
    large = torch.randn(11_008, 4_096)
    seven = {"floor": 32 * seconds(lambda: covariance(large))}
    seven["components"] = 32 * seconds(lambda: principal_components(large, 300))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    results = {"time": now, "threads": torch.get_num_threads(), "rounds": rounds, "seven_billion": seven}
    show(results)
    if settings.out:
        settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def covariance(weights: torch.Tensor) -> torch.Tensor:
    rows = weights.double()
    return rows.T @ rows


def show(results: dict) -> None:
    table = Table("", "seconds", "times the floor", "times ours")
    for name in ("floor", "ours", "svd"):
        rounds = results["rounds"]
        ratios = [statistics.median(one[name] / one[other] for one in rounds) for other in ("floor", "ours")]
        taken = statistics.median(one[name] for one in rounds)
        table.add_row(name, f"{taken:.2f}", *(f"{ratio:.2f}" for ratio in ratios))
    console, seven = Console(width=100), results["seven_billion"]
    console.print(table)
    console.print(
        f"7B: components {seven['components']:.0f} s, floor {seven['floor']:.0f} s (estimated from one layer)"
    )


if __name__ == "__main__":
    main()
