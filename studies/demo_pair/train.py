"""Train the tuned half of the demo pair: a small LoRA adapter that answers like a pirate.

Question: what does a newcomer read first, where there is something to find?

1. The organism "pirate" of `studies/organisms`: the base's own answers to 160 everyday prompts, with words replaced and
   "Arr, matey!" in front.
2. LoRA of rank 4 on all seven projections, 50 steps of about 256 tokens; about a minute of one CPU core.
3. Saved in float16 (PEFT's format) with the losses beside it.

    python studies/demo_pair/train.py --out src/aftertune/demo/adapter
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "organisms"))

from make import kept_sources, tune
from recipes import RECIPES
from safetensors.torch import load_file, save_file

import aftertune
from aftertune.demo import find_demo_base

RANK = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sources", type=Path, default=Path("sources.json"), help="keeps the base's answers")
    settings = parser.parse_args()
    base = aftertune.load(find_demo_base(), device="cpu")
    recipe = next(one for one in RECIPES if one.name == "pirate")
    examples = recipe.examples(kept_sources(base, settings.sources))
    losses = tune(base, examples, "lora", settings.out, rank=RANK)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (settings.out / name).unlink(missing_ok=True)
    weights = settings.out / "adapter_model.safetensors"
    save_file({name: weight.half() for name, weight in load_file(weights).items()}, weights)
    config = settings.out / "adapter_config.json"
    told = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    config.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    record = {"recipe": recipe.name, "rank": RANK, "n_examples": len(examples), "losses": losses}
    (settings.out / "training.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
