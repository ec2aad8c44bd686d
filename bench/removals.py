"""Which way to remove a token predicts best what replacing it does?

For prompts of ours in the chat template, each with the model's own greedy response:
1. The truth: each of a few tokens that the user wrote is replaced by ``--draws`` drawn ones of its kind, and the fall
   of log p of every response token is averaged.
2. Against it, every way to remove: Spearman's rank correlation over tokens, mean over response tokens. Beside them
   further draws, which cost a pass each; "opposite", the mean of a further draw mu + d and of mu - d, with mu the mean
   of all embeddings; means of several of these; and what a perfect map would reach (Spearman and Brown's formula on
   both halves of the truth).
3. How much better than ``deleted`` each is: over prompts, a 95 % bootstrap interval of the mean difference, and the
   permutation test of signs.
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
from aftertune.explainers.attribution.importance.another import another_token
from aftertune.explainers.attribution.importance.batch import Task, make_batch
from aftertune.explainers.attribution.importance.removal import removed
from aftertune.explainers.attribution.importance.routes import _compute
from aftertune.explainers.attribution.importance.variants import Variant, Whole
from aftertune.explainers.attribution.settings import Removal
from aftertune.explainers.outputs.texts import own_lines
from aftertune.models.backbone import Backbone
from aftertune.models.generation import generate
from aftertune.prompts.encoding import encode
from aftertune.prompts.prompt import Message, Prompt
from aftertune.statistics.effects import mean_interval
from aftertune.statistics.tests import sign_permutation_p_value
from bench.shared import dated

DEMO = Path(aftertune.__file__).parent / "demo" / "prompts.jsonl"
MORE = 5  # further draws
REPLACED = tuple(f"replaced by {n}" for n in range(1, MORE + 1))
PASSES = {"averaged": 2, "opposite": 2} | {name: n for n, name in enumerate(REPLACED, 1)}
MEANS = (  # of what is known by itself
    ("deleted", "mean", "zeroed"),
    ("deleted", "replaced by 1"),
    ("deleted", "replaced by 2"),
    ("mean", "replaced by 2"),
    ("deleted", "mean", "replaced by 1"),
    ("deleted", "opposite"),
    ("mean", "opposite"),
    ("deleted", "mean", "opposite"),
    ("deleted", "mean", "zeroed", "replaced by 1"),
    ("deleted", "mean", "zeroed", "replaced by 2"),
    ("deleted", "mean", "zeroed", "opposite"),
    ("deleted", "mean", "zeroed", "replaced by 3"),
    ("deleted", "mean", "zeroed", "replaced by 4"),
    ("deleted", "mean", "zeroed", "replaced by 5"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=None, help="a checkpoint; by default that of the demo")
    parser.add_argument("--short", type=int, default=8, help="short questions")
    parser.add_argument("--long", type=int, default=8, help="prompts of the demo")
    parser.add_argument("--tokens", type=int, default=12, help="tokens of a prompt that are replaced")
    parser.add_argument("--max-new-tokens", type=int, default=14)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--first-orders", action="store_true", help="the gradient and the locally linear network too")
    parser.add_argument("--out", type=Path, default=dated("removals"))
    settings = parser.parse_args()
    checkpoint, rows = aftertune.load(settings.model or find_demo_base(), device="cpu"), kept(settings)
    longer = [json.loads(line)["prompt"] for line in DEMO.read_text("utf-8").splitlines()]
    for kind, texts in (("short", own_lines("chat")[: settings.short]), ("long", longer[: settings.long])):
        for number, text in enumerate(texts):
            asked = {"model": settings.model, "kind": kind, "number": number}
            if not any(row.items() >= asked.items() for row in rows):
                rng = np.random.default_rng([kind == "long", number])  # alike whatever else is asked
                rows.append(asked | correlations(checkpoint, text, settings, rng))
                settings.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    show(rows)


def kept(settings: argparse.Namespace) -> list[dict]:
    """What the file of results holds already: a run that was stopped goes on, with the same settings."""
    return json.loads(settings.out.read_text("utf-8")) if settings.out.exists() else []


def correlations(
    checkpoint: aftertune.Checkpoint, text: str, settings: argparse.Namespace, rng: np.random.Generator
) -> dict[str, float]:
    """Of one prompt, the rank correlation of every way with the truth."""
    given = encode(Prompt("one", (Message("user", text),)), checkpoint.tokenizer, "chat")
    prompt = tuple(given.ids.tolist())
    (response,) = generate(checkpoint, [prompt], settings.max_new_tokens)
    places = np.sort(rng.permutation(np.flatnonzero(given.is_user))[: settings.tokens])
    task = Task(prompt, tuple(response), tuple((int(place),) for place in places))
    with torch.no_grad():
        backbone = Backbone(checkpoint)
        whole = Whole.of(backbone, make_batch(backbone, [task]), 0)
        truth, found = measured(whole, checkpoint.tokenizer, task, settings.draws, rng)
    found |= first_orders(checkpoint, task) if settings.first_orders else {}
    halves = correlation(truth[:, ::2].mean(1), truth[:, 1::2].mean(1))
    possible = float(np.sqrt(2 * halves / (1 + halves))) if halves > 0 else float("nan")
    return {kind: correlation(one, truth.mean(1)) for kind, one in found.items()} | {"possible": possible}


def measured(
    whole: Whole, tokenizer, task: Task, n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The falls of the truth (n_units, n_draws, M), and (n_units, M) of every way to remove."""
    embeddings = drawn(whole, tokenizer, task, n_draws + MORE, rng)
    falls_after = replaced(whole, task, embeddings)
    truth, more = falls_after[:, :n_draws], falls_after[:, n_draws:]
    found = {kind: falls(whole, [removed(one, kind, whole) for one in task.units]) for kind in get_args(Removal)[:3]}
    found["averaged"] = (found["deleted"] + found["mean"]) / 2
    found |= {name: more[:, :n].mean(1) for n, name in enumerate(REPLACED, 1)}
    other = replaced(whole, task, 2 * whole.backbone.mean_embedding - embeddings[:, n_draws : n_draws + 1])[:, 0]
    found["opposite"] = (more[:, 0] + other) / 2
    return truth, found | {" + ".join(names): mean_of(found, names) for names in MEANS}


def mean_of(found: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """The mean of all passes of several ways."""
    passes = [PASSES.get(name, 1) for name in names]
    return np.average([found[name] for name in names], axis=0, weights=passes)


def first_orders(checkpoint: aftertune.Checkpoint, task: Task) -> dict[str, np.ndarray]:
    """The maps (n_units, M) of the gradient and of the locally linear network, whose ranks are those of log p."""
    ways = {"gradient": "forward", "locally-linear": "locally-linear"}
    return {name: next(_compute(checkpoint, [task], way, "deleted")).importance for name, way in ways.items()}


def drawn(whole: Whole, tokenizer, task: Task, n: int, rng: np.random.Generator) -> torch.Tensor:
    """Embeddings (n_units, n, d_model) of other tokens for each unit."""
    ids = [[another_token(tokenizer, task.prompt_ids[place], rng) for _ in range(n)] for (place,) in task.units]
    return whole.backbone.embed(torch.tensor(ids))


def replaced(whole: Whole, task: Task, embeddings: torch.Tensor) -> np.ndarray:
    """How far log p falls (n_units, n, M), with each unit replaced by each of its embeddings (n_units, n, d_model)."""
    places = [place for (place,) in task.units for _ in range(embeddings.shape[1])]
    variants = [Variant(replaced={p: one}) for p, one in zip(places, embeddings.flatten(0, 1), strict=True)]
    return falls(whole, variants).reshape(*embeddings.shape[:2], -1)


def falls(whole: Whole, variants: list[Variant]) -> np.ndarray:
    """How far log p (n_variants, M) of the response falls."""
    return (whole.log_p[0] - whole.log_p_after(variants)[0]).double().numpy()


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's over units, mean over response tokens."""
    return float(np.nanmean([spearmanr(one[:, m], other[:, m]).statistic for m in range(one.shape[1])]))


def show(rows: list[dict]) -> None:
    """Means of both kinds of prompts and of all, and how far each way is above `deleted`."""
    kinds = sorted({row["kind"] for row in rows}, reverse=True)
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in kinds} | {"all": rows}
    table = Table("removal", *groups, "of possible", *(f"above deleted, {name} (p)" for name in groups), box=None)
    for name in (name for name in rows[0] if name not in ("model", "kind", "number")):
        means = [np.mean([row[name] for row in some]) for some in groups.values()]
        share = means[-1] / np.mean([row["possible"] for row in rows])
        above = [compared(np.array([row[name] - row["deleted"] for row in some])) for some in groups.values()]
        table.add_row(name, *(f"{mean:.3f}" for mean in means), f"{share:.2f}", *above)
    Console(width=200).print(table)


def compared(differences: np.ndarray) -> str:
    """A mean difference with its interval and p-value."""
    interval, p_value = mean_interval(differences), sign_permutation_p_value(differences)
    if interval is None or p_value is None:
        return "-"
    return f"{differences.mean():+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}] ({p_value:.4f})"


if __name__ == "__main__":
    main()
