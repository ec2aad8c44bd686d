"""What do an annotator's categories show of base and tuned, in sentences?

1. How many concepts could be described. Scenarios and levels: a change of share is claimed only where three tests give
   p < 0.05. Welch's and a permutation test between repeats tell of the annotator's noise; they are corrected over the
   scenarios, and over the levels. A steady annotator passes these two with any two lots of concepts, however alike, and
   the sentence says so. The third swaps the models at random places; it holds whatever the annotator is like, and is
   corrected for all that the report asks (`questions`).
2. One finding for each change that passes the first two, one for the others that were tested, one for those that
   could not be.
3. How far to trust the annotator: agreement of its repeats, and answers that could not be used.
4. Words of descriptions: described, not tested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import comb

import polars as pl

from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.rows import AgreementRow, CategoryRow
from aftertune.statistics.finding import Finding
from aftertune.statistics.questions import NEVER, PValues, Question, answer, corrected_by, described, is_shown
from aftertune.statistics.tests import ALPHA

# Customary limits of agreement beyond chance: from here on good, and from here on good enough to conclude with care.
GOOD, TENTATIVE = 0.8, 0.667
LISTED = 5
CALLED = {"scenario": "scenarios", "level": "linguistic levels", "interpreted": "descriptions"}
NOISE = (
    "The repeats judge the same concepts, and where tasks and levels are asked at temperature 0, as in the paper, they "
    "are no independent draws: p-values between repeats tell of the annotator's noise, not of other models."
)


def describe_annotations(change: AnnotationChange) -> list[Finding]:
    """The findings of a comparison of annotations, those on scenarios first; corrected for them alone."""
    return answer(annotation_questions(change))


def annotation_questions(change: AnnotationChange) -> list[Question]:
    """What a report asks of annotations."""
    tables = [table_question(rows, change) for rows in (change.scenarios, change.levels, (change.interpreted,))]
    return [*tables, described([_trust(change), *_words(change)])]


def table_question(rows: Sequence[CategoryRow], change: AnnotationChange) -> Question:
    """In which categories of a table do the models' concepts differ?"""
    return Question([_p_value(row) for row in rows], lambda corrected: list(_table(rows, corrected, change)))


def _p_value(row: CategoryRow) -> float | None:
    """That of other concepts, 1 within the annotator's noise; None where that could not be tested."""
    beyond = _beyond_noise(row)
    return None if beyond is None else row.p_value_concepts if beyond and row.p_value_concepts is not None else NEVER


def _beyond_noise(row: CategoryRow) -> bool | None:
    p_values = row.p_value_holm, row.p_value_permutation_holm
    return None if None in p_values else all(p is not None and p < ALPHA for p in p_values)


def _table(rows: Sequence[CategoryRow], corrected: PValues, change: AnnotationChange) -> Iterator[Finding]:
    """A finding for each row beyond the annotator's noise, one for all within it, one for all without a test."""
    yield from (_claim(row, p, change) for row, p in zip(rows, corrected, strict=True) if _beyond_noise(row))
    within, untested = ([row for row in rows if _beyond_noise(row) is kind] for kind in (False, None))
    if within:
        yield _unshown(within, change)
    if untested:
        yield _untested(untested, change)


def _claim(row: CategoryRow, corrected: float | None, change: AnnotationChange) -> Finding:
    shown, more = is_shown(corrected), "more" if (row.difference or 0.0) > 0 else "fewer"
    beyond = "" if shown else ", but no more than chance between concepts would give"
    headline = f"Concepts: {more} {_of(row)} in the tuned model{beyond}"
    parts = [_numbers(row, change), _tests(row), _other_concepts(row), corrected_by(corrected), NOISE]
    return Finding(headline, " ".join(parts), shown, asdict(row) | {"p_value_corrected": corrected})


def _unshown(rows: Sequence[CategoryRow], change: AnnotationChange) -> Finding:
    said = [f"{_numbers(row, change)} {_tests(row)}" for row in rows]
    headline = f"Concepts: no difference shown in {_names(rows)}"
    evidence = {row.category: asdict(row) for row in rows}
    return Finding(headline, " ".join([*said, *_too_few(rows), NOISE]), False, evidence)


def _untested(rows: Sequence[CategoryRow], change: AnnotationChange) -> Finding:
    said = [_numbers(row, change) for row in rows]
    why = (
        f"A test needs two repeats of each model whose shares are not all the same; there are {change.n_repeats_base} "
        f"of {change.base} and {change.n_repeats_tuned} of {change.tuned}."
    )
    evidence = {row.category: asdict(row) for row in rows}
    return Finding(f"Concepts: {_names(rows)} not tested", " ".join([*said, why]), None, evidence)


def _names(rows: Sequence[CategoryRow]) -> str:
    if rows[0].kind == "interpreted":
        return "how many can be described"
    return f"{CALLED[rows[0].kind]} ({', '.join(row.category for row in rows)})"


def _of(row: CategoryRow) -> str:
    """What the concepts of a row are, after "more" or "fewer"."""
    said = {
        "scenario": f"serve {row.category}",
        "level": f"belong to {row.category}",
        "interpreted": "can be described",
    }
    return said[row.kind]


def _numbers(row: CategoryRow, change: AnnotationChange) -> str:
    name = "Concepts that can be described" if row.kind == "interpreted" else row.category.capitalize()
    shares = f"{_percent(row.tuned.mean)} in {change.tuned}, {_percent(row.base.mean)} in {change.base}"
    return f"{name}: {shares}{'' if row.difference is None else f' ({100 * row.difference:+.1f} points)'}."


def _tests(row: CategoryRow) -> str:
    return (
        f"Welch's two-sided test of {row.tuned.n} and {row.base.n} repeats gives p = {row.p_value_holm:.2g}, a "
        f"permutation test p = {row.p_value_permutation_holm:.2g}{_corrected(row)} (g = {row.effect_size_g:.1f})."
    )


def _other_concepts(row: CategoryRow) -> str:
    if row.p_value_concepts is None or row.difference_interval is None:
        return "There are too few concepts to say what others would show."
    low, high = row.difference_interval
    return (
        f"If the models change sides at random places, a difference as large comes with p = "
        f"{row.p_value_concepts:.2g}; with concepts drawn again it lies between {100 * low:+.1f} "
        f"and {100 * high:+.1f} points."
    )


def _corrected(row: CategoryRow) -> str:
    return "" if row.kind == "interpreted" else f" after Holm's correction over {CALLED[row.kind]}"


def _too_few(rows: Sequence[CategoryRow]) -> Iterator[str]:
    """Said where no outcome could have passed the permutation test."""
    n_ways = comb(rows[0].base.n + rows[0].tuned.n, rows[0].base.n)
    if 2 / n_ways >= ALPHA:
        yield f"No permutation test of so few repeats can give less than p = {2 / n_ways:.2g}, whatever was tuned."


def _trust(change: AnnotationChange) -> Finding:
    """How far repeats agree, at worst, and what could not be used."""
    rows = [row for row in change.agreement if row.kappa is not None]
    refused = sum(row.n_unparsed for row in change.unparsed)
    asked = sum(row.n_asked for row in change.unparsed)
    unused = f"{refused:,} of {asked:,} answers were none of those allowed and count nowhere."
    left_out = f" {change.n_left_out:,} places were not annotated in every repeat of both models and are left out."
    said = [_agreement(rows), unused + (left_out if change.n_left_out else ""), *_caution(rows)]
    evidence = {"unparsed": [asdict(row) for row in change.unparsed], "n_left_out": change.n_left_out}
    evidence["agreement"] = [asdict(row) for row in change.agreement]
    return Finding(f"Annotator: {_verdict(rows)}", " ".join(said), None, evidence)


def _agreement(rows: Sequence[AgreementRow]) -> str:
    if not rows:
        return (
            "Agreement is not defined: it takes two repeats of a concept that are not copies of one another, as those "
            "of a server that does not sample are, and answers that are not all the same."
        )
    said = [f"{row.asked} {row.kappa:.2f}" for row in rows]
    models = dict.fromkeys(row.model for row in rows)
    own = [", ".join(text for row, text in zip(rows, said, strict=True) if row.model == model) for model in models]
    return f"Fleiss' kappa between repeats: {'; '.join(f'{m}: {text}' for m, text in zip(models, own, strict=True))}."


def _verdict(rows: Sequence[AgreementRow]) -> str:
    least = min((row.kappa for row in rows if row.kappa is not None), default=None)
    if least is None:
        return "how far its repeats agree is not known"
    if least >= GOOD:
        return "its repeats agree well"
    doubtful = ", ".join(dict.fromkeys(row.asked for row in rows if row.kappa is not None and row.kappa < TENTATIVE))
    return f"its repeats agree too little on {doubtful}" if doubtful else "its repeats agree tolerably"


def _caution(rows: Sequence[AgreementRow]) -> Iterator[str]:
    if rows:
        yield (
            f"From {GOOD} on agreement is commonly called good, below {TENTATIVE} too little to conclude from. Repeats "
            "of one annotator that agree may still be wrong together."
        )


def _words(change: AnnotationChange) -> Iterator[Finding]:
    """The words that rose and fell most, over all layers."""
    risen, fallen = change.risen_words(n=LISTED), change.fallen_words(n=LISTED)
    if not risen.height and not fallen.height:
        return
    both = (("Rose", risen), ("Fell", fallen))
    said = [f"{verb} most: {_listed(frame)}." for verb, frame in both if frame.height]
    sentence = " ".join(["Words of descriptions, by their share of all such words of a model.", *said])
    evidence = {"risen": risen["word"].to_list(), "fallen": fallen["word"].to_list()}
    listed = ", ".join(evidence["risen"][:3])
    headline = f"Concepts: descriptions use other words{f' ({listed} more often)' if listed else ''}"
    yield Finding(headline, f"{sentence} This is a description; no test was made.", None, evidence)


def _listed(words: pl.DataFrame) -> str:
    return ", ".join(
        f"{word} ({100 * change:+.2f} points)" for word, change in words.select("word", "change").iter_rows()
    )


def _percent(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.1%}"
