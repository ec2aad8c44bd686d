"""What do several stages of tuning show together, in sentences?

1. Does a model use its instructions more densely than its predecessor, and than the first?  One finding for each
   pair, from the pooled row of table 2 (or its only data set), corrected for asking of several pairs.
2. In which step did heads and feed-forward layers change most?  Described, not tested.
3. What each pair's own comparison shows, by its headline; those claims are corrected within their pair alone.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.findings import describe
from aftertune.explainers.attribution.rows import Table2Row
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import Question, answer, is_shown, largest
from aftertune.study.stages import Lineage, turned_table

Row = dict[str, Any]

MEASURES = {
    "pairs_changed": ("the word pairs of attention heads", "{:.1%} of the pairs of a head's lists differ"),
    "separated_angle": ("the directions of feed-forward layers", "well separated components turned by {:.2f}°"),
}


def describe_lineage(lineage: Lineage) -> list[Finding]:
    """The findings on all models together; those of each pair are `describe` of its comparison."""
    densities = [_density(one) for one in lineage.comparisons if one.table2]
    return [*answer(densities), *_steps(lineage), *_claims(lineage)]


def _density(one: Comparison) -> Question:
    row = one.table2[-1]  # the pooled one, where there are several data sets
    return Question([largest(row.p_value, row.p_value_permutation)], lambda p: [_told(one.base, one.tuned, row, p[0])])


def _told(base: str, tuned: str, row: Table2Row, corrected: float | None) -> Finding:
    where, shown = f"From {base} to {tuned}", is_shown(corrected)
    evidence = {name: getattr(row, name) for name in ("difference", "difference_interval", "effect_size_g")}
    evidence |= {"p_value_corrected": corrected, "n_base": row.base.n, "n_tuned": row.tuned.n}
    if shown is None:
        sentence = f"{where}: a test needs two responses of each model that differ."
        return Finding(f"{where}: too little to compare", sentence, None, evidence)
    claim = "the instruction is used more densely" if shown else "no increase of the density shown"
    interval = row.difference_interval
    between = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    sentence = (
        f"The score goes from {row.base.mean:.3f} to {row.tuned.mean:.3f}, a difference of {row.difference:+.3f}"
        f"{between}, g = {row.effect_size_g:.2f}, on {row.base.n} and {row.tuned.n} responses. By Welch's one-sided "
        "test and a permutation test within data sets, corrected for asking of all pairs of models, "
        f"p = {corrected:.2g}."
    )
    return Finding(f"{where}: {claim}", sentence, shown, evidence)


def _steps(lineage: Lineage) -> list[Finding]:
    """Which step from a model to the next changed most, by each measure that all steps have."""
    steps = list(pairwise(lineage.names))
    rows = {(row["base"], row["tuned"]): row for row in turned_table(lineage)}
    found = []
    for measure in MEASURES:
        values = {step: rows[step][measure] for step in steps}
        if len(steps) > 1 and None not in values.values():
            found.append(_largest_step(measure, values, rows))
    return found


def _largest_step(measure: str, values: dict[tuple[str, str], float], rows: dict[tuple[str, str], Row]) -> Finding:
    what, phrase = MEASURES[measure]
    (base, tuned), largest = max(values.items(), key=lambda item: item[1])
    told = [
        f"from {a} to {b} {phrase.format(value)}{_control(measure, rows[a, b])}" for (a, b), value in values.items()
    ]
    headline = f"What changed {what} most: the step from {base} to {tuned}"
    sentence = f"{_list(told)}. Described, not tested; how sure each number is stands in the report of its pair."
    evidence = {f"{a} to {b}": value for (a, b), value in values.items()} | {"largest": largest}
    return Finding(headline, sentence[0].upper() + sentence[1:], None, evidence)


def _control(measure: str, row: Row) -> str:
    control = row["pairs_changed_control"] if measure == "pairs_changed" else None
    return f" (with word vectors given to other words {control:.1%})" if control is not None else ""


def _claims(lineage: Lineage) -> list[Finding]:
    found = []
    for one in lineage.comparisons:
        shown = [finding.headline for finding in describe(one) if finding.significant]
        where = f"{one.base} with {one.tuned}, by itself"
        claims = f"{len(shown)} of its findings are shown" if shown else "none of its findings is shown"
        sentence = f"{'; '.join(shown)}. " if shown else ""
        sentence += "Corrected within this pair alone; its own report has the numbers."
        found.append(Finding(f"{where}: {claims}", sentence, None, {"base": one.base, "tuned": one.tuned}))
    return found


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"
