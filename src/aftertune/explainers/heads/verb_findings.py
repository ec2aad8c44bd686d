"""May table 3 be claimed?  One finding for each group of layers that can be tested, one for all that can't.

Claimed only where all of this holds, and otherwise the finding says what speaks against it (`DOUBTS`):
1. Welch's test and the permutation test both give a small p-value, and random sets of words as frequent rarely lie as
   far from the general words: the largest of the three is below 0.05 after correction for all that the report asks
   (`questions`).
2. No control shows a difference in the same direction at p < 0.05, neither arbitrary word vectors nor noise of the same
   size; at least one control was made.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aftertune.explainers.heads.change import LEAST_WORDS, HeadChange, Table3Row
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.noise import NOISE
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, is_shown, largest
from aftertune.statistics.spread import ALPHA

WORDS = "heads.verbs"
LISTED = 10
DOUBTS = {
    "chance": "no difference found between pairs with {verbs} and with general words",
    "no control": "a difference between pairs with {verbs} and with general words, without a control to compare",
    "control": "a difference between pairs with {verbs} and with general words, which controls show too ({controls})",
    "frequency": "a difference between pairs with {verbs} and with general words, no larger than for words as frequent",
}


@dataclass(frozen=True)
class Group:
    """A group of layers: its row of table 3 as read, and those of its controls."""

    row: Table3Row
    controls: tuple[Table3Row, ...]

    @property
    def where(self) -> str:
        """The layers in words."""
        return "All layers" if self.row.pooled else f"Layers {self.row.layers}"

    @property
    def same_controls(self) -> list[str]:
        """The controls that show a difference in the same direction."""
        return [one.lists for one in self.controls if _shows_the_same(one, self.row.difference or 0.0)]


def word_question(change: HeadChange) -> Question:
    """What table 3 shows of the words asked about; where there is one group of layers, it is told once."""
    groups = _groups(change.table3)
    tested = [group for group in groups if group.row.pooled or len(groups) > 2]  # a single group beside the pooled row
    return Question([_p_value(group) for group in tested], lambda corrected: _findings(tested, corrected, change))


def _groups(rows: Sequence[Table3Row]) -> list[Group]:
    return [
        Group(row, tuple(one for one in rows if one.is_control and one.layers == row.layers))
        for row in rows
        if not row.is_control
    ]


def _findings(groups: Sequence[Group], corrected: PValues, change: HeadChange) -> list[Finding]:
    both = list(zip(groups, corrected, strict=True))
    can, cannot = [(group, p) for group, p in both if p is not None], [group for group, p in both if p is None]
    return [*(_claim(group, p, change) for group, p in can), *([_too_few(cannot, change)] if cannot else [])]


def _too_few(groups: Sequence[Group], change: HeadChange) -> Finding:
    counts = ", ".join(
        f"{group.row.instruction.n} and {group.row.general.n} ({group.where.lower()})" for group in groups
    )
    parts = [
        f"Too few heads changed to compare pairs with {change.verbs_name} and pairs with general words.",
        f"A test needs {LEAST_WORDS} words of each kind whose number of pairs changed in a head, with shares that "
        f"differ. There are {counts}.",
        *(_missing(group.row, change) for group in groups),
    ]
    evidence = {g.row.layers: {"words": g.row.instruction.n, "general_words": g.row.general.n} for g in groups}
    headline = f"Pairs with {change.verbs_name}: too few heads changed to compare"
    return Finding(WORDS, headline, _joined(parts), Verdict.CANNOT_TELL, {"layers": evidence})


def _claim(group: Group, corrected: float, change: HeadChange) -> Finding:
    row, doubt = group.row, _doubt(group, corrected)
    number = "more" if (row.difference or 0.0) > 0 else "fewer"
    headline = f"pairs with {change.verbs_name} grew in {number} heads than pairs with general words"
    if doubt is not None:
        headline = DOUBTS[doubt].format(verbs=change.verbs_name, controls=" and ".join(group.same_controls))
    tests = [_tests(row), _matched(row), *map(_control, group.controls), corrected_by(corrected)]
    sentence = _joined([_shares(row, change), *tests, _missing(row, change)])
    evidence = _evidence(group) | {"doubt": doubt, "p_value_corrected": corrected}
    return Finding(WORDS, f"{group.where}: {headline}", sentence, Verdict.of(doubt is None), evidence)


def _evidence(group: Group) -> dict[str, Any]:
    row = group.row
    names = ("difference", "difference_interval", "effect_size_g", "p_value", "p_value_holm", "p_value_permutation")
    found = {"layers": row.layers, "words": row.instruction.n, "general_words": row.general.n} | {
        name: getattr(row, name) for name in (*names, "p_value_permutation_holm", "p_value_matched")
    }
    kept = ("difference", "p_value")
    return found | {"controls": {one.lists: {name: asdict(one)[name] for name in kept} for one in group.controls}}


def _p_value(group: Group) -> float | None:
    """That of the claim; None where it cannot be tested, 1 where a control speaks against it."""
    row = group.row
    tested = largest(row.p_value, row.p_value_permutation)
    if tested is None or row.p_value_matched is None or not group.controls or group.same_controls:
        return None if tested is None else NEVER
    return max(tested, row.p_value_matched)


def _doubt(group: Group, corrected: float) -> str | None:
    """What speaks against a claim, a key of `DOUBTS`; None if nothing does."""
    row = group.row
    if any(p is None or p >= ALPHA for p in (row.p_value, row.p_value_permutation)):
        return "chance"
    if not group.controls:
        return "no control"
    if group.same_controls:
        return "control"
    if row.p_value_matched is None or row.p_value_matched >= ALPHA:
        return "frequency"
    return None if is_shown(corrected) else "chance"


def _shows_the_same(control: Table3Row, difference: float) -> bool:
    differs = control.p_value is not None and control.p_value < ALPHA
    return differs and (control.difference or 0.0) * difference > 0


def _shares(row: Table3Row, change: HeadChange) -> str:
    interval, points = row.difference_interval, 100 * (row.difference or 0.0)
    between = f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else ""
    return (
        "Of the heads in which the number of pairs with a word changed, it grew in "
        f"{row.instruction.mean:.1%} on average over {row.instruction.n:,} words ({change.verbs_name}) and in "
        f"{row.general.mean:.1%} over {row.general.n:,} general words: {points:+.1f} points{between}, "
        f"g = {row.effect_size_g:.2f}."
    )


def _tests(row: Table3Row) -> str:
    return f"Welch's two-sided test gives p = {row.p_value:.2g}, a permutation test p = {row.p_value_permutation:.2g}."


def _matched(row: Table3Row) -> str:
    if row.matched is None or row.p_value_matched is None:
        return "There are no other words as frequent to compare with."
    return (
        f"Random sets of words as frequent have a mean of {row.matched:.1%} and lie as far from the general words with "
        f"p = {row.p_value_matched:.2g}."
    )


def _control(control: Table3Row) -> str:
    vectors = f"With {control.lists if control.lists == NOISE else f'{control.lists} word vectors'}"
    if control.p_value is None:
        return f"{vectors} too few heads changed for a test."
    return (
        f"{vectors} the shares are {control.instruction.mean:.1%} and {control.general.mean:.1%} (Welch's two-sided "
        f"p = {control.p_value:.2g})."
    )


def _missing(row: Table3Row, change: HeadChange) -> str:
    """The words that can form no pair; said once, with the pooled row."""
    missing = change.verbs_missing
    if not row.pooled or not (missing or change.n_general_missing):
        return ""
    some = f" ({', '.join(missing[:LISTED])}{', ...' if len(missing) > LISTED else ''})" if missing else ""
    return (
        f"No pair can be formed with {len(missing)} words asked about{some} and {change.n_general_missing:,} general "
        "words, which the vocabulary lacks or which have no word vector."
    )


def _joined(parts: Sequence[str]) -> str:
    return " ".join(part for part in parts if part)
