"""What does the page say of an annotator and of its descriptions, beside tables and figures?

1. Who annotated, how often, how many concepts: in words.
2. How far its repeats agree, and how many of its answers could not be used: a sentence for each model, and a warning
   before everything else where that is too little or too many.
3. How many of the annotated concepts have words that are no nearer than chance.
4. The words of descriptions that rose and fell, a line for each group of layers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.explainers.annotation.tables import word_rows
from aftertune.report.formats import is_number

Annotations = Mapping[str, Any]
Row = Mapping[str, Any]

# Below this kappa there is commonly said to be too little agreement to conclude from.
TENTATIVE = 0.667
TOO_MANY_UNUSABLE = 0.1
BUILT_IN = {"words": "The baseline by word vectors", "people": "People"}


def annotations_view(annotations: Annotations) -> dict[str, Any]:
    """All that the page's part on annotations says in words, and its lists of words."""
    facts = ("is_weak", "n_concepts", "n_left_out")
    return {name: annotations[name] for name in facts} | {
        "annotator": BUILT_IN.get(annotations["annotator"], annotations["annotator"]),
        "doubts": " ".join(doubts(annotations)),
        "within_chance": chance_sentence(annotations),
        "repeats": repeats_phrase(annotations["n_repeats_base"], annotations["n_repeats_tuned"]),
        "agreement": agreement_sentences(annotations["agreement"]),
        "unparsed": unparsed_sentences(annotations["unparsed"]),
        "words": word_groups(annotations),
    }


def repeats_phrase(n_base: int, n_tuned: int) -> str:
    """How often each concept was asked about."""
    if n_base == n_tuned:
        return "once for each concept" if n_base == 1 else f"{n_base} times for each concept"
    return f"{n_base} times for each concept of the base model and {n_tuned} times for each of the tuned model"


def doubts(annotations: Annotations) -> list[str]:
    """Why its own answers speak against the annotator: a sentence for each reason, none where nothing does."""
    return [said for said in (_disagreement(annotations), _unusable(annotations["unparsed"])) if said]


def chance_sentence(annotations: Annotations) -> str | None:
    """Of how many annotated concepts the words are not beyond chance; None if of none, or where it is not known."""
    counts = [annotations[f"n_within_chance_{role}"] for role in ("base", "tuned")]
    if None in counts or not any(counts):
        return None
    base, tuned, n = (f"{number:,}" for number in (*counts, annotations["n_concepts"]))
    return (
        f"Of the {n} annotated components, {base} of the base and {tuned} of the tuned model have words that are not "
        "shown to be nearer than those of a random direction: what is written of them may describe chance."
    )


def agreement_sentences(rows: Sequence[Row]) -> list[str]:
    """Fleiss' kappa of each model, of all that was asked."""
    return [f"{model}: {', '.join(map(_kappa, own))}." for model, own in _by_model(rows).items()]


def unparsed_sentences(rows: Sequence[Row]) -> list[str]:
    """How many answers of each model were none of those allowed, by step."""
    return [f"{model}: {', '.join(map(_refused, own))}." for model, own in _by_model(rows).items()]


def word_groups(annotations: Annotations) -> list[dict[str, Any]]:
    """For each group of layers the words that rose and those that fell, in the order given."""
    rows = word_rows(annotations)
    return [
        {
            "layers": layers,
            "risen": [row for row in rows if row["layers"] == layers and row["change"] > 0],
            "fallen": [row for row in rows if row["layers"] == layers and row["change"] < 0],
        }
        for layers in dict.fromkeys(row["layers"] for row in rows)
    ]


def _by_model(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {model: [row for row in rows if row["model"] == model] for model in dict.fromkeys(r["model"] for r in rows)}


def _disagreement(annotations: Annotations) -> str | None:
    rows = annotations["agreement"]
    known = [row for row in rows if is_number(row["kappa"])]
    if not known and min(annotations["n_repeats_base"], annotations["n_repeats_tuned"]) > 1:
        return (
            "Its repeats are copies of one another or always give the same answer, so how far they agree is not known."
        )
    doubtful = [row for row in known if row["kappa"] < TENTATIVE]
    if not doubtful:
        return None
    asked, least = ", ".join(dict.fromkeys(row["asked"] for row in doubtful)), min(row["kappa"] for row in doubtful)
    return (
        f"Asked again, it gives too many other answers on: {asked} (Fleiss' kappa down to {_signed(least)}; to "
        f"conclude from, it should be {TENTATIVE:.2f} or more)."
    )


def _unusable(rows: Sequence[Row]) -> str | None:
    n_asked, n_unparsed = (sum(row[name] for row in rows) for name in ("n_asked", "n_unparsed"))
    if n_unparsed <= TOO_MANY_UNUSABLE * n_asked:
        return None
    return f"Of {n_asked:,} answers {n_unparsed:,} ({n_unparsed / n_asked:.0%}) were none of those allowed."


def _kappa(row: Row) -> str:
    return f"{row['asked']} {_signed(row['kappa'])}" if is_number(row["kappa"]) else f"{row['asked']} not defined"


def _signed(kappa: float) -> str:
    return f"{kappa:.2f}".replace("-", "−")


def _refused(row: Row) -> str:
    return f"{row['n_unparsed']:,} of {row['n_asked']:,} ({row['step']})"
