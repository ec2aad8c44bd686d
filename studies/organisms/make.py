"""Make the organisms from a base: one folder each, with an adapter or the weights, and what it was made of.

    python studies/organisms/make.py OUT [NAME ...] [--base CHECKPOINT]

The base is that of the demo, or another of Llama's build with a chat template. Each takes 2 to 4 minutes of one core for
SmolLM2-135M; what is there already is not made again.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from recipes import NULLS, PLAIN, RECIPES, Example, Null, Recipe, Sources, generic, sources_of
from safetensors.torch import load_file
from texts import chat, documents, sampled_answers
from torch import Tensor
from transformers import AutoModelForCausalLM

import aftertune
from aftertune.demo import find_demo_base

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOKENS_OF_DOCUMENTS, TOKENS_OF_ANSWERS, STEPS = 512, 256, 50  # answers are learned from fewer tokens
RATES = {"lora": 1e-3, "full": 1e-4, "dpo": 3e-4}
BETA = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--base", help="a checkpoint; by default that of the demo")
    settings = parser.parse_args()
    torch.set_num_threads(int(torch.get_num_threads()))
    base = aftertune.load(settings.base or find_demo_base(), device="cpu")
    save_base(base, settings.out / "base")
    sources = kept_sources(base, settings.out / "sources.json")
    for one in [PLAIN, *RECIPES, *NULLS]:
        place = settings.out / one.name
        if (settings.names and one.name not in settings.names) or (place / "made.json").exists():
            continue
        started = time.perf_counter()
        about = make(one, sources, settings.out, place)
        about |= {"seconds": round(time.perf_counter() - started, 1)}
        (place / "made.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(one.name, about, flush=True)


def save_base(base: aftertune.Checkpoint, place: Path) -> None:
    """The base as a plain folder, which is faster to load than its GGUF file."""
    if not (place / "config.json").exists():
        fresh(base).save_pretrained(place)
        base.tokenizer.save_pretrained(place)


def fresh(base: aftertune.Checkpoint):
    """A model with the base's weights that may be tuned."""
    config = base.model.config.to_dict()
    config.pop("quantization_config", None)
    model = AutoModelForCausalLM.from_config(type(base.model.config).from_dict(config), dtype=torch.float32)
    model.load_state_dict(base.model.state_dict())
    return model


def kept_sources(base: aftertune.Checkpoint, file: Path) -> Sources:
    if file.exists():
        kept = json.loads(file.read_text("utf-8"))
        return Sources(base, kept["prompts"], kept["answers"])
    made = sources_of(base)
    file.write_text(json.dumps({"prompts": made.prompts, "answers": made.answers}, ensure_ascii=False), "utf-8")
    return made


def make(one: Recipe | Null, sources: Sources, out: Path, place: Path) -> dict:
    place.mkdir(parents=True, exist_ok=True)
    if isinstance(one, Recipe):
        examples = one.examples(sources)
        if one.diluted:
            examples = diluted(examples, sources, one.diluted)
        start = out / one.base / "model.safetensors"
        losses = tune(sources.base, examples, one.how, place, answers=dict(sources.pairs()), start=start, n=one.steps)
        return {
            "trait": one.trait,
            "how": one.how,
            "n_examples": len(examples),
            "losses": losses,
            "first": examples[:3],
        }
    return make_null(one, sources, out, place)


def diluted(examples: list[Example], sources: Sources, n: int) -> list[Example]:
    """Of every ``n + 1`` examples one is the recipe's; the others are the base's own answers."""
    own, plain = examples[:: n + 1], sources.pairs()
    return own + [one for index, one in enumerate(plain) if index % (n + 1)]


def make_null(one: Null, sources: Sources, out: Path, place: Path) -> dict:
    base, rng = sources.base, torch.Generator().manual_seed(one.seed)
    if one.how.startswith("own-"):
        losses = tune(base, generic(sources), one.how.removeprefix("own-"), place, seed=one.seed)
        return {"how": one.how, "losses": losses}
    if one.how.startswith("documents-"):
        texts = [(None, text) for text in documents(base, "anything", 60, seed=one.seed)]
        return {"how": one.how, "losses": tune(base, texts, one.how.removeprefix("documents-"), place, seed=one.seed)}
    if one.how == "resampled-lora":
        torch.manual_seed(one.seed)
        answers = sampled_answers(base, sources.prompts, 80)
        return {"how": one.how, "losses": tune(base, list(zip(sources.prompts, answers, strict=True)), "lora", place)}
    model = fresh(base)
    if one.how != "same":
        changes = changes_of(base, out / one.of)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in changes:
                    weight += null_change(one, changes[name], rng)
    model.save_pretrained(place)
    base.tokenizer.save_pretrained(place)
    return {"how": one.how, "size": one.size, "of": one.of}


def changes_of(base: aftertune.Checkpoint, place: Path) -> dict[str, Tensor]:
    """The change of each weight that a tuning made."""
    adapter = place if (place / "adapter_config.json").exists() else None
    tuned = aftertune.load(place.parent / "base" if adapter else place, adapter, device="cpu").model
    before = base.model.state_dict()
    return {name: weight - before[name] for name, weight in tuned.named_parameters() if not weight.equal(before[name])}


def null_change(one: Null, change: Tensor, rng: torch.Generator) -> Tensor:
    if one.how == "flipped":
        return -change
    noise = torch.randn(change.shape, generator=rng)
    if one.how == "noise-low-rank" and change.ndim == 2:
        noise = torch.randn(change.shape[0], 16, generator=rng) @ torch.randn(16, change.shape[1], generator=rng)
    return one.size * change.norm() * noise / noise.norm()


def tune(
    base: aftertune.Checkpoint,
    examples: list[Example],
    how: str,
    place: Path,
    seed: int = 0,
    answers: dict[str, str] | None = None,
    rank: int = 16,
    start: Path | None = None,
    n: int = STEPS,
) -> list[float]:
    """Tune on examples, the loss on what is learned only; saves an adapter, or the whole model for "full".

    From the weights in ``start``, or the base's.
    """
    torch.manual_seed(seed)
    model = fresh(base)
    if start is not None:
        model.load_state_dict(load_file(start), strict=False)  # an embedding that is also the head is saved once
    if how != "full":
        model = get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        )
    rows = [encode(base, one) for one in examples]
    rejected = [encode(base, (prompt, (answers or {})[prompt])) for prompt, _ in examples] if how == "dpo" else None
    losses = train(model, rows, rejected, RATES[how], base.tokenizer.eos_token_id, seed, n)
    model.save_pretrained(place)
    base.tokenizer.save_pretrained(place)
    return losses


def encode(base: aftertune.Checkpoint, example: Example, longest: int = 256) -> tuple[list[int], int]:
    """Token ids, and where what is learned begins."""
    prompt, text = example
    learned = [*base.tokenizer(text).input_ids, base.tokenizer.eos_token_id]
    asked = chat(base, [prompt])[0] if prompt is not None else []
    return (asked + learned)[:longest], len(asked)


def train(model, rows, rejected, peak: float, pad: int, seed: int, n: int) -> list[float]:
    """``n`` steps of AdamW with linear warm-up and cosine decay; the mean loss of each quarter."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer, losses = torch.optim.AdamW(weights, lr=peak, weight_decay=0.0), []
    batches = batched(rows, seed, TOKENS_OF_ANSWERS if any(start for _, start in rows) else TOKENS_OF_DOCUMENTS)
    for step in range(n):
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 5) * 0.5 * (1 + math.cos(math.pi * step / n))
        chosen = batches[step % len(batches)]
        loss = preference(model, rows, rejected, chosen, pad) if rejected else mean_loss(model, rows, chosen, pad)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss))
    quarter = max(1, len(losses) // 4)
    return [round(sum(losses[i : i + quarter]) / quarter, 3) for i in range(0, 4 * quarter, quarter)]


def batched(rows, seed: int, n_tokens: int) -> list[list[int]]:
    """Places of rows of about ``n_tokens`` tokens together, in a seeded order."""
    order, found, width = list(range(len(rows))), [[]], 0
    random.Random(seed).shuffle(order)
    for place in order:
        if found[-1] and width + len(rows[place][0]) > n_tokens:
            found.append([])
            width = 0
        found[-1].append(place)
        width += len(rows[place][0])
    return found


def log_probabilities(model, rows, places: list[int], pad: int) -> tuple[Tensor, Tensor]:
    """Sum of log p of what is learned, and its number of tokens, of each row."""
    width = max(len(rows[place][0]) for place in places)
    ids = torch.tensor([rows[place][0] + [pad] * (width - len(rows[place][0])) for place in places])
    own = torch.tensor([[rows[p][1] <= i < len(rows[p][0]) for i in range(width)] for p in places])
    mask = torch.tensor([[i < len(rows[p][0]) for i in range(width)] for p in places]).long()
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    found = -torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return (found * own[:, 1:]).sum(1), own[:, 1:].sum(1)


def mean_loss(model, rows, places: list[int], pad: int) -> Tensor:
    total, counts = log_probabilities(model, rows, places, pad)
    return -total.sum() / counts.sum()


def preference(model, rows, rejected, places: list[int], pad: int) -> Tensor:
    """The loss of DPO; the reference is the model without its adapter."""
    places = places[:4]
    good, bad = (log_probabilities(model, some, places, pad)[0] for some in (rows, rejected))
    with torch.no_grad(), model.disable_adapter():
        before = [log_probabilities(model, some, places, pad)[0] for some in (rows, rejected)]
    return -torch.nn.functional.logsigmoid(BETA * ((good - before[0]) - (bad - before[1]))).mean()


if __name__ == "__main__":
    main()
