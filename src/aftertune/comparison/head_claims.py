"""May table 3 be claimed?  One finding for each group of layers that can be tested, one for all that can't.

Claimed only where all of this holds, and otherwise the sentence says what fails:
1. Welch's test and the permutation test both give p < 0.05, after Holm's correction over the groups of layers (the
   pooled row has a single test, so its own p-values count).
2. No control shows a difference in the same direction at p < 0.05; at least one control was made.
3. Random sets of words as frequent rarely lie as far from the general words (p < 0.05).
"""

from collections.abc import Sequence
from typing import Any

from aftertune.comparison.head_change import HeadChange
from aftertune.comparison.head_rows import Table3Control, Table3Row
from aftertune.comparison.rows import Finding
from aftertune.comparison.statistics import ALPHA
from aftertune.comparison.table3 import LEAST_WORDS

LISTED = 10


def claims(rows: Sequence[Table3Row], change: HeadChange) -> list[Finding]:
    """What the rows of table 3 show of the words asked about."""
    can, cannot = ([row for row in rows if (None in _p_values(row)) is lacking] for lacking in (False, True))
    return [*(_claim(row, change) for row in can), *([_too_few(cannot, change)] if cannot else [])]


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


def _claim(row: Table3Row, change: HeadChange) -> Finding:
    where, doubt = _where(row), _doubt(row)
    number = "more" if (row.difference or 0.0) > 0 else "fewer"
    headline = doubt or f"pairs with {change.asked} grew in {number} heads than pairs with general words"
    parts = [_shares(row, change), _tests(row), _matched(row), *map(_control, row.controls), _missing(row, change)]
    return Finding(f"{where}: {headline}", " ".join(part for part in parts if part), doubt is None, _evidence(row))


def _evidence(row: Table3Row) -> dict[str, Any]:
    names = ("difference", "difference_interval", "effect_size_g", "p_value", "p_value_holm", "p_value_permutation")
    return {"layers": row.layers, "words": row.instruction.n, "general_words": row.general.n} | {
        name: getattr(row, name) for name in (*names, "p_value_permutation_holm", "p_value_matched")
    }


def _p_values(row: Table3Row) -> tuple[float | None, float | None]:
    corrected = row.p_value_holm, row.p_value_permutation_holm
    return (row.p_value, row.p_value_permutation) if row.pooled else corrected


def _doubt(row: Table3Row) -> str | None:
    """What speaks against a claim; None if nothing does."""
    if any(p is None or p >= ALPHA for p in _p_values(row)):
        return "no difference shown"
    if not row.controls:
        return "a difference, not claimed since no control was made"
    same = [control.control for control in row.controls if _shows_the_same(control, row.difference or 0.0)]
    if same:
        return f"a difference that arbitrary word vectors show too ({' and '.join(same)})"
    if row.p_value_matched is None or row.p_value_matched >= ALPHA:
        return "a difference, not shown to be larger than that of other words as frequent"
    return None


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
    welch, permutation = _p_values(row)
    corrected = "" if row.pooled else ", both with Holm's correction over the groups of layers"
    return f"Welch's two-sided test gives p = {welch:.2g}, a permutation test p = {permutation:.2g}{corrected}."


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
