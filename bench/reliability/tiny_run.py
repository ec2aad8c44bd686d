"""A comparison of tiny models, small enough to be run a thousand times: checkpoints, prompts, and its command."""

import json
from pathlib import Path

from transformers.utils import logging

from tiny import make_model, make_tokenizer

PROMPTS = ("the cat sat", "rewrite the text", "the mat")
SKIPPED = [word for name in ("heads", "concepts", "outputs", "location") for word in ("--skip", name)]
QUICK = ["--max-new-tokens", "3", "--device", "cpu", "--check", "0", *SKIPPED]


def save_models(folder: Path) -> None:
    """Two tiny checkpoints, ``base`` and ``tuned``, and ``prompts.jsonl``."""
    logging.disable_progress_bar()
    for seed, name in enumerate(("base", "tuned")):
        make_model(seed=seed).save_pretrained(folder / name)
        make_tokenizer().save_pretrained(folder / name)
    rows = [json.dumps({"id": f"p{index}", "prompt": prompt}) + "\n" for index, prompt in enumerate(PROMPTS)]
    (folder / "prompts.jsonl").write_text("".join(rows), encoding="utf-8")


def compare(folder: Path, run: Path, *more: str) -> list[str]:
    """The arguments that compare the models of `save_models`."""
    models = [str(folder / "base"), str(folder / "tuned")]
    return ["compare", *models, "--run", str(run), "--prompts", str(folder / "prompts.jsonl"), *QUICK, *more]
