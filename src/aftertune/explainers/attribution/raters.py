"""How far do the people agree who rated responses and marked instructions?  Table 1 stands on what they say.

1. Ratings: Krippendorff's alpha for ordered values; a unit is a response.
2. Instructions: alpha for unordered values; a unit is a character of what the user wrote, white space left out, in a
   prompt that two or more raters marked.
3. Intervals resample prompts, since the responses and the characters of one prompt are not independent.
"""

from collections.abc import Sequence
from dataclasses import asdict

from aftertune.explainers.attribution.rows import RaterRow
from aftertune.statistics.agreement import (
    GOOD,
    TENTATIVE,
    Judged,
    alpha_interval,
    count_units,
    krippendorff_alpha,
)
from aftertune.statistics.finding import Finding

RATINGS, INSTRUCTIONS = "ratings", "instructions"
UNITS = {RATINGS: "responses", INSTRUCTIONS: "characters"}


def rater_rows(ratings: Sequence[Judged], characters: Sequence[Judged]) -> tuple[RaterRow, ...]:
    """How far raters agree, from arrays (n_units, n_raters) for each prompt; no row for what fewer than two judged."""
    given = ((RATINGS, ratings, True), (INSTRUCTIONS, characters, False))
    return tuple(_row(what, groups, ordinal) for what, groups, ordinal in given if count_units(groups)[0])


def describe_raters(row: RaterRow) -> Finding:
    """How far to trust what people said, as a finding beside the others."""
    what = "on how helpful responses are" if row.what == RATINGS else "on which words are the instruction"
    who = f"{row.n_raters} raters judged {row.n_units:,} {UNITS[row.what]} of {row.n_prompts} prompts at least in twos"
    if row.alpha is None:
        sentence = f"{who}, and gave one and the same answer throughout, so agreement beyond chance can't be computed."
        return Finding(f"Raters differ nowhere {what}", sentence, None, asdict(row))
    kind = "ordered" if row.what == RATINGS else "unordered"
    between = f" [{row.alpha_interval[0]:.2f}, {row.alpha_interval[1]:.2f}]" if row.alpha_interval else ""
    sentence = (
        f"{who}. Krippendorff's alpha for {kind} values is {row.alpha:.2f}{between}; 1 is full agreement, 0 what "
        f"chance gives. {_advice(row)}"
    )
    return Finding(f"Raters {_how(row.alpha)} {what}", sentence, None, asdict(row))


def _row(what: str, groups: Sequence[Judged], ordinal: bool) -> RaterRow:
    n_units, n_prompts = count_units(groups)
    return RaterRow(
        what=what,
        n_raters=max((group.shape[1] for group in groups), default=0),
        n_units=n_units,
        n_prompts=n_prompts,
        alpha=krippendorff_alpha(groups, ordinal),
        alpha_interval=alpha_interval(groups, ordinal),
    )


def _how(alpha: float) -> str:
    return "agree well" if alpha >= GOOD else "roughly agree" if alpha >= TENTATIVE else "agree too little"


def _advice(row: RaterRow) -> str:
    assert row.alpha is not None
    table = "table 1" if row.what == RATINGS else "the scores of tables 1 and 2"
    if row.alpha < TENTATIVE:
        return (
            f"Below {TENTATIVE} not even tentative conclusions should be drawn from {row.what}: settle what is meant "
            f"by them and label again before you rely on {table}."
        )
    if row.alpha < GOOD:
        return f"Between {TENTATIVE} and {GOOD} conclusions from {table} are tentative."
    if row.alpha_interval is not None and row.alpha_interval[0] < TENTATIVE:
        return f"The interval reaches below {TENTATIVE}, so more labels are wanted."
    return "That is enough to rely on."
