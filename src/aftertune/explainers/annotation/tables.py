"""What an annotator made of concepts, as rows that a table can show.

1. `category_rows`: tables 5 and 6 in one, scenarios, then levels, then how many concepts could be described.
2. `clear_rows`: tables 4, 11 and 12, with a concept's words and scenarios joined.
3. Words of descriptions (tables 7 to 10), agreement and unusable answers are tables already.

Descriptions and words may hold any sign: what is unseen, or would turn the text around it, is shown as a sign.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aftertune.runs.readable import visible

Annotations = Mapping[str, Any]
Rows = list[dict[str, Any]]

ANNOTATION_COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "categories": [
        ("Kind", "text", "kind"),
        ("Category", "text", "category"),
        ("Base, %", "share_spread", "base"),
        ("Tuned, %", "share_spread", "tuned"),
        ("Difference, points", "percent_change", "difference"),
        ("95% interval", "percent_interval", "difference_interval"),
        ("p (concepts)", "p", "p_value_concepts"),
        ("Holm", "p", "p_value_concepts_holm"),
        ("p (repeats, Welch)", "p", "p_value"),
        ("Holm", "p", "p_value_holm"),
        ("p (repeats, permutation)", "p", "p_value_permutation"),
        ("Holm", "p", "p_value_permutation_holm"),
        ("g", "number", "effect_size_g"),
    ],
    "words": [
        ("Layers", "text", "layers"),
        ("Word", "text", "word"),
        ("Base, %", "percent", "frequency_base"),
        ("Tuned, %", "percent", "frequency_tuned"),
        ("Change, points", "percent_change", "change"),
        ("Rank, base", "count", "rank_base"),
        ("Rank, tuned", "count", "rank_tuned"),
        ("Ranks risen", "count", "rank_change"),
    ],
    "clearest": [
        ("Model", "text", "model"),
        ("Layer", "count", "layer"),
        ("Expert", "count", "expert"),
        ("Rank", "count", "rank"),
        ("Description", "text", "description"),
        ("Scenarios", "text", "scenarios"),
        ("Level", "text", "level"),
        ("Words", "text", "words"),
    ],
    "agreement": [
        ("Model", "text", "model"),
        ("Asked for", "text", "asked"),
        ("Concepts", "count", "n_concepts"),
        ("Repeats", "count", "n_repeats"),
        ("Kappa", "number", "kappa"),
    ],
    "unparsed": [
        ("Model", "text", "model"),
        ("Step", "text", "step"),
        ("Answers", "count", "n_asked"),
        ("Unusable", "count", "n_unparsed"),
    ],
}


def category_rows(annotations: Annotations) -> Rows:
    """The rows of scenarios and of levels, and that of the share interpreted."""
    return [*annotations["scenarios"], *annotations["levels"], annotations["interpreted"]]


def word_rows(annotations: Annotations) -> Rows:
    """The words that rose or fell, as they can be shown."""
    return [row | {"word": visible(row["word"])} for row in annotations["words"]]


def clear_rows(annotations: Annotations) -> Rows:
    """The clearest concepts; of each its first description, its scenarios ("none" without any) and its words."""
    return [_clear(row) for row in annotations["clear"]]


def _clear(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("model", "layer", "expert", "rank", "description", "scenarios", "level", "words")
    words = None if row["words"] is None else visible(", ".join(row["words"]))
    joined = {"description": visible(row["description"]), "words": words}
    return {name: row[name] for name in names} | joined | {"scenarios": ", ".join(row["scenarios"]) or "none"}


def _plain(name: str) -> Callable[[Annotations], Rows]:
    return lambda annotations: list(annotations[name])


ANNOTATION_ROWS: dict[str, Callable[[Annotations], Rows]] = {
    "categories": category_rows,
    "words": word_rows,
    "clearest": clear_rows,
    **{name: _plain(name) for name in ("figure3", "figure7", "agreement", "unparsed")},
}
