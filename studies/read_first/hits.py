"""How often is each reason to read a prompt first right?  On maps whose responses people rated.

    python studies/read_first/hits.py MAPS PROMPTS [MODEL [BASE [MOST_TOKENS]]]

MAPS is the paper's released maps as Parquet, PROMPTS their prompts with ratings; MODEL is the rated model. Ratings are
left aside for the reasons and then looked up: one was right where a person had rated the response 1, not following.
MOST_TOKENS were asked for at most (300 in the paper).
"""

import sys
from dataclasses import replace

import aftertune
from aftertune.explainers.attribution.change import compare_maps
from aftertune.explainers.attribution.map_file import read_maps
from aftertune.explainers.attribution.read_first import REASONS, answers_of
from aftertune.explainers.attribution.released import locate


def hits(maps_file, prompts_file, model="vicuna_7b", base="llama_7b", most_tokens=300):
    """How many responses that give each reason were rated 1, and how many were rated: by reason, and of "all"."""
    prompts = {prompt.id: prompt for prompt in aftertune.read_prompts(str(prompts_file))}
    maps = [locate(raw, prompts[raw.id]) for raw in read_maps(maps_file)]
    rating = {one.id: one.helpfulness for one in maps if one.model == model and one.helpfulness is not None}
    unrated = [replace(one, helpfulness=None) for one in maps]
    change = compare_maps(unrated, base, model, settings={"max_new_tokens": int(most_tokens)})
    answers = [one for one in answers_of(change.instances, "tuned") if one.id in rating]
    listed = {name: [one for one in answers if name in one.reasons] for name in REASONS} | {"all": answers}
    listed["any reason"] = [one for one in answers if one.reasons]
    return {name: (sum(rating[one.id] == 1 for one in found), len(found)) for name, found in listed.items() if found}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for name, (right, n) in hits(*sys.argv[1:]).items():
        print(f"{name:<22}{right:>4} of {n:>4} rated 1 ({right / n:.0%})")
