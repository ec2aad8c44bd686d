"""May table 3 be claimed?  One finding for each group of layers that can be tested, one for all that can't.

Claimed only where all of this holds, and otherwise the sentence says what fails:
1. Welch's test and the permutation test both give a small p-value, and random sets of words as frequent rarely lie as
   far from the general words: the largest of the three is below 0.05 after correction for all that the report asks
   (`questions`).
2. No control shows a difference in the same direction at p < 0.05; at least one control was made.
"""

from collections.abc import Sequence
from typing import Any

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.rows import Table3Control, Table3Row
from aftertune.explainers.heads.table3 import LEAST_WORDS
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, is_shown, largest
from aftertune.statistics.tests import ALPHA

LISTED = 10


def claims(rows: Sequence[Table3Row], change: HeadChange) -> Question:
    """What the rows of table 3 show of the words asked about."""
    return Question([_p_value(row) for row in rows], lambda corrected: _told(rows, corrected, change))


def _told(rows: Sequence[Table3Row], corrected: PValues, change: HeadChange) -> list[Finding]:
    both = list(zip(rows, corrected, strict=True))
    can, cannot = [(row, p) for row, p in both if p is not None], [row for row, p in both if p is None]
    return [*(_claim(row, p, change) for row, p in can), *([_too_few(cannot, change)] if cannot else [])]


def _too_few(rows: Sequence[Table3Row], change: HeadChange) -> Finding:
    counts = ", ".join(f"{row.instruction.n} and {row.general.n} in {_where(row).lower()}" for row in rows)
    parts = [
        f"The number of pairs with {change.asked} and with general words changed in too few heads to compare.",
        f"A test needs {LEAST_WORDS} words of each whose number changed in a head, with shares that differ. There "
        f"are {counts}.",
        *(_missing(row, change) for row in rows),
    ]
    evidence = {_where(row).lower(): {"words": row.instruction.n, "general_words": row.general.n} for row in rows}
    headline = f"Pairs with {change.asked}: too few heads changed to compare"
    return Finding(headline, " ".join(part for part in parts if part), None, evidence)


def _where(row: Table3Row) -> str:
    return "All layers" if row.pooled else f"Layers {row.layers}"


def _claim(row: Table3Row, corrected: float, change: HeadChange) -> Finding:
    where, doubt = _where(row), _doubt(row, corrected)
    number = "more" if (row.difference or 0.0) > 0 else "fewer"
    headline = doubt or f"pairs with {change.asked} grew in {number} heads than pairs with general words"
    tests = [_tests(row), _matched(row), *map(_control, row.controls), corrected_by(corrected)]
    sentence = " ".join(part for part in [_shares(row, change), *tests, _missing(row, change)] if part)
    return Finding(f"{where}: {headline}", sentence, doubt is None, _evidence(row) | {"p_value_corrected": corrected})


def _evidence(row: Table3Row) -> dict[str, Any]:
    names = ("difference", "difference_interval", "effect_size_g", "p_value", "p_value_holm", "p_value_permutation")
    return {"layers": row.layers, "words": row.instruction.n, "general_words": row.general.n} | {
        name: getattr(row, name) for name in (*names, "p_value_permutation_holm", "p_value_matched")
    }


def _p_value(row: Table3Row) -> float | None:
    """That of the claim; None where it cannot be tested, 1 where a control speaks against it."""
    tested = largest(row.p_value, row.p_value_permutation)
    if tested is None or row.p_value_matched is None or _explained(row):
        return None if tested is None else NEVER
    return max(tested, row.p_value_matched)


def _doubt(row: Table3Row, corrected: float) -> str | None:
    """What speaks against a claim; None if nothing does."""
    if any(p is None or p >= ALPHA for p in (row.p_value, row.p_value_permutation)):
        return "no difference shown"
    if _explained(row):
        return _explained(row)
    if row.p_value_matched is None or row.p_value_matched >= ALPHA:
        return "a difference, not shown to be larger than that of other words as frequent"
    return None if is_shown(corrected) else "no difference shown"


def _explained(row: Table3Row) -> str | None:
    """What controls say against a claim; None if they say nothing."""
    if not row.controls:
        return "a difference, not claimed since no control was made"
    same = [control.control for control in row.controls if _shows_the_same(control, row.difference or 0.0)]
    return f"a difference that arbitrary word vectors show too ({' and '.join(same)})" if same else None


def _shows_the_same(control: Table3Control, difference: float) -> bool:
    is_shown = control.p_value is not None and control.p_value < ALPHA
    return is_shown and (control.difference or 0.0) * difference > 0


def _shares(row: Table3Row, change: HeadChange) -> str:
    interval, points = row.difference_interval, 100 * (row.difference or 0.0)
    between = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return (
        "Of the heads in which the number of pairs with a word changed, it grew in "
        f"{row.instruction.mean:.1%} on average over {row.instruction.n:,} words ({change.asked}) and in "
        f"{row.general.mean:.1%} over {row.general.n:,} general words: {points:+.1f} points{between}, "
        f"g = {row.effect_size_g:.2f}."
    )


def _tests(row: Table3Row) -> str:
    return f"Welch's two-sided test gives p = {row.p_value:.2g}, a permutation test p = {row.p_value_permutation:.2g}."


def _matched(row: Table3Row) -> str:
    if row.matched is None or row.p_value_matched is None:
        return "There are no other words as frequent to compare with."
    return (
        f"Random sets of words as frequent average {row.matched:.1%}; "
        f"they lie as far from the general words with p = {row.p_value_matched:.2g}."
    )


def _control(control: Table3Control) -> str:
    vectors = f"With {control.control} word vectors"
    if control.p_value is None:
        return f"{vectors} too few heads changed for a test."
    return (
        f"{vectors} the shares are {control.instruction:.1%} and {control.general:.1%} (Welch's two-sided p = "
        f"{control.p_value:.2g})."
    )


def _missing(row: Table3Row, change: HeadChange) -> str:
    """Said once, with the pooled row."""
    missing = change.verbs_missing
    if not row.pooled or not (missing or change.n_general_missing):
        return ""
    some = f" ({', '.join(missing[:LISTED])}{', ...' if len(missing) > LISTED else ''})" if missing else ""
    return (
        f"No pair can be formed with {len(missing)} words asked about{some} and {change.n_general_missing:,} general "
        "words, which the vocabulary lacks or which have no word vector."
    )
