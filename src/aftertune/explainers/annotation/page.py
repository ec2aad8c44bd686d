"""What does the page say of an annotator, beside tables and figures?

1. Who annotated and how often; what its own answers say against it.
2. How many of the annotated components have words that are no nearer than chance.
3. The words of descriptions that rose and fell, a line for each group of layers.
4. The description of each component, for the page on concepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aftertune.explainers.annotation.findings import TENTATIVE, too_little_agreement
from aftertune.runs.readable import visible

if TYPE_CHECKING:
    from aftertune.explainers.annotation.category_shares import UnparsedRow
    from aftertune.explainers.annotation.change import AnnotationChange

TOO_MANY_UNUSABLE = 0.1
BUILT_IN = {"words": "The baseline by word vectors", "people": "People", "an annotator": "An annotator"}


def word_groups(change: AnnotationChange) -> list[dict[str, Any]]:
    """For each group of layers the words that rose and those that fell, none for groups without any."""
    found = [
        {"layers": name, "risen": change.risen_words(name).to_dicts(), "fallen": change.fallen_words(name).to_dicts()}
        for name in change.layer_groups
    ]
    return [group for group in found if group["risen"] or group["fallen"]]


def component_notes(change: AnnotationChange) -> dict[str, Any]:
    """What each component was called in the first repeat, by role, layer, expert and rank; "" where nothing fits."""
    notes: dict[str, Any] = {"base": {}, "tuned": {}}
    for role, layer, expert, rank, text in change.described.iter_rows():
        of_network = notes[role].setdefault(layer, {}).setdefault(expert, {})
        of_network[rank] = visible(text or "")
    return notes


def repeats_phrase(change: AnnotationChange) -> str:
    """How often each component was asked about."""
    n_base, n_tuned = change.n_repeats_base, change.n_repeats_tuned
    if n_base == n_tuned:
        return "once for each component" if n_base == 1 else f"{n_base} times for each component"
    return f"{n_base} times for each component of the base model and {n_tuned} times for each of the tuned model"


def doubts(change: AnnotationChange) -> list[str]:
    """Why its own answers speak against the annotator: a sentence for each reason, none where nothing does."""
    return [said for said in (_disagreement(change), _unusable(change.unparsed)) if said]


def within_chance(change: AnnotationChange) -> str | None:
    """Of how many annotated components the words are not beyond chance; None if of none, or where it is not known."""
    counts = change.n_within_chance_base, change.n_within_chance_tuned
    if None in counts or not any(counts):
        return None
    return (
        f"Of the {change.n_components:,} annotated components, {counts[0]:,} of the base and {counts[1]:,} of the "
        "tuned model have words that are not shown to be nearer than those of a random direction: their descriptions "
        "may describe chance."
    )


def _disagreement(change: AnnotationChange) -> str | None:
    kappas = [row.kappa for row in change.agreement if row.kappa is not None]
    if not kappas and min(change.n_repeats_base, change.n_repeats_tuned) > 1:
        return (
            "Its repeats are copies of one another or always give the same answer, so how far they agree is not known."
        )
    doubtful = too_little_agreement(change.agreement)
    if not doubtful:
        return None
    least = f"{min(kappas):.2f}".replace("-", "−")
    return (
        f"In other repeats it often gives other answers on: {', '.join(doubtful)} (Fleiss' kappa down to {least}; to "
        f"conclude from, it should be {TENTATIVE:.2f} or more)."
    )


def _unusable(rows: Sequence[UnparsedRow]) -> str | None:
    n_answers, n_unparsed = sum(row.n_answers for row in rows), sum(row.n_unparsed for row in rows)
    if n_unparsed <= TOO_MANY_UNUSABLE * n_answers:
        return None
    return f"Of {n_answers:,} answers {n_unparsed:,} ({n_unparsed / n_answers:.0%}) were not among those allowed."


def annotator_name(change: AnnotationChange) -> str:
    """Its name in a sentence: that of a server's model as the server calls it."""
    about = change.settings.get("annotator", {})
    name = about.get("model") if about.get("kind") == "server" else change.annotator
    return visible(BUILT_IN.get(str(name), str(name)))
