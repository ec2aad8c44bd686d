"""What does the comparison of prompts show, in sentences?

1. Table 2 (data sets, then pooled): a test within prompts decides (`density_findings`), and so it does of how far
   responses depend on their whole instruction, where one is marked (`instruction`).
2. Table 1: a difference is claimed only where both Welch's two-sided test and a permutation test within data sets give
   a small p-value, corrected for all that the report asks, and of instructions only where the same holds for their
   excess over any words of the prompt (`controls`). The paper's test, one-sided, decides nothing. Everywhere else the
   sentence says that none was found, and in a small sample which one could have been found.
3. Everything else is described, not tested (`descriptive_findings`, `read_first`).
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeVar

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.controls import Table1Control, Table2Control
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
from aftertune.explainers.attribution.density_findings import (
    between,
    joined,
    of_instruction_corrected,
    tell_density,
    where,
    why_nothing_is_claimed,
)
from aftertune.explainers.attribution.descriptive_findings import (
    describe_agreement,
    describe_answered,
    describe_difference,
    describe_faithfulness,
    describe_overflow,
    describe_positions,
    describe_rater,
    describe_repetition,
)
from aftertune.explainers.attribution.instruction.findings import tell_instruction
from aftertune.explainers.attribution.read_first import prompts_to_read
from aftertune.statistics.effects import detectable_effect
from aftertune.statistics.finding import Finding, Measure, Verdict
from aftertune.statistics.questions import Question, described, is_shown, largest
from aftertune.statistics.spread import ALPHA

Pooled = TypeVar("Pooled", Table2Row, Table2Control)
SMALL_SAMPLE = 20
NUMBERS = (
    *("difference", "difference_interval", "effect_size_g", "auroc", "auroc_interval"),
    *("p_value", "p_value_holm", "p_value_permutation", "p_value_two_sided"),
)


def questions(change: AttributionChange) -> list[Question]:
    """What a report asks of a change, in the order of its findings."""
    rated = list(zip(change.table1, change.table1_controls, strict=True))
    compared = list(zip(change.table2, change.table2_controls, strict=True))
    checks = [describe_faithfulness(change.faithfulness)] if change.faithfulness else []
    checks += [describe_agreement(change.agreement)] if change.agreement else []
    seen = (
        describe_overflow,
        describe_difference,
        describe_answered,
        describe_positions,
        describe_repetition,
        prompts_to_read,
    )
    return [
        Question(
            [control.score.p_value for _, control in compared],
            lambda p: [tell_density(*both, one, change) for both, one in zip(compared, p, strict=True)],
        ),
        Question(
            [row.p_value for row in change.instruction],
            lambda p: [
                tell_instruction(row, one, change.base, change.tuned)
                for row, one in zip(change.instruction, p, strict=True)
            ],
        ),
        described(checks),
        Question(
            [_p_value(row) for row, _ in rated],
            lambda p: [_rating(*both, one, change) for both, one in zip(rated, p, strict=True)],
        ),
        described([describe_rater(row) for row in change.raters]),
        described([finding for look in seen for finding in look(change)]),
    ]


def measures(change: AttributionChange) -> list[Measure]:
    """The paired difference of the instruction's score without copied tokens, over all data sets."""
    row = pooled_row(change.table2_controls)
    if row is None:
        return []
    return [
        Measure(
            name="density_change",
            title="Score of the instruction, change",
            kind="change",
            value=row.score.difference,
            interval=row.score.difference_interval,
            what="how densely the instruction is used",
            phrase="the score of the instruction changes by {value:+.3f}",
        )
    ]


def pooled_row(rows: Sequence[Pooled]) -> Pooled | None:
    """The row of all data sets together, or of the only one; None without rows."""
    return next((row for row in rows if row.pooled), rows[0] if rows else None)


def _p_value(row: Table1Row) -> float | None:
    return largest(row.p_value_two_sided, row.p_value_permutation)


def _rating(row: Table1Row, control: Table1Control, corrected: float | None, change: AttributionChange) -> Finding:
    """Table 1: do responses that follow use their prompt, and their instruction, more densely, or less?"""
    doubt = why_nothing_is_claimed(change)
    p_instruction = of_instruction_corrected(_p_value(row), corrected, control.p_value)
    named = f"{where(row)}, {row.model}"
    verdict = Verdict.CANNOT_TELL if doubt else Verdict.of(is_shown(corrected))
    evidence = {
        **{"dataset": row.dataset, "pooled": row.pooled, "model": row.model},
        **{"n_followed": row.followed.n, "n_unfollowed": row.unfollowed.n},
        **{name: getattr(row, name) for name in NUMBERS},
        "p_value_corrected": corrected,
        "p_value_instruction_corrected": p_instruction,
        "control": asdict(control),
        "detectable_effect_g": detectable_effect(row.followed.n, row.unfollowed.n),
    }
    if doubt:
        headline = f"{named}: how responses that follow use their prompts can't be told from these maps"
        return Finding("attribution.ratings", headline, doubt, verdict, evidence)
    if verdict is Verdict.CANNOT_TELL:
        headline = f"{named}: too few rated responses to compare"
        sentence = "A test needs two different scores of responses that follow, and two of those that do not."
        return Finding("attribution.ratings", headline, sentence, verdict, evidence)
    sentence = joined(_numbers(row), _beyond(control), _tests(row, corrected), _doubt(row, verdict))
    claim = _claim(row, verdict, bool(is_shown(p_instruction)))
    return Finding("attribution.ratings", f"{named}: {claim}", sentence, verdict, evidence)


def _claim(row: Table1Row, verdict: Verdict, of_instruction: bool) -> str:
    if verdict is not Verdict.SHOWN:
        return "no difference was found between responses that follow and those that do not"
    how = "more" if (row.difference or 0) > 0 else "less"
    if of_instruction:
        return f"responses that follow use their instruction {how} densely"
    return f"responses that follow use their prompt {how} densely, which is not shown of the instruction in particular"


def _beyond(control: Table1Control) -> str:
    """Whether it is the instruction's words, or copying, length and having been cut off."""
    if control.auroc_score is None:
        return ""
    told = (
        f"Without copied tokens it is {control.auroc_score:.2f}{between(control.auroc_score_interval)}, of as many of "
        f"any words of the same prompts {control.auroc_control:.2f}, of the instruction beyond them "
        f"{control.auroc_excess:.2f}{between(control.auroc_excess_interval)}."
    )
    if control.adjusted is None:
        return told
    return (
        f"{told} With length, copied share and being cut off held constant, the score of a response that follows is "
        f"higher by {control.adjusted:+.3f}{between(control.adjusted_interval)}."
    )


def _numbers(row: Table1Row) -> str:
    return (
        f"The mean score is {row.followed.mean:.3f} for responses that follow and {row.unfollowed.mean:.3f} for the "
        f"others ({row.followed.n} and {row.unfollowed.n} responses): a difference of "
        f"{row.difference:+.3f}{between(row.difference_interval)}, g = {row.effect_size_g:.2f}. A response that "
        f"follows scores higher than one that does not with probability {row.auroc:.2f}{between(row.auroc_interval)}, "
        "where 0.5 is chance."
    )


def _tests(row: Table1Row, corrected: float | None) -> str:
    return (
        f"Corrected for all that this report tests, p = {corrected:.2g} (two-sided; Welch's test alone "
        f"{row.p_value_two_sided:.2g}, permutation test {row.p_value_permutation:.2g}). The paper's test, one-sided, "
        f"gives p = {row.p_value:.2g}."
    )


def _doubt(row: Table1Row, verdict: Verdict) -> str:
    """What speaks against reading more into the numbers than the verdict says."""
    p, found = _p_value(row), []
    if verdict is Verdict.NOT_SHOWN and p is not None and p < ALPHA:
        found.append("By itself this test would show a difference; more prompts would settle it.")
    return joined(*found, _small(row.followed.n, row.unfollowed.n, verdict))


def _small(n_first: int, n_second: int, verdict: Verdict) -> str:
    effect = detectable_effect(n_first, n_second)
    if min(n_first, n_second) >= SMALL_SAMPLE or effect is None:
        return ""
    if verdict is Verdict.SHOWN:
        return "The sample is small, so the size of the difference is uncertain."
    return (
        f"The sample is small: only a difference of about g = {effect:.2f} or more would be found reliably (four times "
        "out of five). More prompts would show smaller ones."
    )
