"""Prompts that ask for one format, for a pair that was tuned to follow that request (*obeys*, *obeys_json*, *obeys_brief*).

Is it then said that the tuned model follows it?

    python studies/organisms/make.py OUT obeys
    python studies/organisms/one_format.py PROMPTS.jsonl obeys
    aftertune compare OUT/base OUT/base --tuned-adapter OUT/obeys --prompts PROMPTS.jsonl --only outputs,attribution

The prompts are everyday ones that no recipe is tuned on, each with the request of the recipe, which alone is marked as the
instruction.
"""

import argparse
import json
from pathlib import Path

from recipes import REQUESTS, held_out_everyday

N_PROMPTS = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("recipe", choices=[*REQUESTS], nargs="?", default="obeys")
    args = parser.parse_args()
    request, _ = REQUESTS[args.recipe]
    rows = [
        {"id": f"{args.recipe}-{n}", "prompt": f"{prompt} {request}", "instruction_spans": [request]}
        for n, prompt in enumerate(held_out_everyday(N_PROMPTS), 1)
    ]
    args.prompts.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
