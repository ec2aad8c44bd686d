"""What may a report claim that asks many questions at once?

1. A claim needs one or more tests; the largest of their p-values is the claim's own, so all of them must be small.
2. Holm's correction is made once, over all claims of a report, of whichever table. So a report on two models that do
   not differ claims anything at all at most once in twenty times.
3. From the corrected p-values each question tells its findings. A claim is shown below 0.05.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aftertune.statistics.corrections import holm
from aftertune.statistics.finding import Finding
from aftertune.statistics.spread import ALPHA

PValues = Sequence[float | None]
NEVER = 1.0  # the p-value of a claim that something other than a test speaks against


@dataclass(frozen=True)
class Question:
    """A question with the p-values of the claims that its answer may hold, None for one that cannot be tested.

    ``tell`` takes the same p-values, corrected for all that the report asks, and gives the findings.
    """

    p_values: PValues
    tell: Callable[[PValues], Sequence[Finding]]


def answer(questions: Iterable[Question]) -> list[Finding]:
    """The findings of all questions of one report, corrected for asking all of them."""
    return answer_together([list(questions)])[0]


def answer_together(reports: Sequence[Sequence[Question]]) -> list[list[Finding]]:
    """The findings of each of several reports, corrected for all that is asked in any of them."""
    corrected = iter(holm([p for questions in reports for question in questions for p in question.p_values]))
    return [
        [finding for one in questions for finding in one.tell([next(corrected) for _ in one.p_values])]
        for questions in reports
    ]


def described(findings: Sequence[Finding]) -> Question:
    """Findings that describe and claim nothing, among the questions."""
    return Question((), lambda _: findings)


def largest(*p_values: float | None) -> float | None:
    """The p-value of a claim that needs all of these tests; None if one of them was not possible."""
    known = [p for p in p_values if p is not None]
    return max(known) if known and len(known) == len(p_values) else None


def is_shown(corrected: float | None) -> bool | None:
    """Whether a claim with this corrected p-value is made; None where it was not tested."""
    return None if corrected is None else corrected < ALPHA


def corrected_by(corrected: float | None) -> str:
    """The sentence on a claim's corrected p-value."""
    return f"Corrected for all that this report asks, p = {corrected:.2g}." if corrected is not None else ""
