"""Two models compared by everything that was measured of them.

What are the few sentences that matter most?  Those of the verdict, then what an explainer wants told in any case.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers import AnyExplainer, explainers
from aftertune.runs.result import Result
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import Question, answer
from aftertune.statistics.verdict import PLACEHOLDERS, Addresses, TuningVerdict, judge, same_weights


class Tables(dict[str, pl.DataFrame]):
    """Tables by name; one that is not there is asked for with a reason."""

    def __init__(self, tables: Mapping[str, pl.DataFrame], left_out: Sequence[str]) -> None:
        super().__init__(tables)
        self._left_out = left_out

    def __missing__(self, name: str) -> pl.DataFrame:
        why = f" Not measured: {', '.join(self._left_out)}; measure one with only or --only." if self._left_out else ""
        raise RunError(f"There is no table {name!r}. There are: {', '.join(self)}.{why}")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """What each explainer found between the models named ``base`` and ``tuned``.

    ``changes`` are the changes by explainer, in the order of a report; each is an attribute too: ``comparison.heads``
    is the change of the heads, None where they were not measured. Models of which no weight differs (``is_same``) have
    no changes. ``rows`` is what became of the rows of the prompt file (docs/run-folder.md), ``addresses`` what the next
    steps of the verdict name. `is_served` models were asked through servers.
    """

    base: str
    tuned: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    is_same: bool = False
    rows: Mapping[str, Any] = field(default_factory=dict)
    addresses: Addresses = PLACEHOLDERS

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "changes" or name not in explainers():
            raise AttributeError(f"A comparison has no {name!r}.")
        return self.changes.get(name)

    @property
    def is_served(self) -> bool:
        """Whether the models were asked through servers."""
        return self.addresses.is_served

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the explainers; claims are corrected for all that is asked."""
        return tuple(answer(self.questions()))

    @cached_property
    def verdict(self) -> TuningVerdict:
        """Whether the tuning can be named, and what to do next."""
        at = self.addresses
        return same_weights(self.base, self.tuned, at) if self.is_same else judge(self.findings, at)

    @cached_property
    def summary(self) -> list[str]:
        """The few sentences that matter most: the verdict, and what is told in any case."""
        told = {one.kind for one in self.verdict.sentences}
        return [*self.verdict.texts, *always(self.findings, told)][:MOST]

    def questions(self) -> list[Question]:
        """What the report asks of the two models."""
        return [question for explainer, change in self._parts() for question in explainer.questions(change)]

    def evidence(self) -> list[str]:
        """Lines on both models for somebody who is to name the tuning: no names, no tests."""
        return [line for explainer, change in self._parts() for line in explainer.evidence(change)]

    def to_polars(self) -> pl.DataFrame:
        """A row for each finding: ``kind, verdict, headline, sentence``; `tables` has the numbers."""
        names = ("kind", "verdict", "headline", "sentence")
        rows = [[str(getattr(one, name)) for name in names] for one in self.findings]
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of all explainers by name, every number in a column of its own, and the ``findings``.

        To ask for one that is not there raises `RunError`, which says which explainers were left out.
        """
        found: dict[str, pl.DataFrame] = {"findings": self.to_polars()}
        for change in self.changes.values():
            found |= change.tables()
        return Tables(found, self.left_out)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The explainers that were not measured."""
        return tuple(name for name in explainers() if name not in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Names, findings and each change as plain JSON data; what is not defined is None."""
        data: dict[str, Any] = {"base": self.base, "tuned": self.tuned, "verdict": self.verdict.to_dict()}
        data |= {"summary": self.summary} | ({"rows": dict(self.rows)} if self.rows else {})
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


MOST, MOST_LINKS = 6, 5


def always(findings: Sequence[Finding], told: Collection[str] = ()) -> list[str]:
    """Sentences on what explainers want told in any case, but for the kinds that are ``told`` already.

    What leads somewhere (a finding with links) stays last, since it says where to go on.
    """
    others = [one for one in findings if one.kind in always_told() and one.kind not in told]
    return [_sentence(one) for one in sorted(others, key=lambda one: bool(one.links))]


def _sentence(finding: Finding) -> str:
    if not finding.links:
        return f"{finding.headline}."
    named = ", ".join(link.text for link in finding.links[:MOST_LINKS])
    more = len(finding.links) - MOST_LINKS
    return f"{finding.headline} (see {named}{f' and {more} more' if more > 0 else ''})."
