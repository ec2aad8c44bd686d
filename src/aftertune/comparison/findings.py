"""What does the comparison show, in sentences?

1. Table 2 (data sets, then pooled) and table 1: a difference is claimed only where the Holm-corrected p-value of the
   paper's one-sided Welch test is below 0.05 (the pooled row has a single test, so its own p-value counts).
   Everywhere else the sentence says that none is shown, and in a small sample which one could have been found.
2. Figure 6, repetition, and responses that only seem to follow: described, not tested (`observations`).
3. What changed in attention heads (`head_findings`) and in feed-forward layers (`concept_findings`), and what an
   annotator made of the latter (`annotation_findings`).
"""

from dataclasses import asdict
from typing import Any

from aftertune.comparison.agreement import describe_agreement
from aftertune.comparison.annotation_findings import describe_annotations
from aftertune.comparison.change import Comparison
from aftertune.comparison.concept_findings import describe_concepts
from aftertune.comparison.head_findings import describe_heads
from aftertune.comparison.observations import observe
from aftertune.comparison.rows import Finding, Table1Row, Table2Row
from aftertune.comparison.statistics import ALPHA, detectable_effect

SMALL_SAMPLE = 20


def describe(comparison: Comparison) -> list[Finding]:
    """The findings of a comparison, those on what tuning changed first."""
    use = [_use(row, comparison.base, comparison.tuned) for row in comparison.table2]
    ratings = [_ratings(row) for row in comparison.table1]
    trust = [describe_agreement(comparison.agreement)] if comparison.agreement else []
    heads = describe_heads(comparison.heads) if comparison.heads else []
    concepts = describe_concepts(comparison.concepts) if comparison.concepts else []
    named = describe_annotations(comparison.annotations) if comparison.annotations else []
    return [*use, *trust, *ratings, *observe(comparison), *heads, *concepts, *named]


def _use(row: Table2Row, base: str, tuned: str) -> Finding:
    """Table 2: does the tuned model use its instructions more densely?"""
    where, p = _where(row), _decisive_p(row)
    evidence = _evidence(row) | {"n_base": row.base.n, "n_tuned": row.tuned.n, "paired": asdict(row.paired)}
    if p is None:
        sentence = f"{where}: {base} and {tuned} cannot be compared: a test needs two responses of each that differ."
        return Finding(f"{where}: too little to compare", sentence, None, evidence)
    is_shown = p < ALPHA
    numbers = f"{_against(row.tuned.mean, row.base.mean, tuned, base)}, {_size(row)}."
    claim = "the tuned model uses its instructions more densely"
    headline = f"{where}: {claim if is_shown else _nothing(row)}"
    tests = f"{_welch(row, row.tuned.n, row.base.n)}{_paired(row)}."
    parts = [numbers, tests, _direction(row), _small(row.tuned.n, row.base.n, is_shown)]
    return Finding(headline, " ".join(part for part in parts if part), is_shown, evidence)


def _ratings(row: Table1Row) -> Finding:
    """Table 1: do responses that follow use their instruction more densely?"""
    where, p = f"{_where(row)}, {row.model}", _decisive_p(row)
    more = {"auroc": row.auroc, "auroc_interval": row.auroc_interval}
    evidence = _evidence(row) | {"n_followed": row.followed.n, "n_unfollowed": row.unfollowed.n} | more
    if p is None:
        sentence = (
            f"{where}: followed and unfollowed cannot be compared; a test needs two responses of each that differ."
        )
        return Finding(f"{where}: too few ratings to compare", sentence, None, evidence)
    is_shown = p < ALPHA
    claim = "responses that follow use their instruction more densely" if is_shown else _nothing(row)
    names = "A response that followed", "one that did not"
    numbers = f"{_against(row.followed.mean, row.unfollowed.mean, *names)}, {_size(row)}."
    area = f"outscores an unfollowed one with probability {row.auroc:.2f}{_between(row.auroc_interval)}; 0.5 is chance"
    tests = f"A followed response {area}. {_welch(row, row.followed.n, row.unfollowed.n)}."
    parts = [numbers, tests, _direction(row), _small(row.followed.n, row.unfollowed.n, is_shown)]
    return Finding(f"{where}: {claim}", " ".join(part for part in parts if part), is_shown, evidence)


def _decisive_p(row: Table1Row | Table2Row) -> float | None:
    return row.p_value if row.pooled else row.p_value_holm


def _where(row: Table1Row | Table2Row) -> str:
    return "All data sets pooled" if row.pooled else row.dataset


def _nothing(row: Table1Row | Table2Row) -> str:
    return "no increase shown" if _is_reversed(row) else "no difference shown"


def _is_reversed(row: Table1Row | Table2Row) -> bool:
    """Whether the difference goes the other way, so far that a two-sided test would notice."""
    return (row.difference or 0.0) < 0 and row.p_value_two_sided is not None and row.p_value_two_sided < ALPHA


def _direction(row: Table1Row | Table2Row) -> str:
    p, low = _decisive_p(row), row.difference_interval[0] if row.difference_interval else 0.0
    if p is not None and p < ALPHA and low < 0:
        return "The interval holds 0 since it is two-sided, and the test is one-sided."
    if not _is_reversed(row):
        return ""
    return (
        "The difference goes the other way, which the paper's one-sided test does not ask about; a two-sided test, not "
        f"corrected, gives p = {row.p_value_two_sided:.2g}."
    )


def _against(greater: float | None, lesser: float | None, first: str, second: str) -> str:
    return f"{first} scores {greater:.3f} on average, {second} {lesser:.3f}"


def _size(row: Table1Row | Table2Row) -> str:
    return f"a difference of {row.difference:+.3f}{_between(row.difference_interval)}, g = {row.effect_size_g:.2f}"


def _between(interval: tuple[float, float] | None) -> str:
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _welch(row: Table1Row | Table2Row, n_first: int, n_second: int) -> str:
    is_plain = row.p_value_holm in (None, row.p_value)  # with one data set there is nothing to correct
    corrected = "" if is_plain else f", {row.p_value_holm:.2g} with Holm's correction"
    return f"Welch's one-sided test on {n_first} and {n_second} responses gives p = {row.p_value:.2g}{corrected}"


def _paired(row: Table2Row) -> str:
    if row.paired.p_value is None:
        return ""
    is_plain = row.pooled or row.paired.p_value_holm == row.paired.p_value
    p = row.paired.p_value if is_plain else row.paired.p_value_holm
    corrected = "" if is_plain else " with Holm's correction"
    return f"; prompt by prompt, on {row.paired.n_pairs} pairs, the paired test gives p = {p:.2g}{corrected}"


def _small(n_first: int, n_second: int, is_shown: bool) -> str:
    effect = detectable_effect(n_first, n_second)
    if min(n_first, n_second) >= SMALL_SAMPLE or effect is None:
        return ""
    if is_shown:
        return f"The sample is small ({n_first} and {n_second} responses), so the size of the difference is uncertain."
    return (
        f"The sample is small ({n_first} and {n_second} responses): a true difference of g = {effect:.2f} would be "
        "found in four of five such samples, a smaller one less often."
    )


def _evidence(row: Table1Row | Table2Row) -> dict[str, Any]:
    sizes = (row.followed.n, row.unfollowed.n) if isinstance(row, Table1Row) else (row.tuned.n, row.base.n)
    names = (
        *("difference", "difference_interval", "effect_size_g"),
        *("p_value", "p_value_holm", "p_value_two_sided"),
    )
    values = {"dataset": row.dataset, "pooled": row.pooled} | {name: getattr(row, name) for name in names}
    return values | {"detectable_effect_g": detectable_effect(*sizes)}
