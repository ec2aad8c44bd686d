"""Attribution: ours beside Inseq, Captum and plain loops on SmolLM2-135M-Instruct, N = 50 prompt tokens, in one table.

1. Write the model as safetensors, so that every method reads the same weights in the same way.
2. The numbers of `torch.func` in float64, from which each gradient's error is taken, relative to the largest
   importance; that of our removal is taken from a pass without each token, where that ran before it.
3. ``--repeats`` times, since a machine's speed drifts: its float32 matrix rate on products of the model's own shape.
   The floor is 2 x (weights of the layers) x positions x N operations at that rate.
4. In the same round each method in a process of its own, in turn; nothing else should run on the machine.
5. Print seconds, the ratio to `forward` within the same round (median, range), peak memory, share of the matrix rate
   and error; keep every round's numbers in ``bench/results/DATE-attribution.json``, after each method.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.methods import METHODS, PARTS, REFERENCES
from bench.shared import dated, save_model, spread, weights_of_layers

TEXT = "Summarize the following passage in one sentence and then list three questions that a reader could ask. "
FILLER = "The river rises in the hills above the town, runs past the old mill and the market, and joins the sea. "
REFERENCE = "float64"
NOT_BY_DEFAULT = (REFERENCE, *PARTS)
OF_REMOVAL = ("removal", "deletion", "locally-linear", "forward", *PARTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-prompt", type=int, default=50)
    parser.add_argument("--n-response", type=int, nargs="+", default=[150, 300])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=[name for name in METHODS if name not in NOT_BY_DEFAULT])
    parser.add_argument(
        "--removal",
        action="store_true",
        help="removal at M = 300 beside the peers', of which a part is run",
    )
    parser.add_argument("--no-error", action="store_true", help="leave the numbers in float64 out, which take minutes")
    parser.add_argument("--out", type=Path, default=dated("attribution"))
    settings = parser.parse_args()
    if settings.removal:
        settings.n_response, settings.methods, settings.no_error = [300], list(OF_REMOVAL), True
    with tempfile.TemporaryDirectory() as folder:
        results = measure(settings, Path(folder))
    show(results, settings.methods)


def measure(settings: argparse.Namespace, folder: Path) -> dict:
    checkpoint = save_model(folder / "model")
    layers = weights_of_layers(checkpoint)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"threads": torch.get_num_threads(), "torch": torch.__version__, "time": now}
    results = {"about": about, "n_prompt": settings.n_prompt, "cases": []}
    for n_response in settings.n_response:
        prompt, response = make_texts(checkpoint.tokenizer, settings.n_prompt, n_response)
        given = {"prompt": prompt, "response": response, "n_prompt": settings.n_prompt, "n_response": n_response}
        task = folder / f"{n_response}.json"
        task.write_text(json.dumps(given), encoding="utf-8")
        operations = 2 * layers * (settings.n_prompt + n_response - 1) * settings.n_prompt
        case = {"n_response": n_response, "floors": [], "rates_gflops": [], "rounds": []}
        results["cases"].append(case)
        if not settings.no_error:
            run_method(REFERENCE, folder, task)
        for _ in range(settings.repeats):
            rate = matrix_rate(checkpoint.model.config)
            case["rates_gflops"].append(rate / 1e9)
            case["floors"].append(operations / rate)
            case["rounds"].append({})
            for name in settings.methods:
                case["rounds"][-1][name] = run_method(name, folder, task)
                keep(results, settings.out)
    return results


def keep(results: dict, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def make_texts(tokenizer, n_prompt: int, n_response: int) -> tuple[str, str]:
    """A prompt and response of exactly so many tokens, also when tokenised together."""
    prompt = cut(tokenizer, TEXT + FILLER * (n_prompt // 10), n_prompt)
    response = cut(tokenizer, " " + (FILLER * (n_response // 10)).strip(), n_response)
    assert len(tokenizer(prompt + response).input_ids) == n_prompt + n_response
    return prompt, response


def cut(tokenizer, text: str, n: int) -> str:
    return tokenizer.decode(tokenizer(text).input_ids[:n])


def matrix_rate(config, rows: int = 3200, seconds: float = 3.0) -> float:
    """Operations per second of float32 products of the feed-forward layer's shape."""
    a, b = torch.randn(rows, config.hidden_size), torch.randn(config.hidden_size, config.intermediate_size)
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        a @ b
        best = max(best, 2 * rows * b.numel() / (time.perf_counter() - begin))
    return best


def run_method(name: str, folder: Path, task: Path) -> dict:
    out = folder / f"{name}.npy"
    command = [sys.executable, "-m", "bench.methods", name, str(folder / "model"), str(task), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    part = f", of which {found['share']:.1%} was run" if found["share"] < 1 else ""
    print(f"{task.stem} response tokens, {name}: {found['seconds']:.1f} s{part}", flush=True)
    reference, own = folder / f"{REFERENCES.get(name)}.npy", np.load(out)
    exact = np.load(reference) if reference.exists() else np.zeros(0)
    if own.shape == exact.shape:  # words are fewer than tokens
        found["error"] = float(np.abs(own - exact).max() / np.abs(exact).max())
    return found


def show(results: dict, methods: list[str]) -> None:
    console = Console(width=120)
    rates = [rate for case in results["cases"] for rate in case["rates_gflops"]]
    title = (
        f"N = {results['n_prompt']}, {results['about']['threads']} threads, "
        f"float32 products at {min(rates):.0f} to {max(rates):.0f} Gflop/s"
    )
    columns = ("M", "method", "seconds", "times ours", "peak MiB", "share of rate", "error")
    table = Table(*columns, title=title)
    for case in results["cases"]:
        floor = statistics.median(case["floors"])
        table.add_row(str(case["n_response"]), "floor", f"{floor:.1f}", spread(shares(case)), "", "100%", "")
        for name in methods:
            table.add_row("", name, *cells(case, name))
        table.add_section()
    console.print(table)


def cells(case: dict, name: str) -> list[str]:
    rounds = [one[name] for one in case["rounds"] if name in one]
    seconds = statistics.median(one["seconds"] for one in rounds)
    ratios = [one[name]["seconds"] / one["forward"]["seconds"] for one in case["rounds"] if name in one]
    peak = max(one["peak_mib"] for one in rounds)
    share = f"{statistics.median(shares(case)):.0%}" if name == "forward" else ""
    error = f"{max(one['error'] for one in rounds):.1e}" if "error" in rounds[0] else ""
    return [f"{seconds:.1f}", "1" if name == "forward" else spread(ratios), f"{peak:.0f}", share, error]


def shares(case: dict) -> list[float]:
    """The floor over the time of `forward`, in each round."""
    rounds = zip(case["floors"], case["rounds"], strict=True)
    return [floor / one["forward"]["seconds"] for floor, one in rounds if "forward" in one]


if __name__ == "__main__":
    main()
