"""What does a run hold of how a model's responses depend on their prompts?

1. The prompts of the run, once for all models, and what people said of them (`aftertune.labelling`).
2. The attribution of each prompt under one role; labels come before what the prompt file said, and where nobody
   labelled, that holds. Maps are not computed again: only which of their tokens belong to the instruction. What
   leaving the instruction out did is not said where people marked another.
3. Two such readings compared, with what the base makes of the tuned model's responses.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aftertune.errors import PromptError, RunError
from aftertune.explainers.attribution.change import AttributionChange, LabelCounts, PromptDifference, compare_maps
from aftertune.explainers.attribution.difference import AttributionDifference
from aftertune.explainers.attribution.faithfulness import rater_rows, summarise_agreement, summarise_faithfulness
from aftertune.explainers.attribution.instruction.effect import BothFalls, instruction_rows
from aftertune.explainers.attribution.released import mark_instruction
from aftertune.explainers.attribution.result import Agreement, Attribution, Faithfulness, SalientMap
from aftertune.labelling.labels import Labels
from aftertune.labelling.store import read_labels
from aftertune.prompts.instruction import locate_spans
from aftertune.prompts.prompt import Prompt, SavedPrompts, find_rating
from aftertune.runs.held import Held
from aftertune.runs.records import OfIds, identity_of, record_of
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

PROMPTS = "prompts.json"
SETTINGS = "attribution.json"
RESPONSES, ATTRIBUTIONS, SHARED = "attribution-responses", "attribution", "attribution-shared"


@dataclass(frozen=True, eq=False)
class AttributionReading:
    """What a run holds of the model of one ``role``, which the report calls ``model``.

    ``maps`` (n_prompts) have people's ``labels`` in them already, as the ``attributions`` that they are made from.
    ``agreements`` are those of the maps that were held against removal, ``faithfulnesses`` of those that were held
    against replaced words. ``prompts`` and ``labels`` are those of the run, ``settings`` say how it was measured. The
    prompts ``overflowed`` (ids) are left out: one of the run's models gave numbers for them that are not finite.
    """

    role: str
    model: str
    maps: tuple[SalientMap, ...]
    attributions: tuple[Attribution, ...]
    agreements: tuple[Agreement, ...]
    faithfulnesses: tuple[Faithfulness, ...]
    prompts: tuple[Prompt, ...]
    labels: Labels
    settings: dict[str, Any]
    overflowed: tuple[str, ...] = ()


def read_attribution(held: Held, role: str) -> AttributionReading:
    """The reading of a role, read once; raises `RunError` if it is not complete, or damaged."""
    return held.once(("attribution", role), lambda: _read(held, role))


def compare_readings(
    base: AttributionReading,
    tuned: AttributionReading,
    shared: Mapping[str, Attribution] | None = None,
    n_beyond: int = 0,
) -> AttributionChange:
    """How two models of one run differ, with how far its maps and its labels can be trusted.

    ``shared`` are the base's attributions of the tuned model's responses, by the ids of prompts; ``n_beyond``
    of these it can't read.
    """
    pair = base, tuned
    agreement = summarise_agreement({one.model: one.agreements for one in pair})
    faithfulness = summarise_faithfulness({one.model: one.faithfulnesses for one in pair})
    maps = [*base.maps, *tuned.maps]
    given = {prompt.id for prompt in base.prompts if prompt.response is not None}
    found = compare_maps(
        maps,
        base.model,
        tuned.model,
        agreement=agreement,
        faithfulness=faithfulness,
        settings=base.settings,
        given=given,
    )
    ratings = base.labels.judged_ratings([one.role for one in pair])
    raters = rater_rows(ratings, base.labels.judged_characters(base.prompts))
    differences = tuple(_differences(base, tuned, shared or {}))
    labels = _label_counts(base, [one.role for one in pair])
    overflowed = {*base.overflowed, *(id for id, one in (shared or {}).items() if not one.is_finite)}
    return replace(
        found,
        raters=raters,
        labels=labels,
        differences=differences,
        n_beyond=n_beyond,
        overflowed=tuple(sorted(overflowed)),
        instruction=instruction_rows(list(_instruction_falls(base, tuned))),
    )


def read_shared(run: RunFolder, pair: Pair, ids: Sequence[str]) -> dict[str, Attribution]:
    """What the base made of the tuned model's responses, as far as it is in a run."""
    parts = {id: run.part(SHARED, "-".join(pair), id) for id in ids}
    return {id: Attribution.from_row(run.read(part)) for id, part in parts.items() if run.exists(*part)}


def beyond_file(pair: Pair) -> str:
    """The file with the ids of prompts whose tuned response the base can't read."""
    return f"attribution-beyond-{'-'.join(pair)}.json"


def beyond_base(run: RunFolder, pair: Pair) -> set[str]:
    """The ids of prompts whose tuned response holds tokens that the base has not, so that it can't read it."""
    name = beyond_file(pair)
    return set(record_of(run, name, OfIds)["ids"]) if run.exists(name) else set()


def _instruction_falls(base: AttributionReading, tuned: AttributionReading) -> Iterator[BothFalls]:
    """Of prompts whose instruction was left out under both models."""
    for salient, before, after in zip(base.maps, base.attributions, tuned.attributions, strict=True):
        if before.instruction and after.instruction:
            yield BothFalls(salient.dataset, salient.instruction, before.instruction, after.instruction)


def _differences(
    base: AttributionReading, tuned: AttributionReading, shared: Mapping[str, Attribution]
) -> Iterator[PromptDifference]:
    """Of prompts whose tuned response the base read too, as its own or beside it."""
    for prompt, own, other, salient in zip(
        base.prompts, base.attributions, tuned.attributions, tuned.maps, strict=True
    ):
        read = own if prompt.response is not None else shared.get(prompt.id)
        if read is not None and read.is_finite and other.importance.size:
            marked = replace(read, is_instruction=other.is_instruction)
            yield PromptDifference(prompt.id, salient.dataset, AttributionDifference(marked, other))


def _read(held: Held, role: str) -> AttributionReading:
    run, name = held.run, held.names[role]
    prompts, overflowed = held.once("attribution: prompts", lambda: _finite_prompts(held))
    labels = held.once("attribution: labels", lambda: read_labels(run))
    read = _parts_of(held, role)
    found = [_labelled(read[prompt.id], prompt, labels) for prompt in prompts]
    maps = (_map_of(one, prompt, role, name, labels) for one, prompt in zip(found, prompts, strict=True))
    return AttributionReading(
        role=role,
        model=name,
        maps=tuple(maps),
        attributions=tuple(found),
        agreements=tuple(one.agreement for one in found if one.agreement),
        faithfulnesses=tuple(one.faithfulness for one in found if one.faithfulness),
        prompts=prompts,
        labels=labels,
        settings=identity_of(run, SETTINGS, dict[str, Any]),
        overflowed=overflowed,
    )


def _finite_prompts(held: Held) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """The prompts of the run, and the ids of those that are left out since the numbers of a model are not finite.

    Raises `RunError` if that is all of them.
    """
    prompts = _read_prompts(held.run)
    overflowed = {id for role in held.names for id, one in _parts_of(held, role).items() if not one.is_finite}
    if prompts and len(overflowed) == len(prompts):
        raise RunError(
            f"None of the {len(prompts)} prompts in {held.run.address} has finite numbers under all models: their "
            "probabilities overflow. Compare the models in float32, in a new folder."
        )
    return tuple(one for one in prompts if one.id not in overflowed), tuple(sorted(overflowed))


def _read_prompts(run: RunFolder) -> tuple[Prompt, ...]:
    return record_of(run, PROMPTS, SavedPrompts)["prompts"]


def _parts_of(held: Held, role: str) -> dict[str, Attribution]:
    ids = [prompt.id for prompt in _read_prompts(held.run)]
    return held.once(("attribution: parts", role), lambda: _read_parts(held.run, role, ids))


def _read_parts(run: RunFolder, role: str, ids: Sequence[str]) -> dict[str, Attribution]:
    parts = {id: run.part(ATTRIBUTIONS, role, id) for id in ids}
    missing = sum(not run.exists(*part) for part in parts.values())
    if missing:
        raise RunError(
            f"{missing} of {len(parts)} prompts are not measured yet for {role} in {run.address}. "
            "Start the same comparison again; it goes on where it stopped."
        )
    return {id: Attribution.from_row(run.read(part)) for id, part in parts.items()}


def _labelled(one: Attribution, prompt: Prompt, labels: Labels) -> Attribution:
    spans = labels.spans(prompt.id)
    if spans is None:
        return one
    try:
        locate_spans(spans, prompt.messages)
    except PromptError as error:
        raise RunError(f"The labels of {prompt.id!r} do not fit its text: {error} Take them out of labels/.") from error
    marked = replace(prompt, spans=spans)
    is_instruction = mark_instruction(one.text, one.offsets, one.is_user, marked)
    left_out = one.instruction if (is_instruction == one.is_instruction).all() else None
    return replace(one, is_instruction=is_instruction, instruction=left_out)


def _map_of(one: Attribution, prompt: Prompt, role: str, name: str, labels: Labels) -> SalientMap:
    rating = labels.rating(prompt.id, role)
    helpfulness = find_rating(prompt.ratings, name) if rating is None else rating
    return one.to_map(prompt.id, prompt.dataset, name, helpfulness)


def _label_counts(reading: AttributionReading, roles: Sequence[str]) -> LabelCounts:
    labels, prompts = reading.labels, reading.prompts
    marked = [labels.spans(prompt.id) is not None for prompt in prompts]
    return LabelCounts(
        n_prompts=len(prompts),
        n_unmarked=sum(prompt.spans is None and not one for prompt, one in zip(prompts, marked, strict=True)),
        n_responses=len(prompts) * len(roles),
        n_rated=sum(labels.rating(prompt.id, role) is not None for prompt in prompts for role in roles),
        n_marked=sum(marked),
        raters=tuple(labels.raters),
    )
