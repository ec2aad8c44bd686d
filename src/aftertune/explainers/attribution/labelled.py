"""What labels make of the attributions of a run: other instruction tokens, and ratings of the responses.

Labels come before what the prompt file said; where nobody labelled, that holds. Maps are not computed again: only
which of their prompt tokens belong to the instruction.
"""

from collections.abc import Sequence
from dataclasses import replace

from aftertune.explainers.attribution.maps import SalientMap
from aftertune.explainers.attribution.released import mark_instruction
from aftertune.explainers.attribution.result import Attribution
from aftertune.labelling.labels import Labels
from aftertune.prompts.prompt import Prompt, find_rating


def labelled_maps(
    found: Sequence[Attribution], prompts: Sequence[Prompt], role: str, name: str, labels: Labels
) -> list[SalientMap]:
    """The maps of the attributions that were ``found`` under ``role``, one for each prompt, under the model's name."""
    return [_map(one, prompt, role, name, labels) for one, prompt in zip(found, prompts, strict=True)]


def _map(one: Attribution, prompt: Prompt, role: str, name: str, labels: Labels) -> SalientMap:
    rating, spans = labels.rating(prompt.id, role), labels.spans(prompt.id)
    if spans is not None:
        marked = replace(prompt, spans=spans)
        one = replace(one, is_instruction=mark_instruction(one.text, one.offsets, one.is_user, marked))
    helpfulness = find_rating(prompt.ratings, name) if rating is None else rating
    return one.to_map(prompt.id, prompt.dataset, name, helpfulness)
