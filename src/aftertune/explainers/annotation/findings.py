"""What do an annotator's categories show of base and tuned, in sentences?

1. How many components could be described. Tasks and levels: a change of share is claimed only where three tests give
   p < 0.05. Welch's and a permutation test between repeats tell of the annotator's noise; they are corrected over the
   tasks, and over the levels. A steady annotator passes these two with any two lots of components, and the sentence
   says so. The third swaps the models at random places; it holds whatever the annotator is like, and is corrected for
   all that the report asks (`questions`).
2. One finding for each change that passes the first two, one for the others that were tested, one for those that
   could not be.
3. How far to trust the annotator: agreement of its repeats, and answers that could not be used.
4. Words of descriptions: described, not tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import comb
from typing import TYPE_CHECKING

import polars as pl

from aftertune.statistics.finding import Finding, Measure, Verdict
from aftertune.statistics.questions import NEVER, PValues, Question, corrected_by, described, is_shown
from aftertune.statistics.spread import ALPHA

if TYPE_CHECKING:
    from aftertune.explainers.annotation.category_shares import AgreementRow, CategoryRow
    from aftertune.explainers.annotation.change import AnnotationChange

# Customary limits of agreement beyond chance: from here on good, and from here on good enough to conclude with care.
GOOD, TENTATIVE = 0.8, 0.667
LISTED, NAMED = 5, 3
KINDS = {"scenario": "annotation.tasks", "level": "annotation.levels", "interpreted": "annotation.interpreted"}
CALLED = {"scenario": "tasks", "level": "linguistic levels", "interpreted": "how many components can be described"}
IN_TUNED = {
    "scenario": "components serve {} in the tuned model",
    "level": "components are of the level {} in the tuned model",
    "interpreted": "components can be described in the tuned model",
}
NOISE = (
    "Repeats judge the same components, so tests between repeats measure the annotator's noise, not what other "
    "components would show."
)


def questions(change: AnnotationChange) -> list[Question]:
    """What a report asks of annotations."""
    tables = [table_question(rows, change) for rows in (change.scenarios, change.levels, (change.interpreted,))]
    return [*tables, described([_trust(change), *_words(change)])]


def measures(change: AnnotationChange) -> list[Measure]:
    """By how much the share of components that could be described changed."""
    row = change.interpreted
    return [
        Measure(
            name="interpreted_change",
            title="Components described, points",
            kind="percent_change",
            value=row.difference,
            what="how many components can be described",
            phrase="the share of components that can be described changed by {value:+.1%}",
            interval=row.difference_interval,
        )
    ]


def table_question(rows: Sequence[CategoryRow], change: AnnotationChange) -> Question:
    """In which categories of a table do the models' components differ?"""
    return Question([_p_value(row) for row in rows], lambda corrected: list(_table(rows, corrected, change)))


def _p_value(row: CategoryRow) -> float | None:
    """That of other components, 1 within the annotator's noise; None where that could not be tested."""
    beyond = _beyond_noise(row)
    if beyond is None:
        return None
    return row.p_value_components if beyond and row.p_value_components is not None else NEVER


def _beyond_noise(row: CategoryRow) -> bool | None:
    p_values = row.p_value_holm, row.p_value_permutation_holm
    return None if None in p_values else all(p is not None and p < ALPHA for p in p_values)


def _table(rows: Sequence[CategoryRow], corrected: PValues, change: AnnotationChange) -> Iterator[Finding]:
    """A finding for each row beyond the annotator's noise, one for all within it, one for all without a test."""
    yield from (_claim(row, p, change) for row, p in zip(rows, corrected, strict=True) if _beyond_noise(row))
    within, untested = ([row for row in rows if _beyond_noise(row) is kind] for kind in (False, None))
    if within:
        yield _not_shown(within, change)
    if untested:
        yield _cannot_tell(untested, change)


def _claim(row: CategoryRow, corrected: float | None, change: AnnotationChange) -> Finding:
    verdict = Verdict.of(is_shown(corrected))
    more = "More" if (row.difference or 0.0) > 0 else "Fewer"
    headline = f"{more} {IN_TUNED[row.kind].format(row.category)}"
    if verdict is not Verdict.SHOWN:
        headline = f"No difference shown in {_names([row])}: other components could differ as much by chance"
    parts = [_numbers(row, change), _other_components(row), corrected_by(corrected), _between_repeats(row), NOISE]
    evidence = asdict(row) | {"p_value_corrected": corrected}
    return Finding(KINDS[row.kind], headline, " ".join(part for part in parts if part), verdict, evidence)


def _not_shown(rows: Sequence[CategoryRow], change: AnnotationChange) -> Finding:
    least, permuted = (min(p) for p in zip(*map(_holm_p_values, rows), strict=True))
    tests = (
        f"Between the annotator's repeats ({change.n_repeats_base} and {change.n_repeats_tuned}) nothing passes both "
        f"Welch's test (least p = {least:.2g}) and a permutation test (least p = {permuted:.2g}){_over(rows[0])}."
    )
    sentence = " ".join([_shares(rows, change), tests, *_too_few(rows)])
    evidence = {row.category: asdict(row) for row in rows}
    return Finding(KINDS[rows[0].kind], f"No difference shown in {_names(rows)}", sentence, Verdict.NOT_SHOWN, evidence)


def _cannot_tell(rows: Sequence[CategoryRow], change: AnnotationChange) -> Finding:
    why = (
        f"A test needs two repeats of each model whose shares are not all the same; {change.base} has "
        f"{change.n_repeats_base}, {change.tuned} {change.n_repeats_tuned}."
    )
    headline = f"Cannot tell whether the models differ in {_names(rows)}"
    evidence = {row.category: asdict(row) for row in rows}
    return Finding(KINDS[rows[0].kind], headline, f"{_shares(rows, change)} {why}", Verdict.CANNOT_TELL, evidence)


def _holm_p_values(row: CategoryRow) -> tuple[float, float]:
    """Of a row that was tested."""
    return row.p_value_holm or 0.0, row.p_value_permutation_holm or 0.0


def _names(rows: Sequence[CategoryRow]) -> str:
    kind = rows[0].kind
    return CALLED[kind] if kind == "interpreted" else f"{CALLED[kind]} ({', '.join(row.category for row in rows)})"


def _shares(rows: Sequence[CategoryRow], change: AnnotationChange) -> str:
    """The share of each category in either model."""
    if len(rows) == 1:
        return _numbers(rows[0], change)
    said = [f"{row.category} {_percent(row.base.mean)} and {_percent(row.tuned.mean)}" for row in rows]
    return f"Of the described components of {change.base} and {change.tuned}: {', '.join(said)}."


def _numbers(row: CategoryRow, change: AnnotationChange) -> str:
    name = "Components that can be described" if row.kind == "interpreted" else row.category.capitalize()
    shares = f"{_percent(row.base.mean)} in {change.base}, {_percent(row.tuned.mean)} in {change.tuned}"
    return f"{name}: {shares}{'' if row.difference is None else f' ({100 * row.difference:+.1f} points)'}."


def _other_components(row: CategoryRow) -> str:
    if row.p_value_components is None or row.difference_interval is None:
        return "There are too few components to say what others would show."
    low, high = row.difference_interval
    return (
        f"The 95% interval over components is {100 * low:+.1f} to {100 * high:+.1f} points; swapping the two models at "
        f"random components gives a difference as large with p = {row.p_value_components:.2g}."
    )


def _between_repeats(row: CategoryRow) -> str:
    welch, permuted = _holm_p_values(row)
    return (
        f"Between {row.base.n} and {row.tuned.n} repeats Welch's two-sided test gives p = {welch:.2g}, a permutation "
        f"test p = {permuted:.2g}{_over(row)} (g = {row.effect_size_g:.1f})."
    )


def _over(row: CategoryRow) -> str:
    return "" if row.kind == "interpreted" else f" after Holm's correction over {CALLED[row.kind]}"


def _too_few(rows: Sequence[CategoryRow]) -> Iterator[str]:
    """Said where no outcome could have passed the permutation test."""
    n_ways = comb(rows[0].base.n + rows[0].tuned.n, rows[0].base.n)
    if 2 / n_ways >= ALPHA:
        least = f"{2 / n_ways:.2g}"
        yield f"With so few repeats a permutation test cannot give less than p = {least}; ask for more repeats."


def _trust(change: AnnotationChange) -> Finding:
    """How far repeats agree, at worst, and what could not be used."""
    rows = [row for row in change.agreement if row.kappa is not None]
    refused = sum(row.n_unparsed for row in change.unparsed)
    answers = sum(row.n_answers for row in change.unparsed)
    said = [_agreement(rows), f"{refused:,} of {answers:,} answers were not among those allowed and are not counted."]
    if change.n_left_out:
        said.append(f"Left out, since not annotated in every repeat of both models: {change.n_left_out:,} components.")
    evidence = {"unparsed": [asdict(row) for row in change.unparsed], "n_left_out": change.n_left_out}
    evidence["agreement"] = [asdict(row) for row in change.agreement]
    headline = _how_well(rows)
    return Finding("annotation.agreement", headline, " ".join(said), Verdict.NOT_TESTED, evidence)


def _agreement(rows: Sequence[AgreementRow]) -> str:
    if not rows:
        return (
            "Agreement is not defined: it takes two repeats that are not copies of one another (a server that does not "
            "sample gives copies), and answers that are not all the same."
        )
    own = {model: [row for row in rows if row.model == model] for model in dict.fromkeys(row.model for row in rows)}
    said = [f"{model}: {', '.join(f'{row.question} {row.kappa:.2f}' for row in mine)}" for model, mine in own.items()]
    return (
        f"Fleiss' kappa between repeats: {'; '.join(said)}. From {GOOD} on agreement is called good, below {TENTATIVE} "
        "too little to conclude from. Repeats that agree may still be wrong together."
    )


def _how_well(rows: Sequence[AgreementRow]) -> str:
    kappas = [row.kappa for row in rows if row.kappa is not None]
    if not kappas:
        return "It is not known how far the annotator's repeats agree"
    if min(kappas) >= GOOD:
        return "The annotator's repeats agree well"
    doubtful = ", ".join(too_little_agreement(rows))
    agree = "The annotator's repeats agree"
    return f"{agree} too little on {doubtful}" if doubtful else f"{agree} well enough for tentative conclusions"


def too_little_agreement(rows: Sequence[AgreementRow]) -> list[str]:
    """The questions on which repeats agree too little to conclude from, in either model."""
    return list(dict.fromkeys(row.question for row in rows if row.kappa is not None and row.kappa < TENTATIVE))


def _words(change: AnnotationChange) -> Iterator[Finding]:
    """The words that rose and fell most, over all layers."""
    risen, fallen = change.risen_words(n=LISTED), change.fallen_words(n=LISTED)
    if not risen.height and not fallen.height:
        return
    both = (("Rose", risen), ("Fell", fallen))
    said = [f"{verb} most: {_listed(frame)}." for verb, frame in both if frame.height]
    sentence = " ".join([*said, "A word's share is of all words of a model's descriptions."])
    evidence = {"risen": risen["word"].to_list(), "fallen": fallen["word"].to_list()}
    listed = ", ".join(evidence["risen"][:NAMED])
    headline = f"Descriptions of the tuned model's components use other words{f': more {listed}' if listed else ''}"
    yield Finding("annotation.words", headline, sentence, Verdict.NOT_TESTED, evidence)


def _listed(words: pl.DataFrame) -> str:
    return ", ".join(
        f"{word} ({100 * change:+.2f} points)" for word, change in words.select("word", "change").iter_rows()
    )


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"
