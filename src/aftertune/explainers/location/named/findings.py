"""Which heads and directions, of those that were named, does a swap confirm, in sentences?

One that brings more than noise is confirmed, however little it brings, so how much they bring is told with it.

One question for heads (with the groups that share keys and values) and one for directions: that any of them brings more
of the change than noise of the same size in its place. Its p-value, the least of those that Holm's correction leaves,
is corrected again for all that the report asks.
"""

from collections.abc import Sequence
from typing import Any

from aftertune.explainers.location.named.result import DIRECTION
from aftertune.explainers.location.named.rows import NamedRow
from aftertune.explainers.location.where import percent
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Verdict
from aftertune.statistics.questions import Question, corrected_by, is_shown

HEADS, DIRECTIONS = "location.heads", "location.directions"
N_WORDS = 3
VERDICTS = {True: "confirmed", False: "not confirmed", None: "too few texts to tell"}
LITTLE, BUT_LITTLE = 0.01, "confirmed, but little of the change"
EVIDENCE = (
    *("kind", "layer", "module", "number", "last", "brings", "brings_interval", "takes", "takes_interval", "noise"),
    *("module_brings", "p_value", "p_value_holm", "is_confirmed"),
)


def named_questions(rows: Sequence[NamedRow]) -> list[Question]:
    """What a report asks of the heads and of the directions that were swapped; nothing of a kind that was not named."""
    families = {
        HEADS: [row for row in rows if row.kind != DIRECTION],
        DIRECTIONS: [row for row in rows if row.kind == DIRECTION],
    }
    return [_question(kind, some) for kind, some in families.items() if some]


def _question(kind: str, rows: Sequence[NamedRow]) -> Question:
    known = [row.p_value_holm for row in rows if row.p_value_holm is not None]
    return Question([min(known, default=None)], lambda p: [_finding(kind, rows, p[0])])


def _finding(kind: str, rows: Sequence[NamedRow], corrected: float | None) -> Finding:
    verdict = Verdict.of(is_shown(corrected))
    confirmed = [row for row in rows if row.is_confirmed] if verdict is Verdict.SHOWN else []
    named = "directions of the change" if kind == DIRECTIONS else "heads and groups of heads"
    headline = {
        Verdict.SHOWN: f"Location: a swap confirms {len(confirmed)} of {len(rows)} {named}{_at_most(confirmed)}",
        Verdict.NOT_SHOWN: f"Location: a swap confirms none of {len(rows)} {named} that were named",
    }.get(verdict, f"Location: too few texts to tell whether the {named} that were named carry the change")
    sentence = " ".join([*(sentence_of(row) for row in rows), corrected_by(corrected)]).strip()
    evidence: dict[str, Any] = {"n_named": len(rows), "n_confirmed": len(confirmed), "p_value_corrected": corrected}
    evidence |= {"named": [{name: getattr(row, name) for name in EVIDENCE} for row in rows]}
    return Finding(kind, headline, sentence, verdict, evidence, (Link("Heads and directions", "location_named"),))


def _at_most(rows: Sequence[NamedRow]) -> str:
    """How much those that are confirmed bring."""
    most = percent(max((row.brings or 0.0 for row in rows), default=0.0), None)
    return f", each with at most {most} of the change" if len(rows) > 1 else f", with {most} of the change"


def verdict_of(row: NamedRow) -> str:
    """The verdict of one in words."""
    is_little = row.is_confirmed and row.brings is not None and row.brings < LITTLE
    return BUT_LITTLE if is_little else VERDICTS[row.is_confirmed]


def sentence_of(row: NamedRow) -> str:
    """What the swap of one says, its verdict last."""
    words = f" ({', '.join(visible(word) for word in row.words[:N_WORDS])})" if row.words else ""
    verb = "bring" if row.kind == "group" else "brings"
    takes = "take" if row.kind == "group" else "takes"
    whole = "" if row.module_brings is None else f"; the whole {row.module} {percent(row.module_brings, None)}"
    text = row.text[0].upper() + row.text[1:]
    beside = f"noise of the same size: at most {percent(row.noise, None)}{whole}"
    return (
        f"{text}{words} {verb} {percent(row.brings, row.brings_interval)} of the change and {takes} away "
        f"{percent(row.takes, row.takes_interval)} ({beside}): {verdict_of(row)}."
    )
