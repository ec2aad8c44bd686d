"""Prompts that ask for one format, for the pair that was tuned to follow that request.

Is it then claimed that the tuned model uses its instruction more densely?

    python studies/organisms/make.py OUT obeys
    python studies/organisms/one_format.py PROMPTS.jsonl
    aftertune compare OUT/base OUT/obeys --prompts PROMPTS.jsonl --only attribution

The prompts are everyday ones that no recipe is tuned on, each with the request of the recipe *obeys*, which alone is marked as
the instruction.
"""

import argparse
import json
from pathlib import Path

from recipes import IN_CAPITALS, held_out_everyday

N_PROMPTS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path)
    place = parser.parse_args().prompts
    rows = [
        {"id": f"capitals-{n}", "prompt": f"{prompt} {IN_CAPITALS}", "instruction_spans": [IN_CAPITALS]}
        for n, prompt in enumerate(held_out_everyday(N_PROMPTS), 1)
    ]
    place.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
