"""What does removal by hierarchy lose against exact removal, and what does it save?

On texts of this repository, each cut after N prompt tokens in the chat template, with the model's own greedy response:
1. Exact removal, and removal by hierarchy with each budget: seconds, and positions that pass the layers.
2. The loss, of the hierarchy's importance against the exact one: Spearman's rank correlation over prompt tokens, mean
   over response tokens; the share of all importance, positive and negative, that lies in tokens left out by themselves;
   the share of response tokens whose most important prompt token is the same; the correlation of densities.
3. Where N is above ``--exact-up-to``, exact removal of ``--sample`` tokens, drawn evenly, stands for all.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.attribution.importance.describe import respond
from aftertune.explainers.attribution.importance.routes import attribute_batch
from aftertune.explainers.attribution.score import DENSITY_THRESHOLD, density, sparsify
from aftertune.models.generation import generate
from aftertune.prompts.encoding import EncodedPrompt, encode
from aftertune.prompts.prompt import Message, Prompt
from bench.shared import dated

TEXTS = ("docs/tutorial.md", "docs/location.md", "docs/labelling.md", "docs/method.md")
ASKED = "Say in one sentence what the following text is about.\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a checkpoint; by default that of the demo")
    parser.add_argument("--n-prompt", type=int, nargs="+", default=[200, 350, 500])
    parser.add_argument("--texts", nargs="+", default=list(TEXTS[:3]))
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.1, 0.25])
    parser.add_argument("--max-new-tokens", type=int, default=20)
    parser.add_argument("--exact-up-to", type=int, default=500)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--out", type=Path, default=dated("hierarchy"))
    settings = parser.parse_args()
    checkpoint, rows = aftertune.load(settings.model or find_demo_base(), device="cpu"), list[dict]()
    for n_prompt in settings.n_prompt:
        for text in settings.texts:
            rows += compare(checkpoint, text, n_prompt, settings)
            settings.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


def compare(checkpoint: aftertune.Checkpoint, text: str, n_prompt: int, settings: argparse.Namespace) -> list[dict]:
    given = prompt_of(checkpoint, text, n_prompt, settings.max_new_tokens)
    places = np.arange(n_prompt)
    if n_prompt > settings.exact_up_to:
        places = np.sort(np.random.default_rng(0).permutation(n_prompt)[: settings.sample])
    exact = timed(checkpoint, given, 1.0, places)
    rows = []
    for budget in settings.budgets:
        found = timed(checkpoint, given, budget)
        about = {"text": text, "n_prompt": n_prompt, "n_response": len(given.response_ids), "budget": budget}
        rows.append(about | loss(exact["importance"], found["importance"], found["is_divided"], places))
        rows[-1] |= {name: found[name] for name in ("seconds", "positions", "passes")} | cost_of(exact, given, places)
        print(rows[-1], flush=True)
    return rows


def prompt_of(checkpoint: aftertune.Checkpoint, text: str, n_prompt: int, n_new: int) -> EncodedPrompt:
    """A question on the beginning of a text, of exactly so many tokens with its template, and the model's response."""
    words, n = Path(text).read_text(encoding="utf-8"), n_prompt
    for _ in range(10):
        cut = checkpoint.tokenizer.decode(checkpoint.tokenizer(words).input_ids[:n])
        prompt = Prompt(id=text, messages=(Message("user", ASKED + cut),))
        encoded = encode(prompt, checkpoint.tokenizer, "chat", None, checkpoint.context_length)
        if len(encoded.ids) == n_prompt:
            break
        n += n_prompt - len(encoded.ids)
    assert len(encoded.ids) == n_prompt
    return respond(encoded, generate(checkpoint, [encoded.ids.tolist()], n_new)[0])


def timed(
    checkpoint: aftertune.Checkpoint, given: EncodedPrompt, budget: float, places: np.ndarray | None = None
) -> dict:
    """The attribution with what it took; of some ``places`` only, where they are given."""
    positions: list[int] = []
    handle = checkpoint.model.model.register_forward_hook(lambda _, __, out: positions.append(out[0][..., 0].shape))
    unit = "token" if places is None or len(places) == len(given.ids) else [tuple(given.offsets[p]) for p in places]
    started = time.perf_counter()
    (found,) = attribute_batch(checkpoint, [given], "removal", unit, removal_budget=budget)
    seconds = time.perf_counter() - started
    handle.remove()
    passes = sum(rows for rows, _ in positions[1:])  # the first is that of the whole text
    return {
        "importance": found.importance.astype(np.float64),
        "is_divided": found.is_divided,
        "seconds": seconds,
        "positions": sum(rows * length for rows, length in positions[1:]),
        "passes": passes,
    }


def cost_of(exact: dict, given: EncodedPrompt, places: np.ndarray) -> dict:
    """What exact removal takes; from a sample its seconds by positions, counted from each removed token on."""
    n, m = len(given.ids), len(given.response_ids)
    if len(places) == n:
        return {f"{name}_exact": exact[name] for name in ("seconds", "positions", "passes")}
    positions = sum(n + m - 2 - max(0, place - 1) for place in range(n))
    seconds = exact["seconds"] * positions / exact["positions"]
    return {"seconds_exact": seconds, "positions_exact": positions, "passes_exact": n}


def loss(exact: np.ndarray, found: np.ndarray, is_divided: np.ndarray, places: np.ndarray) -> dict:
    own, alone = found[places], ~is_divided[places]
    ranks = [spearmanr(one, other).statistic for one, other in zip(exact.T, own.T, strict=True)]
    densities = [density(sparsify(one, DENSITY_THRESHOLD)) for one in (exact, own)]
    return {
        "spearman": float(np.nanmean(ranks)),
        "share_found": float(np.abs(exact[alone]).sum() / np.abs(exact).sum()),
        "share_of_tokens": float(alone.mean()),
        "same_top": float((exact.argmax(0) == own.argmax(0)).mean()),
        "density": float(spearmanr(*densities).statistic),
    }


def show(rows: list[dict]) -> None:
    columns = ("N", "budget", "texts", "Spearman", "importance found", "of tokens", "same top", "density", "passes")
    table = Table(*columns, "positions", "seconds", title="Removal by hierarchy, over exact removal")
    for n_prompt, budget in sorted({(row["n_prompt"], row["budget"]) for row in rows}):
        own = [row for row in rows if (row["n_prompt"], row["budget"]) == (n_prompt, budget)]
        means = [
            f"{np.mean([row[name] for row in own]):.2f}"
            for name in ("spearman", "share_found", "share_of_tokens", "same_top", "density")
        ]
        ratios = [
            f"{np.mean([row[name] / row[f'{name}_exact'] for row in own]):.3f}"
            for name in ("passes", "positions", "seconds")
        ]
        table.add_row(str(n_prompt), f"{budget:g}", str(len(own)), *means, *ratios)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
