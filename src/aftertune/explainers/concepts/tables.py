"""Components without a counterpart in the other model, as rows that a table can show.

A component is without one where it is the best match of none: of tuned, it is new; of base, it is lost. Files have all
of them, the page those that explain most variance.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.runs.readable import visible

Concepts = Mapping[str, Any]
Rows = list[dict[str, Any]]

N_SHOWN = 10
N_WORDS = 5
UNMATCHED = {"tuned": "new_components", "base": "lost_components"}
KEPT = ("layer", "expert", "rank", "match_rank", "angle")


def unmatched_rows(concepts: Concepts, base: str, tuned: str) -> Rows:
    """The new components, then the lost ones, most variance first; ``words`` are the first of each."""
    names = {"base": base, "tuned": tuned}
    return [row for role, frame in UNMATCHED.items() for row in _rows(concepts[frame], role, names[role])]


def first_of_each(rows: Sequence[Mapping[str, Any]], n: int = N_SHOWN) -> Rows:
    """The first ``n`` rows of each model."""
    models = dict.fromkeys(row["model"] for row in rows)
    return [dict(row) for model in models for row in [one for one in rows if one["model"] == model][:n]]


def _rows(frame: Any, role: str, model: str) -> Rows:
    share, words = f"variance_share_{role}", f"words_{role}"
    ordered = frame.sort(share, descending=True, nulls_last=True, maintain_order=True)
    return [
        {"model": model}
        | {name: row[name] for name in KEPT}
        | {"variance_share": row[share], "words": visible(", ".join((row[words] or [])[:N_WORDS]))}
        for row in ordered.iter_rows(named=True)
    ]
