"""Does an instruction decide the form of the tuned model's answers as it does not decide that of the base's?

1. Both models answer a prompt as it is, and without its marked instruction. Each answer is judged by its form, its
   language and script, whether it is short, and whether a content word of the instruction comes back in it.
2. Of each trait and prompt: how much more the tuned model's answer has it with the instruction than without, less the
   same of the base. A model that always answers in French does not answer in French because it is asked to.
3. A permutation test: base and tuned are swapped within prompts, and the largest mean of any trait is taken each time,
   so that it holds for all of them. Prompts of which the same text is left count once, by their mean: without the
   instruction their answers are the same.
It tells what these two models do on these prompts. Where all hold one request any change of weights may move what they
do with it; so a claim needs a third of the answers besides (`findings`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from aftertune.explainers.outputs.behaviour import (
    HALF,
    JUDGES,
    SAME_LETTERS,
    Answer,
    Judge,
    is_about,
    share_of_capitals,
)
from aftertune.explainers.outputs.formats import FORMATS
from aftertune.explainers.outputs.response_words import words_of
from aftertune.explainers.outputs.sampled import TRAITS
from aftertune.explainers.outputs.words import Array
from aftertune.statistics.spread import means_by
from aftertune.statistics.tests import largest_sign_permutation

ABOUT = "about the instruction (a word of it comes back)"
SHARES = ("base", "base_without", "tuned", "tuned_without")
FORMS: dict[str, Judge] = {
    "in capital letters": lambda one: share_of_capitals(one.text) >= HALF,
    **{name: JUDGES[name][1] for name in FORMATS},
    **TRAITS,
}


class FourAnswers(NamedTuple):
    """Both models' answers to a prompt, and to the same prompt without its ``instruction``."""

    instruction: str
    base: Answer
    base_without: Answer
    tuned: Answer
    tuned_without: Answer

    @property
    def of_models(self) -> tuple[Answer, ...]:
        """The answers alone, in the order of `SHARES`."""
        return self[1:]


@dataclass(frozen=True)
class InstructedRow:
    """A trait of answers to ``n_prompts`` prompts, as they are and ``without`` their instruction.

    The four numbers are shares of answers. ``excess`` is (tuned - tuned_without) - (base - base_without), the mean over
    prompts, those of which the same text is left counted once. ``beyond_swaps``: it exceeds that of any trait in 95 %
    of swaps; None where swaps can't tell. ``request`` is the instruction of all prompts, "" where they differ.
    ``answer`` and ``answer_without`` are the tuned model's with and without the ``instruction`` of a prompt of which
    ``left`` is left, where that changes the trait; "" where there is none.
    """

    trait: str
    n_prompts: int
    base: float
    base_without: float
    tuned: float
    tuned_without: float
    excess: float
    beyond_swaps: bool | None
    request: str = ""
    instruction: str = ""
    left: str = ""
    answer: str = ""
    answer_without: str = ""


def compare_instructed(answers: Sequence[FourAnswers], seed: int = 0) -> tuple[list[InstructedRow], float | None]:
    """A row for each trait of any answer, the largest |excess| first, and the p-value of the largest.

    It is None where fewer than 6 prompts have an excess of any trait.
    """
    judged = {trait: found for trait, found in _judged(answers) if found.any()} if answers else {}
    if not judged:
        return [], None
    excess_of_prompts = np.stack([found @ (-1, 1, 1, -1) for found in judged.values()], axis=1)
    excess = means_by([one.base_without.prompt for one in answers], excess_of_prompts)
    test = largest_sign_permutation(excess, seed)
    limit = None if test is None else test.limit
    requests = {one.instruction for one in answers}
    request = requests.pop() if len(requests) == 1 else ""
    means = excess.mean(0).tolist()
    rows = [
        _row(trait, judged[trait], mean, limit, request, answers) for trait, mean in zip(judged, means, strict=True)
    ]
    return sorted(rows, key=lambda row: -abs(row.excess)), None if test is None else test.p_value


def _judged(answers: Sequence[FourAnswers]) -> Iterator[tuple[str, Array]]:
    """Each trait, and whether each answer has it (n, 4)."""
    half = max(len(one.ids) for four in answers for one in four.of_models) // 2
    forms = FORMS | {f"short (at most {half} tokens)": lambda one: len(one.ids) <= half}
    for trait, judge in forms.items():
        yield trait, np.array([[float(judge(one)) for one in four.of_models] for four in answers])
    yield ABOUT, np.array([_about_instruction(four) for four in answers])


def _row(
    trait: str, found: Array, excess: float, limit: float | None, request: str, answers: Sequence[FourAnswers]
) -> InstructedRow:
    beyond = None if limit is None else abs(excess) > limit
    base, base_without, tuned, tuned_without = found.mean(0).tolist()
    row = InstructedRow(trait, len(answers), base, base_without, tuned, tuned_without, excess, beyond, request)
    changed = (found[:, 2] - found[:, 3]) * np.sign(excess)
    if changed.max() <= 0:
        return row
    one = answers[int(np.argmax(changed))]
    return replace(
        row,
        instruction=one.instruction,
        left=one.tuned_without.asked,
        answer=one.tuned.text,
        answer_without=one.tuned_without.text,
    )


def _about_instruction(answers: FourAnswers) -> list[float]:
    """Of each answer, whether a content word comes back that stands in the instruction alone."""
    kept = {word[:SAME_LETTERS] for word in words_of(answers.base_without.asked)}
    asked = " ".join(word for word in words_of(answers.instruction) if word[:SAME_LETTERS] not in kept)
    return [float(is_about(replace(one, asked=asked))) for one in answers.of_models]
