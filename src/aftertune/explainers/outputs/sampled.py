"""Do sampled answers have a language or a format that greedy ones hide?  No torch.

A tuning that was learned in part shows in some answers only: where half of its examples were in French, all greedy
answers may be in English while a third of the sampled ones are in French.

1. Some answers of each model to each prompt are sampled from its own probabilities (temperature 1).
2. They are judged by language, script and format alone. Tuning on a base's own greedy answers makes sampled
   ones more like them (to the point, at length, in one language), which is no trait of what was tuned. So a trait
   counts only as far as the tuned model has it more than the base's greedy answers too.
3. Two-sided permutation of signs within pairs of the same prompt and number: given the prompt, each pair is drawn anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aftertune.explainers.outputs.behaviour import (
    HALF,
    JUDGES,
    LANGUAGES,
    SCRIPTS,
    Answer,
    Judge,
    paired_p_value,
    share_of_script,
)

GREEDY = ("a list", "with a block of code", "written as JSON", *(f"in {language}" for language in LANGUAGES))


def _mostly(script: str) -> Judge:
    return lambda one: share_of_script(one.text, script) >= HALF


TRAITS: Mapping[str, Judge] = {
    **{trait: JUDGES[trait][1] for trait in GREEDY},
    **{f"mostly {script} letters": _mostly(script) for script in SCRIPTS},
}


@dataclass(frozen=True)
class SampledRow:
    """A trait of ``n`` sampled answers of each model: the share of answers that have it.

    ``greedy`` is the share of the base's greedy answers. ``p_value`` is that of ``tuned`` against ``base``; None where
    fewer than 6 pairs differ. ``example`` is a sampled answer of the tuned model that has it, the longest.
    """

    trait: str
    n: int
    greedy: float
    base: float
    tuned: float
    p_value: float | None
    example: str

    @property
    def excess(self) -> float:
        """By how much the tuned model's share exceeds both of the base's."""
        return self.tuned - max(self.base, self.greedy)


def compare_sampled(base: Sequence[Answer], tuned: Sequence[Answer], greedy: Sequence[Answer]) -> list[SampledRow]:
    """A row for each trait that a sampled answer of either model has; ``greedy`` are the base's greedy answers."""
    rows = [_row(trait, base, tuned, greedy) for trait in TRAITS if base and greedy]
    return [row for row in rows if row.base or row.tuned]


def _row(trait: str, base: Sequence[Answer], tuned: Sequence[Answer], greedy: Sequence[Answer]) -> SampledRow:
    before, after, plain = (np.array([float(TRAITS[trait](one)) for one in own]) for own in (base, tuned, greedy))
    shares = float(plain.mean()), float(before.mean()), float(after.mean())
    example = max((one.text for one, has in zip(tuned, after, strict=True) if has), key=len, default="")
    return SampledRow(trait, len(after), *shares, paired_p_value(before, after), example)
