"""What is somebody shown who is to name a tuning by the outputs alone, blind?

The same lines of every pair, the largest differences first, without tests: of "the first" model and "the second".
"""

from collections.abc import Iterator

from aftertune.explainers.outputs.change import OutputChange
from aftertune.explainers.outputs.result import ANSWERS, GENERIC
from aftertune.explainers.outputs.words import DIRECTIONS
from aftertune.runs.readable import quoted, visible

N_INSTRUCTED, N_BEHAVIOURS, N_SAMPLED, N_WORDS, N_ANSWERS, N_SAMPLES = 2, 6, 2, 12, 5, 2
LONGEST = 160
PLACES = {GENERIC: "plain texts", ANSWERS: "answers to everyday prompts"}


def evidence(change: OutputChange) -> list[str]:
    """Lines on what comes with the instruction, behaviour, sampled answers, openings, words, answers and samples."""
    return [
        *_instructed(change),
        *_behaviour(change),
        *_sampled(change),
        *_openings(change),
        *_words(change),
        *_answers(change),
        *_samples(change),
    ]


def _instructed(change: OutputChange) -> Iterator[str]:
    for row in [one for one in change.instructed if one.excess][:N_INSTRUCTED]:
        yield (
            f"Share of answers that are or come {row.trait} to prompts with their instruction: first {row.base:.0%}, "
            f"second {row.tuned:.0%}; to the same prompts without it: first {row.base_without:.0%}, second "
            f"{row.tuned_without:.0%}."
        )


def _behaviour(change: OutputChange) -> Iterator[str]:
    moved = [row for row in change.behaviour if row.difference]
    for row in sorted(moved, key=lambda one: -abs(one.difference) / max(one.base, one.tuned))[:N_BEHAVIOURS]:
        if row.is_share:
            which = row.behaviour.removesuffix(" letters")
            yield f"Share of {row.what} that are {which}: first {row.base:.0%}, second {row.tuned:.0%}."
        else:
            yield f"Mean length of an answer in {row.what}: first {row.base:.1f}, second {row.tuned:.1f}."


def _sampled(change: OutputChange) -> Iterator[str]:
    for row in sorted(change.sampled, key=lambda one: -abs(one.tuned - one.base))[:N_SAMPLED]:
        if row.tuned != row.base:
            yield f"Share of sampled answers that are {row.trait}: first {row.base:.0%}, second {row.tuned:.0%}."


def _openings(change: OutputChange) -> Iterator[str]:
    for row in change.openings:
        how = f"{row.where} with {quoted(row.text, LONGEST)}"
        yield f"Answers that {how}: first {row.n_base} of {row.n_answers}, second {row.n_tuned}."


def _words(change: OutputChange) -> Iterator[str]:
    more, less = ([row.word for row in change.response_words if sign * row.z > 0][:N_WORDS] for sign in (1, -1))
    for how, words in (("more", more), ("less", less)):
        if words:
            yield f"Words that the second uses {how} in its answers: {', '.join(words)}."
    for context, place in PLACES.items():
        for direction in DIRECTIONS:
            where = (context, direction)
            rising = [row.text for row in change.rising_words if (row.context, row.direction) == where]
            moved = [row.text for row in change.words if (row.context, row.direction) == where]
            texts = dict.fromkeys(visible(text.strip() or text) for text in rising or moved)
            if texts:
                yield f"Words that are {direction} with the second in {place}: {', '.join([*texts][:N_WORDS])}."


def _answers(change: OutputChange) -> Iterator[str]:
    differing = [one for one in change.answers if one.parts_at is not None]
    for one in sorted(differing, key=lambda row: -(row.log_ratio or 0.0))[:N_ANSWERS]:
        first, second = (quoted(own, LONGEST) for own in (one.base_text, one.tuned_text))
        yield f"Asked {quoted(one.prompt, LONGEST)}, the first answers {first}; the second: {second}"


def _samples(change: OutputChange) -> Iterator[str]:
    for one in [row for row in change.samples if row.text.strip()][:N_SAMPLES]:
        yield f"Written freely by the second: {quoted(one.text, LONGEST)}"
