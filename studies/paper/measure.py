"""Measure a pair of the paper, or the demo's, as the paper did; every other script here opens what this one writes.

python studies/paper/measure.py llama|mistral|demo RUN [PROMPTS [WORDS [VECTORS]]]
"""

import sys

import aftertune
from aftertune.demo import ADAPTER, find_demo_base

PAIRS = {
    "llama": ("huggyllama/llama-7b", "lmsys/vicuna-7b-v1.1"),
    "mistral": ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-Instruct-v0.1"),
}


def subjects(pair: str) -> tuple[aftertune.Subject, aftertune.Subject]:
    """The base and the tuned checkpoint."""
    if pair == "demo":
        return aftertune.Subject(find_demo_base(), name="base"), aftertune.Subject(
            find_demo_base(), ADAPTER, name="tuned"
        )
    base, tuned = PAIRS[pair]
    return aftertune.Subject(base), aftertune.Subject(tuned)


if __name__ == "__main__":
    pair, run, prompts, words, vectors = (sys.argv[1:] + [None] * 5)[:5]
    given = {"method": "gradient", "words": words, "vectors": vectors, "n_components": 300, "n_words": 15}
    study = aftertune.Study(*subjects(pair), run=run, prompts=prompts, template="raw", max_new_tokens=300, **given)
    aftertune.compare(
        study, progress=lambda stage, done, total: print(f"{stage}: {done:.0f} of {total:.0f}", file=sys.stderr)
    )
