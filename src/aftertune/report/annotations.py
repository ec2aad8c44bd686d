"""What does the page say of an annotator and of its descriptions, beside tables and figures?

1. Who annotated, how often, how many concepts: in words.
2. How far its repeats agree, and how many of its answers could not be used: a sentence for each model.
3. The words of descriptions that rose and fell, a line for each group of layers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.annotation_tables import word_rows
from aftertune.report.formats import is_number

Annotations = Mapping[str, Any]
Row = Mapping[str, Any]


def annotations_view(annotations: Annotations) -> dict[str, Any]:
    """All that the page's part on annotations says in words, and its lists of words."""
    facts = ("annotator", "is_weak", "n_concepts", "n_left_out")
    return {name: annotations[name] for name in facts} | {
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


def _kappa(row: Row) -> str:
    return f"{row['asked']} {row['kappa']:.2f}" if is_number(row["kappa"]) else f"{row['asked']} not defined"


def _refused(row: Row) -> str:
    return f"{row['n_unparsed']:,} of {row['n_asked']:,} ({row['step']})"
