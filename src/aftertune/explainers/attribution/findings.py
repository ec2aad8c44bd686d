"""What does the comparison of prompts show, in sentences?

1. Table 2 (data sets, then pooled) and table 1: a difference is claimed only where both the paper's one-sided Welch
   test and a permutation test give a small p-value, corrected for all that the report asks (`questions`). Everywhere
   else the sentence says that none was found, and in a small sample which one could have been found.
2. Everything else is described, not tested (`observations`, `read_first`).
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aftertune.explainers.attribution.change import AttributionChange
from aftertune.explainers.attribution.density_comparison import Table1Row, Table2Row
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
Row = Table1Row | Table2Row


def questions(change: AttributionChange) -> list[Question]:
    """What a report asks of a change, in the order of its findings."""
    table1, table2 = change.table1, change.table2
    agreement = [describe_agreement(change.agreement)] if change.agreement else []
    seen = (describe_answered, describe_positions, describe_repetition, prompts_to_read)
    return [
        Question(
            [_p_value(row) for row in table2],
            lambda p: [_density(row, one, change) for row, one in zip(table2, p, strict=True)],
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


def _p_value(row: Row) -> float | None:
    return largest(row.p_value, row.p_value_permutation)


def _density(row: Table2Row, corrected: float | None, change: AttributionChange) -> Finding:
    """Table 2: does the tuned model use its instructions more densely?"""
    where, verdict = _where(row), Verdict.of(is_shown(corrected))
    evidence = _evidence(row, corrected) | {"n_base": row.base.n, "n_tuned": row.tuned.n, "paired": asdict(row.paired)}
    if verdict is Verdict.CANNOT_TELL:
        headline, sentence = (
            f"{where}: too few responses to compare",
            "A test needs two different scores of each model.",
        )
        return Finding("attribution.density", headline, sentence, verdict, evidence)
    claim = {
        "shown": "the tuned model uses its instructions more densely",
        "not shown": "no difference was found in how densely the models use their instructions",
        "reversed": "the tuned model does not use its instructions more densely",
    }[_outcome(row, verdict)]
    numbers = (
        f"The mean score is {row.tuned.mean:.3f} for {change.tuned} and {row.base.mean:.3f} for {change.base} "
        f"({row.tuned.n} and {row.base.n} responses): {_size(row)}."
    )
    sentence = _joined(numbers, _tests(row, corrected), _paired(row), _doubt(row, verdict, row.tuned.n, row.base.n))
    return Finding("attribution.density", f"{where}: {claim}", sentence, verdict, evidence)


def _rating(row: Table1Row, corrected: float | None) -> Finding:
    """Table 1: do responses that follow use their instruction more densely?"""
    where, verdict = f"{_where(row)}, {row.model}", Verdict.of(is_shown(corrected))
    evidence = _evidence(row, corrected) | {"model": row.model}
    evidence |= {"n_followed": row.followed.n, "n_unfollowed": row.unfollowed.n}
    evidence |= {"auroc": row.auroc, "auroc_interval": row.auroc_interval}
    if verdict is Verdict.CANNOT_TELL:
        headline = f"{where}: too few rated responses to compare"
        sentence = "A test needs two different scores of responses that follow, and two of those that do not."
        return Finding("attribution.ratings", headline, sentence, verdict, evidence)
    claim = {
        "shown": "responses that follow use their instruction more densely",
        "not shown": "no difference was found between responses that follow and those that do not",
        "reversed": "responses that follow do not use their instruction more densely",
    }[_outcome(row, verdict)]
    numbers = (
        f"The mean score is {row.followed.mean:.3f} for responses that follow and {row.unfollowed.mean:.3f} for the "
        f"others ({row.followed.n} and {row.unfollowed.n} responses): {_size(row)}. A response that follows scores "
        f"higher than one that does not with probability {row.auroc:.2f}{_between(row.auroc_interval)}, where 0.5 is "
        "chance."
    )
    sentence = _joined(numbers, _tests(row, corrected), _doubt(row, verdict, row.followed.n, row.unfollowed.n))
    return Finding("attribution.ratings", f"{where}: {claim}", sentence, verdict, evidence)


def _where(row: Row) -> str:
    return "All data sets" if row.pooled else row.dataset


def _outcome(row: Row, verdict: Verdict) -> str:
    return "shown" if verdict is Verdict.SHOWN else "reversed" if _is_reversed(row) else "not shown"


def _is_reversed(row: Row) -> bool:
    """Whether the difference goes the other way, so far that a two-sided test would notice."""
    return (row.difference or 0.0) < 0 and row.p_value_two_sided is not None and row.p_value_two_sided < ALPHA


def _size(row: Row) -> str:
    return f"a difference of {row.difference:+.3f}{_between(row.difference_interval)}, g = {row.effect_size_g:.2f}"


def _between(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _tests(row: Row, corrected: float | None) -> str:
    return (
        f"Corrected for all that this report tests, p = {corrected:.2g} (one-sided; Welch's test alone "
        f"{row.p_value:.2g}, permutation test {row.p_value_permutation:.2g})."
    )


def _paired(row: Table2Row) -> str:
    if row.paired.p_value is None:
        return ""
    return f"Prompt by prompt, on {row.paired.n_pairs} pairs, the paired test gives p = {row.paired.p_value:.2g}."


def _doubt(row: Row, verdict: Verdict, n_first: int, n_second: int) -> str:
    """What speaks against reading more into the numbers than the verdict says."""
    if _is_reversed(row):
        return (
            "The difference goes the other way. The paper's test is one-sided and does not ask about that; a two-sided "
            f"test, not corrected, gives p = {row.p_value_two_sided:.2g}."
        )
    p, low = _p_value(row), row.difference_interval[0] if row.difference_interval else 0.0
    found = []
    if verdict is Verdict.SHOWN and low < 0:
        found.append("The interval includes 0 because it is two-sided, and the test is one-sided.")
    if verdict is Verdict.NOT_SHOWN and p is not None and p < ALPHA:
        found.append("By itself this test would show a difference; more prompts would settle it.")
    return _joined(*found, _small(n_first, n_second, verdict))


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


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _evidence(row: Row, corrected: float | None) -> dict[str, Any]:
    sizes = (row.followed.n, row.unfollowed.n) if isinstance(row, Table1Row) else (row.tuned.n, row.base.n)
    names = (
        *("difference", "difference_interval", "effect_size_g"),
        *("p_value", "p_value_holm", "p_value_permutation", "p_value_two_sided"),
    )
    values = {"dataset": row.dataset, "pooled": row.pooled} | {name: getattr(row, name) for name in names}
    return values | {"p_value_corrected": corrected, "detectable_effect_g": detectable_effect(*sizes)}
