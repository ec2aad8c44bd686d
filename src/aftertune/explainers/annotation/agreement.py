"""How far do an annotator's repeats agree, beyond what its habits alone would give?

1. For each concept: how many repeats gave each answer.
2. Fleiss' kappa of these counts.
3. Asked of "interpreted", of each scenario, and of the linguistic level.

Repeats that agree may still be wrong together: this says how far an answer is the annotator's own, not whether it is
right. Two annotators, or people, as repeats would say more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from aftertune.explainers.annotation.category_shares import AgreementRow, UnparsedRow
from aftertune.explainers.annotation.marks import INTERPRETED, Marks
from aftertune.explainers.annotation.result import LEVELS, SCENARIOS, STEPS, are_copies
from aftertune.statistics.agreement import fleiss_kappa
from aftertune.statistics.spread import Scores


def agreement(models: Sequence[Marks]) -> tuple[AgreementRow, ...]:
    """For each model: how far its repeats agree on "interpreted", on each scenario, and on "level".

    None where the repeats are copies of one another (`are_copies`), which agree without having been asked again.
    """
    copies = {marks.model for marks in models if are_copies(marks.answers)}
    rows = (row for marks in models for row in _agreement(marks))
    return tuple(replace(row, kappa=None) if row.model in copies else row for row in rows)


def unparsed(models: Sequence[Marks]) -> tuple[UnparsedRow, ...]:
    """For each model and step: how many answers were asked for, and how many of them were none of those allowed."""
    return tuple(row for marks in models for row in _unparsed(marks))


def _agreement(marks: Marks) -> Iterator[AgreementRow]:
    for asked in (INTERPRETED, *SCENARIOS):
        yes = marks.marked[asked]
        yield _agreement_row(marks, asked, np.stack([yes, 1 - yes], axis=2))
    yield _agreement_row(marks, "level", np.stack([marks.marked[level] for level in LEVELS], axis=2))


def _agreement_row(marks: Marks, asked: str, given: Scores) -> AgreementRow:
    """From which answer was ``given`` (n_concepts, n_repeats, n_answers), NaN where none could be read."""
    counts = given[np.isfinite(given).all(axis=(1, 2))].sum(axis=1)
    return AgreementRow(marks.model, asked, len(counts), marks.n_repeats, fleiss_kappa(counts))


def _unparsed(marks: Marks) -> Iterator[UnparsedRow]:
    described = marks.answers.filter(marks.answers["description"].is_not_null())
    for step in STEPS:
        asked = marks.answers if step == "description" else described
        refused = asked["unparsed"].list.contains(step).fill_null(False)
        yield UnparsedRow(marks.model, step, asked.height, int(refused.sum()))
