"""Which way to remove a token predicts best what replacing it does?

For prompts of ours in the chat template, each with the model's own greedy response:
1. The truth: each of a few tokens that the user wrote is replaced by ``--draws`` drawn ones of its kind, and the fall
   of log p of every response token is averaged.
2. Against it, every way to remove: Spearman's rank correlation over tokens, mean over response tokens. Beside them
   one and two further draws, which cost as many passes, and what a perfect map would reach (Spearman and Brown's
   formula on both halves of the truth).
"""

import argparse
import json
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.interventions import _another
from aftertune.explainers.attribution.importance.removal import removed
from aftertune.explainers.attribution.importance.variants import Variant, Whole
from aftertune.explainers.attribution.settings import Removal
from aftertune.explainers.outputs.texts import own_lines
from aftertune.models.backbone import Backbone
from aftertune.models.generation import generate
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Message, Prompt
from bench.shared import dated

DEMO = Path(aftertune.__file__).parent / "demo" / "prompts.jsonl"
MORE = 2  # further draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a checkpoint; by default that of the demo")
    parser.add_argument("--short", type=int, default=8, help="short questions")
    parser.add_argument("--long", type=int, default=8, help="prompts of the demo")
    parser.add_argument("--tokens", type=int, default=12, help="tokens of a prompt that are replaced")
    parser.add_argument("--max-new-tokens", type=int, default=14)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--out", type=Path, default=dated("removals"))
    settings = parser.parse_args()
    checkpoint, rng = aftertune.load(settings.model or find_demo_base(), device="cpu"), np.random.default_rng(1)
    longer = [json.loads(line)["prompt"] for line in DEMO.read_text("utf-8").splitlines()]
    rows = []
    for kind, texts in (("short", own_lines("chat")[: settings.short]), ("long", longer[: settings.long])):
        for text in texts:
            rows.append({"kind": kind} | correlations(checkpoint, text, settings, rng))
            settings.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


@torch.no_grad()
def correlations(
    checkpoint: aftertune.Checkpoint, text: str, settings: argparse.Namespace, rng: np.random.Generator
) -> dict[str, float]:
    """Of one prompt, the rank correlation of every way with the truth."""
    given = encode(Prompt("one", (Message("user", text),)), checkpoint.tokenizer, "chat")
    prompt = tuple(given.ids.tolist())
    (response,) = generate(checkpoint, [prompt], settings.max_new_tokens)
    places = np.sort(rng.permutation(np.flatnonzero(given.is_user))[: settings.tokens]).tolist()
    task = Task(prompt, tuple(response), tuple((place,) for place in places))
    backbone = Backbone(checkpoint)
    whole = Whole.of(backbone, make_batch(backbone, [task]), 0)
    drawn = replaced(whole, checkpoint.tokenizer, task, settings.draws + MORE, rng)
    truth, more = drawn[:, : settings.draws], drawn[:, settings.draws :]
    found = {kind: falls(whole, [removed(one, kind, whole) for one in task.units]) for kind in get_args(Removal)[:3]}
    found["averaged"] = (found["deleted"] + found["mean"]) / 2
    found |= {f"replaced by {n}": more[:, :n].mean(1) for n in range(1, MORE + 1)}
    halves = correlation(truth[:, ::2].mean(1), truth[:, 1::2].mean(1))
    return {kind: correlation(one, truth.mean(1)) for kind, one in found.items()} | {
        "possible": float(np.sqrt(2 * halves / (1 + halves)))
    }


def replaced(whole: Whole, tokenizer, task: Task, n: int, rng: np.random.Generator) -> np.ndarray:
    """How far log p falls (n_units, n, M), with each unit replaced ``n`` times."""
    ids = [[_another(tokenizer, task.prompt_ids[place], rng)] for (place,) in task.units for _ in range(n)]
    embeddings = whole.backbone.embed(torch.tensor(ids))[:, 0]
    units = [unit for unit in task.units for _ in range(n)]
    variants = [Variant(replaced={place: one}) for (place,), one in zip(units, embeddings, strict=True)]
    return falls(whole, variants).reshape(len(task.units), n, -1)


def falls(whole: Whole, variants: list[Variant]) -> np.ndarray:
    """How far log p (n_variants, M) of the response falls."""
    return (whole.log_p[0] - whole.log_p_after(variants)[0]).double().numpy()


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's over units, mean over response tokens."""
    return float(np.nanmean([spearmanr(one[:, m], other[:, m]).statistic for m in range(one.shape[1])]))


def show(rows: list[dict]) -> None:
    kinds = sorted({row["kind"] for row in rows}, reverse=True)
    table = Table("removal", *kinds, "all", box=None)
    for name in (name for name in rows[0] if name != "kind"):
        means = [np.mean([row[name] for row in rows if row["kind"] in one]) for one in (*([k] for k in kinds), kinds)]
        table.add_row(name, *(f"{mean:.2f}" for mean in means))
    Console().print(table)


if __name__ == "__main__":
    main()
