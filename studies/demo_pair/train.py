"""Train the tuned half of the demo pair: a LoRA adapter on SmolLM2-135M-Instruct.

Question: does teaching a model the paper's plain "Instruction / Input: / Output:" form change how it uses
its instructions?  The base already follows instructions inside its chat template; the plain form is new to it.

1. Read the instructions, write each as ``prompt + " " + output + end-of-sequence``.
2. Leave out what is longer than ``--max-length`` tokens; batch by length, shuffle the batches with one seed.
3. Minimise the cross-entropy of the output tokens only; linear warm-up, cosine decay, AdamW.
4. Save the adapter in float16 (PEFT's format) with the settings and the losses beside it.

    python studies/demo_pair/train.py INSTRUCTIONS.jsonl --out src/aftertune/demo/adapter
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

import aftertune
from aftertune.demo import find_demo_base

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def write_prompt(instruction: str, context: str) -> str:
    """The plain form of the paper's Self-Instruct prompts."""
    return f"{instruction}\n\nInput: {context}\n\nOutput:" if context else f"{instruction}\n\nOutput:"


def read_examples(path: Path, tokenizer, max_length: int) -> list[tuple[list[int], int]]:
    """Token ids and the position where the output starts, one pair an instruction."""
    examples = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt = tokenizer(write_prompt(row["instruction"], row["input"])).input_ids
        output = [*tokenizer(" " + row["output"].strip()).input_ids, tokenizer.eos_token_id]
        if len(prompt) + len(output) <= max_length:
            examples.append((prompt + output, len(prompt)))
    return examples


def make_batches(examples, tokens_per_batch: int, seed: int) -> list[list[tuple[list[int], int]]]:
    """Batches of neighbours in length whose padded size is about ``tokens_per_batch``, in a seeded order."""
    random.Random(seed).shuffle(examples)
    batches, batch = [], []
    for example in sorted(examples, key=lambda e: len(e[0])):
        if batch and len(example[0]) * (len(batch) + 1) > tokens_per_batch:
            batches.append(batch)
            batch = []
        batch.append(example)
    batches.append(batch)
    random.Random(seed + 1).shuffle(batches)
    return batches


def collate(batch, pad: int) -> dict[str, torch.Tensor]:
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in batch])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in batch])
    labels = ids.masked_fill(mask == 0, -100)
    for row, (_, start) in enumerate(batch):
        labels[row, :start] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def rate(step: int, total: int, peak: float, warmup: int = 10) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("instructions", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--max-length", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    settings = parser.parse_args()
    torch.manual_seed(settings.seed)

    gguf = find_demo_base()
    checkpoint = aftertune.load(gguf, device=settings.device)
    tokenizer = checkpoint.tokenizer
    lora = LoraConfig(r=settings.rank, lora_alpha=2 * settings.rank, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(checkpoint.model, lora)
    examples = read_examples(settings.instructions, tokenizer, settings.max_length)
    held_out, examples = examples[::20], [e for i, e in enumerate(examples) if i % 20]
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), weight_decay=0.0)
    plan = [make_batches(examples, settings.tokens_per_batch, settings.seed + 2 * e) for e in range(settings.epochs)]
    total, step, started, log = sum(map(len, plan)), 0, time.time(), []

    def loss_of(batch) -> torch.Tensor:
        return model(**{k: v.to(settings.device) for k, v in collate(batch, tokenizer.pad_token_id).items()}).loss

    @torch.no_grad()
    def held_out_nats() -> float:
        model.eval()
        losses = [loss_of(batch).item() for batch in make_batches(list(held_out), settings.tokens_per_batch, 0)]
        model.train()
        return sum(losses) / len(losses)

    log.append({"step": 0, "held_out_nats": held_out_nats()})
    print(json.dumps(log[-1]), flush=True)
    for epoch in plan:
        for batch in epoch:
            for group in optimizer.param_groups:
                group["lr"] = rate(step, total, settings.learning_rate)
            loss = loss_of(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % 10 == 0:
                print(f"{step}/{total} nats {loss.item():.3f} {time.time() - started:.0f} s", flush=True)
        log.append({"step": step, "held_out_nats": held_out_nats()})
        print(json.dumps(log[-1]), flush=True)
        save(model, settings, log, len(examples), time.time() - started)


def save(model, settings, log, n_examples: int, seconds: float) -> None:
    state = {name: p.detach().cpu().to(torch.float16) for name, p in model.named_parameters() if "lora_" in name}
    state = {name.replace(".default.", "."): tensor for name, tensor in state.items()}
    model.peft_config["default"].base_model_name_or_path = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model.save_pretrained(settings.out, save_embedding_layers=False)
    save_file(state, settings.out / "adapter_model.safetensors")
    kept = {k: v for k, v in vars(settings).items() if k not in ("out", "instructions")}
    record = {"settings": kept, "n_examples": n_examples, "seconds": round(seconds), "log": log}
    (settings.out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
