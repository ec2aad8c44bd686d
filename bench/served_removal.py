"""How far is removal through a server from removal on the same weights here?

Takes a run of served models and the GGUF file that one of them served: every response of the run is attributed once
more, by transformers in float32, and held against the map that came through the server.

    python bench/served_removal.py RUN GGUF [ROLE]
"""

import sys

import numpy as np
from scipy.stats import spearmanr

import aftertune
from aftertune.explainers.attribution.attribute import encode_for
from aftertune.explainers.attribution.importance.routes import attribute_batch
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, PROMPTS
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.attribution.work.asked import with_response
from aftertune.prompts.prompt import SavedPrompts
from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder


def main(address: str, gguf: str, role: str = "base") -> None:
    run, checkpoint = RunFolder.open(address), aftertune.load(gguf)
    template = run.read_json("attribution.json")["identity"]["template"]
    for prompt in record_of(run, PROMPTS, SavedPrompts)["prompts"]:
        served = Attribution.from_row(run.read(run.part(ATTRIBUTIONS, role, prompt.id)))
        item = with_response(role, encode_for(checkpoint, prompt, template, prompt.response), run)
        (here,) = attribute_batch(checkpoint, [item], "removal")
        print(prompt.id, *compared(here, served))


def compared(here: Attribution, served: Attribution) -> tuple[str, ...]:
    """Correlations over all numbers of the map, largest differences of importance and probability, and scores."""
    assert here.prompt_tokens == served.prompt_tokens and here.response_tokens == served.response_tokens
    rank = spearmanr(here.importance.ravel(), served.importance.ravel()).statistic
    plain = np.corrcoef(here.importance.ravel(), served.importance.ravel())[0, 1]
    top = np.mean(here.importance.argmax(0) == served.importance.argmax(0))
    far = np.abs(here.importance - served.importance).max()
    p = np.abs(here.probability - served.probability).max()
    numbers = {"correlation": plain, "rank correlation": rank, "same top": top, "importance off by": far, "p off by": p}
    scores = f"score {here.score():.3f} here, {served.score():.3f} served"
    return *(f"{name} {value:.3f}," for name, value in numbers.items()), scores


if __name__ == "__main__":
    main(*sys.argv[1:])
