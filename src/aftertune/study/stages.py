"""Several checkpoints in the order of training: each compared with its predecessor and with the first.

1. Every comparison stands for itself, as if the pair had been compared alone.
2. Where all pairs are looked at together, claims are corrected for asking of all of them.
3. How much each step changed, by the measures of the explainers, is set side by side.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers import explainers
from aftertune.report.formats import Kind
from aftertune.report.section import Section
from aftertune.report.table import Column, Table
from aftertune.runs.result import Result
from aftertune.statistics.finding import Finding, Measure, Verdict
from aftertune.statistics.questions import answer_together
from aftertune.study.comparison import Comparison

TESTED = (Verdict.SHOWN, Verdict.NOT_SHOWN)
PAIR, STEP = "stages.pair", "stages.step"
INTERVALS: dict[str, Kind] = {"percent": "percent_interval", "percent_change": "percent_interval"}


@dataclass(frozen=True, eq=False, repr=False)
class Stages(Result):
    """Several models in the order of training, ``names``, and the ``comparisons`` of each with its predecessor and the
    first.
    """

    names: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def comparison(self, base: str, tuned: str) -> Comparison:
        """The comparison of two models by name; raises `RunError` if they were not compared."""
        for found in self.comparisons:
            if (found.base, found.tuned) == (base, tuned):
                return found
        held = "; ".join(f"{one.base} with {one.tuned}" for one in self.comparisons)
        raise RunError(f"{base!r} was not compared with {tuned!r}. Compared were {held}.")

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is shown of any pair, corrected for asking of all pairs; then each pair, and the largest steps."""
        return (*self._shown(), *self._pairs(), *self._steps())

    @cached_property
    def summary(self) -> list[str]:
        """The verdict on each pair, told by its first sentence, then the largest steps."""
        verdicts = [
            f"From {one.base} to {one.tuned}: {one.verdict.status}. {one.verdict.texts[0]}" for one in self.comparisons
        ]
        return [*verdicts, *(f"{one.headline}." for one in self._steps())]

    def sections(self) -> list[Section]:
        """The parts of the report on all models: a table of all pairs, then that of each explainer."""
        own = Section("pairs", "Pairs", tables=(self.measure_table(),))
        known = {name: one for name, one in explainers().items() if any(name in c.changes for c in self.comparisons)}
        changes = {name: [c.changes[name] for c in self.comparisons if name in c.changes] for name in known}
        return [own, *(one.stages(changes[name], self.names) for name, one in known.items())]

    def measure_table(self) -> Table:
        """How much changed, a row for each pair."""
        measures = {name: found for one in self.comparisons for name, found in _measures(one).items()}
        columns = [Column("base", "From"), Column("tuned", "To"), *_columns(measures)]
        nothing: dict[str, Any] = dict.fromkeys(measures, dict.fromkeys(("value", "interval", "control")))
        rows = [
            {"base": one.base, "tuned": one.tuned} | nothing | {n: _number(m) for n, m in _measures(one).items()}
            for one in self.comparisons
        ]
        caption = (
            "How much changed from model to model, by the measure of each explainer over all layers or prompts. A "
            "control is the same measure where nothing can have changed. None of this is a test."
        )
        return Table("pairs", "How much each pair differs", caption, columns, rows)

    def to_polars(self) -> pl.DataFrame:
        """The findings of all comparisons, a row for each; ``base, tuned`` name the pair."""
        return self.tables()["findings"]

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of all comparisons by name, one below the other, with ``base, tuned`` as their first columns."""
        found: dict[str, list[pl.DataFrame]] = {}
        for one in self.comparisons:
            pair = (pl.lit(one.base).alias("base"), pl.lit(one.tuned).alias("tuned"))
            for name, frame in one.tables().items():
                own = [column for column in frame.columns if column not in ("base", "tuned")]
                found.setdefault(name, []).append(frame.select(*pair, *own))
        return {name: pl.concat(frames, how="diagonal_relaxed") for name, frames in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """The names, the findings on all models together and each comparison, as plain JSON data."""
        data: dict[str, Any] = {"names": self.names, "summary": self.summary}
        data |= {"findings": [finding.to_dict() for finding in self.findings]}
        data |= {"comparisons": [one.to_dict() for one in self.comparisons]}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _shown(self) -> Iterator[Finding]:
        for one, findings in self._corrected():
            for finding in findings:
                if finding.verdict is Verdict.SHOWN:
                    yield replace(finding, headline=f"From {one.base} to {one.tuned}: {finding.headline}", links=())

    def _pairs(self) -> Iterator[Finding]:
        for one, findings in self._corrected():
            tested = [finding for finding in findings if finding.verdict in TESTED]
            shown = [finding for finding in tested if finding.verdict is Verdict.SHOWN]
            headline = f"From {one.base} to {one.tuned}: {_how_many(len(shown), len(tested))}"
            sentence = (
                "Corrected for asking of all pairs of models. The pair's own report, where claims are corrected within "
                "the pair alone, has the numbers."
            )
            evidence = {"base": one.base, "tuned": one.tuned, "n_tested": len(tested), "n_shown": len(shown)}
            yield Finding(PAIR, headline, sentence, Verdict.of(bool(shown) if tested else None), evidence)

    def _corrected(self) -> list[tuple[Comparison, list[Finding]]]:
        """The findings of each pair, corrected for all that is asked of all pairs."""
        found = answer_together([one.questions() for one in self.comparisons])
        return list(zip(self.comparisons, found, strict=True))

    def _steps(self) -> Iterator[Finding]:
        """The step from a model to the next that changed most, by each measure that all steps have."""
        steps = list(pairwise(self.names))
        if len(steps) < 2:
            return
        found = {step: _measures(self.comparison(*step)) for step in steps}
        for name in dict.fromkeys(name for one in found.values() for name in one):
            values = {step: own[name] for step, own in found.items() if name in own and own[name].value is not None}
            if len(values) == len(steps) and all(one.phrase for one in values.values()):
                yield _largest_step(values)

    def _facts(self) -> dict[str, Any]:
        return {"names": self.names, "n_comparisons": len(self.comparisons)}


def _measures(comparison: Comparison) -> dict[str, Measure]:
    known = explainers()
    found = (known[name].measures(change) for name, change in comparison.changes.items())
    return {one.name: one for measures in found for one in measures}


def _number(measure: Measure) -> dict[str, Any]:
    return {"value": measure.value, "interval": measure.interval, "control": measure.control}


def _columns(measures: dict[str, Measure]) -> Iterator[Column]:
    for name, one in measures.items():
        kind: Any = one.kind
        yield Column(f"{name}.value", one.title, kind)
        if one.interval is not None:
            yield Column(f"{name}.interval", "95% interval", INTERVALS.get(kind, "interval"))
        if one.control is not None:
            yield Column(f"{name}.control", "Control", kind)


def _largest_step(values: dict[tuple[str, str], Measure]) -> Finding:
    (base, tuned), most = max(values.items(), key=lambda item: abs(item[1].value or 0.0))
    parts = [f"from {a} to {b} {one.phrase.format(value=one.value)}{_control(one)}" for (a, b), one in values.items()]
    headline = f"{most.what[:1].upper()}{most.what[1:]} changed most from {base} to {tuned}"
    evidence: dict[str, Any] = {f"{a} to {b}": one.value for (a, b), one in values.items()} | _unit(most)
    told = _listed(parts)
    return Finding(STEP, headline, f"{told[:1].upper()}{told[1:]}.", Verdict.NOT_TESTED, evidence)


def _unit(measure: Measure) -> dict[str, str]:
    """Of its values, where they have one."""
    unit = "share" if measure.kind in INTERVALS else "°" if measure.title.endswith("°") else ""
    return {"unit": unit} if unit else {}


def _control(measure: Measure) -> str:
    return f" (control: {measure.phrase.format(value=measure.control)})" if measure.control is not None else ""


def _how_many(n_shown: int, n_tested: int) -> str:
    if not n_tested:
        return "nothing could be tested"
    if not n_shown:
        return f"no difference was found ({n_tested} {'test' if n_tested == 1 else 'tests'})"
    return f"{n_shown} of {n_tested} tested differences {'is' if n_shown == 1 else 'are'} shown"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
