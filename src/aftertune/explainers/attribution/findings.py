"""What does the comparison of prompts show, in sentences?

1. Table 2 (data sets, then pooled): a test within prompts decides (`density_findings`).
2. Table 1: a difference is claimed only where both Welch's two-sided test and a permutation test within data sets give
   a small p-value, corrected for all that the report asks. The paper's test, one-sided, decides nothing. Everywhere
   else the sentence says that none was found, and in a small sample which one could have been found.
3. Everything else is described, not tested (`descriptive_findings`, `read_first`).
"""

from collections.abc import Sequence

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
from aftertune.explainers.attribution.density_findings import between, joined, tell_density, where
from aftertune.explainers.attribution.descriptive_findings import (
    describe_agreement,
    describe_answered,
    describe_positions,
    describe_rater,
    describe_repetition,
)
from aftertune.explainers.attribution.read_first import prompts_to_read
from aftertune.statistics.effects import detectable_effect
from aftertune.statistics.finding import Finding, Measure, Verdict
from aftertune.statistics.questions import Question, described, is_shown, largest
from aftertune.statistics.spread import ALPHA

SMALL_SAMPLE = 20
NUMBERS = (
    *("difference", "difference_interval", "effect_size_g", "auroc", "auroc_interval"),
    *("p_value", "p_value_holm", "p_value_permutation", "p_value_two_sided"),
)


def questions(change: AttributionChange) -> list[Question]:
    """What a report asks of a change, in the order of its findings."""
    table1, table2 = change.table1, change.table2
    agreement = [describe_agreement(change.agreement)] if change.agreement else []
    seen = (describe_answered, describe_positions, describe_repetition, prompts_to_read)
    return [
        Question(
            [row.paired.p_value for row in table2],
            lambda p: [tell_density(row, one, change) for row, one in zip(table2, p, strict=True)],
        ),
        described(agreement),
        Question(
            [_p_value(row) for row in table1], lambda p: [_rating(row, one) for row, one in zip(table1, p, strict=True)]
        ),
        described([describe_rater(row) for row in change.raters]),
        described([finding for look in seen for finding in look(change)]),
    ]


def measures(change: AttributionChange) -> list[Measure]:
    """The paired difference of the instruction's score, over all data sets."""
    row = pooled_row(change.table2)
    if row is None:
        return []
    return [
        Measure(
            name="density_change",
            title="Score of the instruction, change",
            kind="change",
            value=row.paired.difference,
            interval=row.paired.difference_interval,
            what="how densely the instruction is used",
            phrase="the score of the instruction changes by {value:+.3f}",
        )
    ]


def pooled_row(rows: Sequence[Table2Row]) -> Table2Row | None:
    """The row of all data sets together, or of the only one; None without rows."""
    return next((row for row in rows if row.pooled), rows[0] if rows else None)


def _p_value(row: Table1Row) -> float | None:
    return largest(row.p_value_two_sided, row.p_value_permutation)


def _rating(row: Table1Row, corrected: float | None) -> Finding:
    """Table 1: do responses that follow use their instruction more densely, or less?"""
    named, verdict = f"{where(row)}, {row.model}", Verdict.of(is_shown(corrected))
    evidence = {
        **{"dataset": row.dataset, "pooled": row.pooled, "model": row.model},
        **{"n_followed": row.followed.n, "n_unfollowed": row.unfollowed.n},
        **{name: getattr(row, name) for name in NUMBERS},
        "p_value_corrected": corrected,
        "detectable_effect_g": detectable_effect(row.followed.n, row.unfollowed.n),
    }
    if verdict is Verdict.CANNOT_TELL:
        headline = f"{named}: too few rated responses to compare"
        sentence = "A test needs two different scores of responses that follow, and two of those that do not."
        return Finding("attribution.ratings", headline, sentence, verdict, evidence)
    sentence = joined(_numbers(row), _tests(row, corrected), _doubt(row, verdict))
    return Finding("attribution.ratings", f"{named}: {_claim(row, verdict)}", sentence, verdict, evidence)


def _claim(row: Table1Row, verdict: Verdict) -> str:
    if verdict is not Verdict.SHOWN:
        return "no difference was found between responses that follow and those that do not"
    how = "more" if (row.difference or 0) > 0 else "less"
    return f"responses that follow use their instruction {how} densely"


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
