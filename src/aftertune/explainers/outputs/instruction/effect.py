"""Does an instruction decide the form of the tuned model's answers as it does not decide that of the base's?

1. Both models answer a prompt as it is, and without its marked instruction. Each answer is judged by its form, its
   language and script, its length, and whether a content word of the instruction comes back in it.
2. Of each trait and prompt: how much more the tuned model's answer has it with the instruction than without, less the
   same of the base. A model that always answers in French does not answer in French because it is asked to.
3. A permutation test: base and tuned are swapped within prompts, and the largest mean of any trait is taken each time,
   so that it holds for all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from aftertune.explainers.outputs.behaviour import HALF, LENGTH, Answer, is_about, share_of_capitals
from aftertune.explainers.outputs.formats import FORMATS
from aftertune.explainers.outputs.response_words import words_of
from aftertune.explainers.outputs.sampled import TRAITS
from aftertune.explainers.outputs.words import Array
from aftertune.statistics.tests import largest_sign_permutation

ABOUT = "about the instruction (a word of it comes back)"
LENGTHS = "length"
SIDES = ("base", "base_without", "tuned", "tuned_without")


class FourAnswers(NamedTuple):
    """Both models' answers to a prompt, and to the same prompt without its ``instruction``."""

    instruction: str
    base: Answer
    base_without: Answer
    tuned: Answer
    tuned_without: Answer

    @property
    def of_models(self) -> tuple[Answer, ...]:
        """The answers alone, in the order of `SIDES`."""
        return self[1:]


@dataclass(frozen=True)
class InstructedRow:
    """A trait of answers to ``n`` prompts, as they are and ``without`` their instruction.

    The four numbers are shares of answers, or mean tokens (``what``). ``excess`` is (tuned - tuned_without) - (base -
    base_without), the mean over prompts; of tokens it is a share of the longest answer. ``beyond_swaps``: it exceeds
    that of any trait in 95 % of swaps; None where swaps can't tell. ``answer`` and ``answer_without`` are the tuned
    model's to a ``prompt`` whose instruction changes the trait; "" where there is none. ``request`` is the instruction
    of all prompts, "" where they differ.
    """

    trait: str
    what: str
    n: int
    base: float
    base_without: float
    tuned: float
    tuned_without: float
    excess: float
    beyond_swaps: bool | None
    prompt: str = ""
    answer: str = ""
    answer_without: str = ""
    request: str = ""


Judges = Mapping[str, Callable[[FourAnswers], tuple[float, ...]]]


def compare_instructed(answers: Sequence[FourAnswers], seed: int = 0) -> tuple[list[InstructedRow], float | None]:
    """A row for each trait of any answer, the largest |excess| first, and the p-value of the largest.

    It is None where fewer than 6 prompts have an excess of any trait.
    """
    judged = {trait: np.array([judge(one) for one in answers], dtype=float) for trait, judge in JUDGES.items()}
    used = {trait: found for trait, found in judged.items() if found.any()} if answers else {}
    if not used:
        return [], None
    excess = np.stack([_excess(trait, found) for trait, found in used.items()], axis=1)
    test = largest_sign_permutation(excess, seed)
    limit = None if test is None else test.limit
    rows = [_row(trait, found, own, limit, answers) for (trait, found), own in zip(used.items(), excess.T, strict=True)]
    return sorted(rows, key=lambda row: -abs(row.excess)), None if test is None else test.p_value


def _excess(trait: str, found: Array) -> Array:
    """Of each prompt (n,) of the four judgements (n, 4)."""
    base, base_without, tuned, tuned_without = found.T / (found.max() if trait == LENGTHS else 1.0)
    excess: Array = (tuned - tuned_without) - (base - base_without)
    return excess


def _row(trait: str, found: Array, excess: Array, limit: float | None, answers: Sequence[FourAnswers]) -> InstructedRow:
    mean, what = float(excess.mean()), LENGTH if trait == LENGTHS else "answers"
    beyond = None if limit is None else bool(abs(mean) > limit)
    changed = (found[:, 2] - found[:, 3]) * np.sign(mean)
    one = answers[int(np.argmax(changed))]
    shown = (one.tuned.asked, one.tuned.text, one.tuned_without.text) if changed.max() > 0 else ("", "", "")
    base, base_without, tuned, tuned_without = found.mean(0).tolist()
    numbers = (base, base_without, tuned, tuned_without, mean, beyond)
    return InstructedRow(trait, what, len(answers), *numbers, *shown, _request(answers))


def _request(answers: Sequence[FourAnswers]) -> str:
    """The instruction of all prompts; "" where they differ."""
    texts = {one.instruction for one in answers}
    return texts.pop() if len(texts) == 1 else ""


def _each(judge: Callable[[Answer], float]) -> Callable[[FourAnswers], tuple[float, ...]]:
    return lambda answers: tuple(float(judge(one)) for one in answers.of_models)


def _about_instruction(answers: FourAnswers) -> tuple[float, ...]:
    """Whether a content word comes back that stands in the instruction alone."""
    kept = set(words_of(answers.base_without.asked))
    asked = " ".join(word for word in words_of(answers.instruction) if word not in kept)
    return tuple(float(is_about(replace(one, asked=asked))) for one in answers.of_models)


JUDGES: Judges = {
    LENGTHS: _each(lambda one: len(one.ids)),
    ABOUT: _about_instruction,
    "in capital letters": _each(lambda one: share_of_capitals(one.text) >= HALF),
    **{name: _each(lambda one, test=test: test(one.text)) for name, test in FORMATS.items()},  # type: ignore[misc]
    **{name: _each(judge) for name, judge in TRAITS.items() if name not in FORMATS},
}
