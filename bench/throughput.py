"""A data set from prompts to scores: responses, attribution and scoring, and responses beside transformers' own.

1. ``--sample`` prompts, spread evenly over the file by their length.
2. Responses by transformers' `generate`, in batches of sixteen in the file's order, as one would write it; then ours:
   sorted by length, then in batches. ``--repeats`` times, in turn; 0 leaves this out.
3. Attribution of ours, prompt by prompt, into a run folder, and its scores.
4. The time of the whole file: that of the sample times what the whole costs by count (min(N, M) x (N + M)),
   with responses of the sample's mean length.
"""

import json
import statistics
import tempfile
import time

import torch
from rich.console import Console
from rich.table import Table

import aftertune
from aftertune.demo import find_demo_base
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.chunks import RESPONSES_AT_ONCE
from aftertune.explainers.attribution.measure import AttributionWork, sample
from aftertune.explainers.attribution.settings import AttributionSettings
from aftertune.explainers.attribution.work.cost import relative_cost
from aftertune.explainers.explainer import Inputs
from aftertune.models.generation import generate
from aftertune.prompts import read_prompts
from aftertune.runs.run import RunFolder
from bench.shared import of_responses, spread


def main() -> None:
    parser = of_responses(str(__doc__), "throughput", sample=16, most=300)
    parser.add_argument("--prompts", required=True, help="as aftertune compare --prompts")
    settings = parser.parse_args()
    checkpoint = aftertune.load(find_demo_base(), device="cpu")
    prompts = read_prompts(settings.prompts)
    encoded = {prompt.id: encode_for(checkpoint, prompt, "raw", None) for prompt in prompts}
    by_length = sorted(prompts, key=lambda prompt: len(encoded[prompt.id].ids))
    kept = {prompt.id for prompt in sample(by_length, settings.sample)}
    chosen = [prompt for prompt in prompts if prompt.id in kept]
    ids = [encoded[prompt.id].ids.tolist() for prompt in chosen]
    rounds = [respond_both(checkpoint, ids, settings.max_new_tokens) for _ in range(settings.repeats)]
    results = {"n_prompts": len(prompts), "n_sample": len(chosen), "rounds": rounds}
    results |= attribute_and_score(checkpoint, chosen, settings.max_new_tokens)
    mean = round(statistics.mean(results["n_response"]))
    whole = sum(relative_cost(len(item.ids), mean) for item in encoded.values())
    part = sum(map(relative_cost, results["n_prompt"], results["n_response"]))
    results["attribution_of_all"] = results["attribution"] * whole / part
    settings.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results)


def respond_both(checkpoint, ids: list[list[int]], most: int) -> dict:
    """Seconds and tokens of transformers' generation in the file's order, and of ours."""
    started = time.perf_counter()
    theirs = [row for batch in batches(ids) for row in respond_as_they_are(checkpoint, batch, most)]
    between = time.perf_counter()
    ours = [row for batch in batches(sorted(ids, key=len)) for row in generate(checkpoint, batch, most)]
    ended = time.perf_counter()
    n = {"their_tokens": sum(map(len, theirs)), "our_tokens": sum(map(len, ours))}
    found = {"theirs": between - started, "ours": ended - between} | n
    print(json.dumps(found), flush=True)
    return found


def batches(ids: list[list[int]]) -> list[list[list[int]]]:
    return [ids[start : start + RESPONSES_AT_ONCE] for start in range(0, len(ids), RESPONSES_AT_ONCE)]


def respond_as_they_are(checkpoint, batch: list[list[int]], most: int) -> list[list[int]]:
    tokenizer = checkpoint.tokenizer
    tokenizer.padding_side = "left"
    given = tokenizer.pad({"input_ids": batch}, return_tensors="pt")
    with torch.no_grad():
        out = checkpoint.model.generate(**given, max_new_tokens=most, do_sample=False)
    new = out[:, given["input_ids"].shape[1] :].tolist()
    stop = tokenizer.eos_token_id
    return [row[: row.index(stop)] if stop in row else row for row in new]


def attribute_and_score(checkpoint, prompts: list, most: int) -> dict:
    begun: dict[str, float] = {}
    took: dict[str, float] = {}

    def progress(what: str, done: float, total: float) -> None:
        begun.setdefault(what, time.perf_counter())
        took[what] = time.perf_counter() - begun[what]
        print(f"{what}: {done / total:.1%} after {took[what]:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.start(f"{folder}/run", {}, {})
        work = AttributionWork(AttributionSettings(check=0), Inputs(prompts, max_new_tokens=most))
        work.measure(checkpoint, "base", run, progress)
        rows = [run.read(run.part("attribution", "base", prompt.id)) for prompt in prompts]
    maps = [aftertune.Attribution.from_row(row) for row in rows]
    started = time.perf_counter()
    for one in maps:
        one.score()
    scoring = time.perf_counter() - started
    return {
        "n_prompt": [len(one.prompt_tokens) for one in maps],
        "n_response": [len(one.response_tokens) for one in maps],
        "responses": took["responses"],
        "attribution": took["attribution"],
        "scoring": scoring,
    }


def show(results: dict) -> None:
    console, rounds = Console(width=120), results["rounds"]
    table = Table("", "seconds", "tokens a second", title=f"{results['n_sample']} of {results['n_prompts']} prompts")
    for name, tokens in (("theirs", "their_tokens"), ("ours", "our_tokens")) if rounds else ():
        seconds = statistics.median(one[name] for one in rounds)
        rate = statistics.median(one[tokens] / one[name] for one in rounds)
        table.add_row(f"responses, {name}", f"{seconds:.1f}", f"{rate:.0f}")
    for name in ("responses", "attribution", "scoring"):
        table.add_row(name, f"{results[name]:.1f}", "")
    table.add_row("attribution of all, computed", f"{results['attribution_of_all']:.0f}", "")
    console.print(table)
    if rounds:
        console.print("ours over theirs:", spread([one["ours"] / one["theirs"] for one in rounds]))


if __name__ == "__main__":
    main()
