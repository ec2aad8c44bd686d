"""What did the annotator call the tuning, in a sentence?  Described: its error rate is that of docs/validity.md."""

from aftertune.explainers.annotation.naming.result import NamingChange
from aftertune.runs.readable import visible
from aftertune.statistics.finding import Finding, Link, Part, Verdict
from aftertune.statistics.questions import Question, described

NAME = "naming.name"


def questions(change: NamingChange) -> list[Question]:
    """The one question of this page."""
    return [described([_name(change)])]


def _name(change: NamingChange) -> Finding:
    found, n = change.agreed, len(change.answers)
    abstained = sum(name is None for name in change.answers) - change.n_unusable
    who = f"{change.annotator}{', a weak annotator,' if change.is_weak else ''}"
    evidence = {"name": found.name if found else None, "answers": list(change.answers), "n_abstained": abstained}
    evidence |= {"n_unusable": change.n_unusable, "n_agreeing": len(found.names) if found else 0}
    link = (Link("Names of the tuning", "tuning_names"),)
    seen = (
        f"It saw {len(change.evidence)} lines on both models, without their names and without what was tested. "
        f"Of {n} repeats {abstained} could not tell and {change.n_unusable} had no usable answer."
    )
    if found is None:
        headline = f"{who} could not name the tuning: its repeats do not agree"
        return Finding(NAME, headline, seen, Verdict.CANNOT_TELL, evidence, link)
    headline = f"{who} says of the tuned model: “{visible(found.name)}” ({len(found.names)} of {n} repeats agree)"
    return Finding(NAME, headline, seen, Verdict.NOT_TESTED, evidence, link, Part.TOLD, f"{headline}.")
