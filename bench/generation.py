"""Greedy responses: ours, eight and sixteen at once, beside transformers' own `generate`, as ratios within a round.

1. ``--sample`` prompts of ours (the demo's, and those that outputs ask), put in the model's chat template.
2. In each of ``--repeats`` rounds, in turn: `generate` of transformers on batches as they stand in the list, eight and
   sixteen at once; ours, prompts of like length together, eight and sixteen at once.
3. Seconds, tokens a second, and the time over that of theirs in the same round and of as many at once; how many
   responses are theirs to the token, which padding can change where two tokens are about as likely.

Nothing else should run on the machine.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.outputs.texts import own_lines, own_prompt
from aftertune.models.generation import generate
from aftertune.prompts.encoding import encode
from aftertune.study.rows import read_rows
from bench.shared import of_responses, spread
from bench.throughput import respond_as_they_are

SIZES = (8, 16)
Ids = list[int]


def main() -> None:
    settings = of_responses(str(__doc__), "generation", sample=32, most=48).parse_args()
    checkpoint = aftertune.load(find_demo_base(), device="cpu")
    prompts, rounds = prompts_of(checkpoint, settings.sample), list[dict[str, Any]]()
    for way in (theirs, ours):  # what is loaded with the first call
        way(checkpoint, prompts[:2], 2, 2)
    for _ in range(settings.repeats):
        rounds.append(one_round(checkpoint, prompts, settings.max_new_tokens))
        print(json.dumps(rounds[-1]), flush=True)
        settings.out.write_text(json.dumps({"n": len(prompts), "rounds": rounds}, indent=1) + "\n", encoding="utf-8")
    show(rounds, len(prompts))


def prompts_of(checkpoint: aftertune.Checkpoint, n: int) -> list[Ids]:
    asked = [
        *read_rows(None, None).prompts,
        *(own_prompt(line, number) for number, line in enumerate(own_lines("chat"))),
    ]
    asked += [own_prompt(line, number) for number, line in enumerate(own_lines("generic"))]
    return [encode(one, checkpoint.tokenizer, "chat").ids.tolist() for one in asked[:n]]


def one_round(checkpoint: aftertune.Checkpoint, prompts: list[Ids], most: int) -> dict[str, Any]:
    """Seconds, tokens, and the share of responses that are those of the first way."""
    found, first = {}, list[Ids]()
    for name, way in (("theirs", theirs), ("ours", ours)):
        for size in SIZES:
            started = time.perf_counter()
            responses = way(checkpoint, prompts, most, size)
            taken = time.perf_counter() - started
            first = first or responses
            same = sum(one == other for one, other in zip(first, responses, strict=True))
            about = {"seconds": taken, "tokens": sum(map(len, responses)), "same": same / len(prompts)}
            found[f"{name}, {size} at once"] = about
    return found


def theirs(checkpoint: aftertune.Checkpoint, prompts: Sequence[Ids], most: int, size: int) -> list[Ids]:
    return in_batches(prompts, size, lambda batch: respond_as_they_are(checkpoint, batch, most))


def ours(checkpoint: aftertune.Checkpoint, prompts: Sequence[Ids], most: int, size: int) -> list[Ids]:
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    in_order = [prompts[place] for place in order]
    found = in_batches(in_order, size, lambda batch: [list(one) for one in generate(checkpoint, batch, most)])
    back = dict(zip(order, found, strict=True))
    return [back[place] for place in range(len(prompts))]


def in_batches(prompts: Sequence[Ids], size: int, respond: Callable[[list[Ids]], list[Ids]]) -> list[Ids]:
    batches = [list(prompts[start : start + size]) for start in range(0, len(prompts), size)]
    return [one for batch in batches for one in respond(batch)]


def show(rounds: list[dict[str, Any]], n: int) -> None:
    table = Table("", "seconds", "tokens a second", "over theirs", "same", title=f"Greedy responses to {n} prompts")
    for name in rounds[0]:
        own = [one[name] for one in rounds]
        beside = [one[name.replace("ours", "theirs")]["seconds"] for one in rounds]
        seconds = statistics.median(one["seconds"] for one in own)
        rate = statistics.median(one["tokens"] / one["seconds"] for one in own)
        ratio = spread([one["seconds"] / other for one, other in zip(own, beside, strict=True)])
        table.add_row(name, f"{seconds:.1f}", f"{rate:.0f}", ratio, f"{own[0]['same']:.0%}")
    console = Console(width=120)
    console.print(table)
    fewer, more = (f"ours, {size} at once" for size in SIZES)
    console.print("Sixteen over eight:", spread([one[more]["seconds"] / one[fewer]["seconds"] for one in rounds]))


if __name__ == "__main__":
    main()
