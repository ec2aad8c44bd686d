"""What does the comparison show, in sentences?

1. Table 2 (data sets, then pooled) and table 1: a difference is claimed only where both the paper's one-sided Welch
   test and a permutation test within data sets give a small p-value, corrected for all that the report asks
   (`questions`). Everywhere else the sentence says that none is shown, and in a small sample which one could have been
   found.
2. Figure 6, repetition, and the prompts to look at: described, not tested (`observations`, `suspects`).
3. What changed in attention heads (`head_findings`) and in feed-forward layers (`concept_findings`), and what an
   annotator made of the latter (`annotation_findings`).
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from aftertune.explainers.annotation.findings import annotation_questions
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.observations import observe
from aftertune.explainers.attribution.raters import describe_raters
from aftertune.explainers.attribution.removal_check import describe_agreement
from aftertune.explainers.attribution.rows import Table1Row, Table2Row
from aftertune.explainers.concepts.findings import concept_questions
from aftertune.explainers.heads.findings import head_questions
from aftertune.statistics.effects import detectable_effect
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import Question, answer, corrected_by, described, is_shown, largest
from aftertune.statistics.tests import ALPHA

SMALL_SAMPLE = 20


def describe(comparison: Comparison) -> list[Finding]:
    """The findings of a comparison, those on what tuning changed first."""
    return answer(_questions(comparison))


def _questions(comparison: Comparison) -> Iterator[Question]:
    table1, table2 = comparison.table1, comparison.table2
    yield Question(
        [_p_value(row) for row in table2],
        lambda p: [_use(row, one, comparison) for row, one in zip(table2, p, strict=True)],
    )
    if comparison.agreement:
        yield described([describe_agreement(comparison.agreement)])
    yield Question(
        [_p_value(row) for row in table1], lambda p: [_ratings(row, one) for row, one in zip(table1, p, strict=True)]
    )
    yield described([describe_raters(row) for row in comparison.raters])
    yield described(observe(comparison))
    yield from head_questions(comparison.heads) if comparison.heads else ()
    yield from concept_questions(comparison.concepts) if comparison.concepts else ()
    yield from annotation_questions(comparison.annotations) if comparison.annotations else ()


def _p_value(row: Table1Row | Table2Row) -> float | None:
    return largest(row.p_value, row.p_value_permutation)


def _use(row: Table2Row, corrected: float | None, comparison: Comparison) -> Finding:
    """Table 2: does the tuned model use its instructions more densely?"""
    where, base, tuned, shown = _where(row), comparison.base, comparison.tuned, is_shown(corrected)
    evidence = _evidence(row, corrected)
    evidence |= {"n_base": row.base.n, "n_tuned": row.tuned.n, "paired": asdict(row.paired)}
    if shown is None:
        sentence = f"{where}: {base} and {tuned} cannot be compared: a test needs two responses of each that differ."
        return Finding(f"{where}: too little to compare", sentence, None, evidence)
    numbers = f"{_against(row.tuned.mean, row.base.mean, tuned, base)}, {_size(row)}."
    claim = "the tuned model uses its instructions more densely"
    headline = f"{where}: {claim if shown else _nothing(row)}"
    tests = f"{_tests(row, row.tuned.n, row.base.n)}{_paired(row)}. {corrected_by(corrected)}"
    parts = [numbers, tests, _doubt(row, shown), _small(row.tuned.n, row.base.n, shown)]
    return Finding(headline, " ".join(part for part in parts if part), shown, evidence)


def _ratings(row: Table1Row, corrected: float | None) -> Finding:
    """Table 1: do responses that follow use their instruction more densely?"""
    where, shown = f"{_where(row)}, {row.model}", is_shown(corrected)
    more = {"auroc": row.auroc, "auroc_interval": row.auroc_interval}
    evidence = _evidence(row, corrected) | {"n_followed": row.followed.n, "n_unfollowed": row.unfollowed.n} | more
    if shown is None:
        sentence = (
            f"{where}: followed and unfollowed cannot be compared; a test needs two responses of each that differ."
        )
        return Finding(f"{where}: too few ratings to compare", sentence, None, evidence)
    claim = "responses that follow use their instruction more densely" if shown else _nothing(row)
    names = "A response that followed", "one that did not"
    numbers = f"{_against(row.followed.mean, row.unfollowed.mean, *names)}, {_size(row)}."
    area = f"outscores an unfollowed one with probability {row.auroc:.2f}{_between(row.auroc_interval)}; 0.5 is chance"
    tests = f"A followed response {area}. {_tests(row, row.followed.n, row.unfollowed.n)}. {corrected_by(corrected)}"
    parts = [numbers, tests, _doubt(row, shown), _small(row.followed.n, row.unfollowed.n, shown)]
    return Finding(f"{where}: {claim}", " ".join(part for part in parts if part), shown, evidence)


def _where(row: Table1Row | Table2Row) -> str:
    return "All data sets pooled" if row.pooled else row.dataset


def _nothing(row: Table1Row | Table2Row) -> str:
    return "no increase shown" if _is_reversed(row) else "no difference shown"


def _is_reversed(row: Table1Row | Table2Row) -> bool:
    """Whether the difference goes the other way, so far that a two-sided test would notice."""
    return (row.difference or 0.0) < 0 and row.p_value_two_sided is not None and row.p_value_two_sided < ALPHA


def _doubt(row: Table1Row | Table2Row, shown: bool) -> str:
    """Why the claim is not what the numbers before it seem to say, if it is not."""
    if _is_reversed(row):
        return (
            "The difference goes the other way, which the paper's one-sided test does not ask about; a two-sided test, "
            f"not corrected, gives p = {row.p_value_two_sided:.2g}."
        )
    p, low = _p_value(row), row.difference_interval[0] if row.difference_interval else 0.0
    if shown and low < 0:
        return "The interval holds 0 since it is two-sided, and the test is one-sided."
    if not shown and p is not None and p < ALPHA:
        return (
            "Asked alone this would count as shown; but among so many questions one such answer comes by chance too "
            "often. More prompts would settle it."
        )
    return ""


def _against(greater: float | None, lesser: float | None, first: str, second: str) -> str:
    return f"{first} scores {greater:.3f} on average, {second} {lesser:.3f}"


def _size(row: Table1Row | Table2Row) -> str:
    return f"a difference of {row.difference:+.3f}{_between(row.difference_interval)}, g = {row.effect_size_g:.2f}"


def _between(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _tests(row: Table1Row | Table2Row, n_first: int, n_second: int) -> str:
    return (
        f"Welch's one-sided test on {n_first} and {n_second} responses gives p = {row.p_value:.2g}, a "
        f"permutation test within data sets p = {row.p_value_permutation:.2g}"
    )


def _paired(row: Table2Row) -> str:
    if row.paired.p_value is None:
        return ""
    return f"; prompt by prompt, on {row.paired.n_pairs} pairs, the paired test gives p = {row.paired.p_value:.2g}"


def _small(n_first: int, n_second: int, shown: bool) -> str:
    effect = detectable_effect(n_first, n_second)
    if min(n_first, n_second) >= SMALL_SAMPLE or effect is None:
        return ""
    if shown:
        return f"The sample is small ({n_first} and {n_second} responses), so the size of the difference is uncertain."
    return (
        f"The sample is small ({n_first} and {n_second} responses): a true difference of g = {effect:.2f} would be "
        "found in four of five such samples, a smaller one less often."
    )


def _evidence(row: Table1Row | Table2Row, corrected: float | None) -> dict[str, Any]:
    sizes = (row.followed.n, row.unfollowed.n) if isinstance(row, Table1Row) else (row.tuned.n, row.base.n)
    names = (
        *("difference", "difference_interval", "effect_size_g"),
        *("p_value", "p_value_holm", "p_value_permutation", "p_value_two_sided"),
    )
    values = {"dataset": row.dataset, "pooled": row.pooled} | {name: getattr(row, name) for name in names}
    return values | {"p_value_corrected": corrected, "detectable_effect_g": detectable_effect(*sizes)}
