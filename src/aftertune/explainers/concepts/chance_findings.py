"""What does the control by random directions show, in sentences?

One finding for both models: of how many components the words are beyond chance, after a correction for all of them
(`concept_chance`). It says how far to trust the words of either model, and claims no difference between the two. Where
chance was not measured nothing is said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.rows import ChanceRow
from aftertune.statistics.finding import Finding
from aftertune.statistics.tests import ALPHA

WHY = "Among thousands of words some lie along every direction."
REST = (
    "The words of any other may be no more than those that every direction has: do not read a concept into them. This "
    "is a control of the words; no difference between the models was tested."
)


def describe_chance(change: ConceptChange) -> Iterator[Finding]:
    """The finding on words that are nearer than chance would give, if that was measured."""
    pooled = [row for row in change.chance if row.pooled]
    if not pooled:
        return
    models = [[row for row in change.chance if row.model == one.model] for one in pooled]
    said = " ".join(map(_model, models))
    base, *others = [(f"{row.n_beyond:,} of {row.n:,}", row.model) for row in pooled]
    counts = ", ".join([f"{base[0]} components of {base[1]}", *(f"{count} of {model}" for count, model in others)])
    evidence = {row.model: {one.ranks: asdict(one) for one in rows} for row, rows in zip(pooled, models, strict=True)}
    yield Finding(
        f"Concepts: words nearer than chance in {counts}",
        f"{WHY} {said} {REST}",
        None,
        evidence,
    )


def _model(rows: Sequence[ChanceRow]) -> str:
    """What is said of one model: in the middle, and by rank."""
    row, shares = rows[-1], ", ".join(f"{_ranks(one)} {one.n_beyond:,} of {one.n:,}" for one in rows)
    return (
        f"In {row.model} the nearest word of a component has a |cosine| of {row.nearest:.3f} in the middle, that of a "
        f"random direction {row.nearest_by_chance:.3f}; {row.near:.1%} of the components have one as near as "
        f"{ALPHA:.0%} of random directions. Beyond chance, at a false discovery rate of {ALPHA:.0%} over all "
        f"components of the model, are the words of: {shares}."
    )


def _ranks(row: ChanceRow) -> str:
    if row.pooled:
        return "all components"
    return "the first components" if row.ranks == "1" else f"ranks {row.ranks}"
