"""Two models compared by everything that was measured of them.

What are the few sentences that matter most?  Findings in, at most six sentences out.

1. Whether a difference is shown, and among how many that were tested.
2. The differences that are shown, the first three.
3. What an explainer wants told in any case, in the order of the explainers.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from aftertune.explainers import AnyExplainer, explainers
from aftertune.runs.result import Result
from aftertune.statistics.finding import Finding, Verdict
from aftertune.statistics.questions import Question, answer


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """What each explainer found between the models named ``base`` and ``tuned``.

    ``changes`` are the changes by explainer, in the order of a report; each is an attribute too: ``comparison.heads``
    is the change of the heads, None where they were not measured.
    """

    base: str
    tuned: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "changes" or name not in explainers():
            raise AttributeError(f"A comparison has no {name!r}.")
        return self.changes.get(name)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the explainers; claims are corrected for all that is asked."""
        return tuple(answer(self.questions()))

    @cached_property
    def summary(self) -> list[str]:
        """The few sentences that matter most."""
        return summarise(self.findings, always_told())

    def questions(self) -> list[Question]:
        """What the report asks of the two models."""
        return [question for explainer, change in self._parts() for question in explainer.questions(change)]

    def to_polars(self) -> pl.DataFrame:
        """A row for each finding: ``kind, verdict, headline, sentence``; `tables` has the numbers."""
        names = ("kind", "verdict", "headline", "sentence")
        rows = [[str(getattr(one, name)) for name in names] for one in self.findings]
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of all explainers by name, every number in a column of its own, and the ``findings``."""
        found: dict[str, pl.DataFrame] = {"findings": self.to_polars()}
        for change in self.changes.values():
            found |= change.tables()
        return found

    def to_dict(self) -> dict[str, Any]:
        """Names, findings and each change as plain JSON data; what is not defined is None."""
        data: dict[str, Any] = {"base": self.base, "tuned": self.tuned, "summary": self.summary}
        data |= {"findings": [finding.to_dict() for finding in self.findings]}
        data |= {name: change.to_dict() for name, change in self.changes.items()}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _parts(self) -> list[tuple[AnyExplainer, Any]]:
        known = explainers()
        return [(known[name], change) for name, change in self.changes.items()]

    def _facts(self) -> dict[str, Any]:
        return {"base": self.base, "tuned": self.tuned, "explainers": list(self.changes)}


def always_told() -> tuple[str, ...]:
    """The kinds of findings that a summary tells even where nothing is claimed, in the order of the explainers."""
    return tuple(kind for one in explainers().values() for kind in one.always_told)


MOST, MOST_SHOWN, MOST_LINKS = 6, 3, 5


def summarise(
    findings: Sequence[Finding], always: Collection[str], tested: Sequence[Finding] | None = None
) -> list[str]:
    """At most six sentences; ``always`` are the kinds that are told though nothing is claimed.

    ``tested`` are the findings whose tests are counted, by default those that are told.
    What leads somewhere (a finding with links) stays where there would be too many; the last of the others go.
    """
    shown = [finding for finding in findings if finding.verdict is Verdict.SHOWN]
    others = [one for one in findings if one.kind in always and one not in shown]
    leading = [_sentence(finding) for finding in others if finding.links]
    plain = [_sentence(finding) for finding in [*shown[:MOST_SHOWN], *(one for one in others if not one.links)]]
    return [*[_verdict(findings if tested is None else tested), *plain][: MOST - len(leading)], *leading]


def _verdict(findings: Sequence[Finding]) -> str:
    n_shown = sum(finding.verdict is Verdict.SHOWN for finding in findings)
    n_tested = n_shown + sum(finding.verdict is Verdict.NOT_SHOWN for finding in findings)
    if not n_tested:
        return "Nothing could be tested, so no difference is claimed; what follows describes the models."
    tests = f"{n_tested} {'test' if n_tested == 1 else 'tests'}"
    if not n_shown:
        return f"No difference between the models was found ({tests}; in a small sample only large differences show)."
    return f"{n_shown} of {n_tested} tested differences between the models {'is' if n_shown == 1 else 'are'} shown."


def _sentence(finding: Finding) -> str:
    if not finding.links:
        return f"{finding.headline}."
    named = ", ".join(link.text for link in finding.links[:MOST_LINKS])
    more = len(finding.links) - MOST_LINKS
    return f"{finding.headline} (see {named}{f' and {more} more' if more > 0 else ''})."
