"""What an annotator made of the concepts of `sample_concepts`: compared for real, with odd words in descriptions."""

from typing import Any

import polars as pl

from aftertune.explainers.annotation.compare import compare_annotations
from aftertune.explainers.concepts.result import COMPONENTS
from annotated_samples import CANNOT_TELL, UNREADABLE, Concepts, make_annotations, said

ODD = "<script>alert(1)</script> and \u202eturned names"

BASE: Concepts = {
    (0, 1): [said(ODD, "translation", "semantics")] * 2,
    (0, 2): [said("words of poetry", "writing", "semantics"), CANNOT_TELL],
    (3, 1): [said("programming code", "coding", "semantics")] * 2,
    (3, 2): [CANNOT_TELL, CANNOT_TELL],
}
TUNED: Concepts = {
    (0, 1): [said("foreign names", "translation", "semantics")] * 2,
    (0, 2): [said("suffixes", "", "morphology"), said("suffixes", "", "semantics")],
    (0, 7): [said("words of poetry", "writing", "semantics"), UNREADABLE],
    (3, 1): [said("programming loops", "coding math", "semantics")] * 2,
    (3, 2): [said("programming loops", "coding", "semantics"), CANNOT_TELL],
}
WORDS = [(0, 0, 1, 0.1, ["nom", "\u202enombre"], [0.5, 0.4]), (3, 0, 1, 0.1, ["loop", "code"], [0.3, 0.2])]


def sample_annotations(**changes: Any) -> dict[str, Any]:
    """Both models in two repeats; places (0, 2) and (0, 7) are where the second base component went."""
    answers = make_annotations(BASE, TUNED)
    components = pl.DataFrame(WORDS, schema=COMPONENTS, orient="row")
    change = compare_annotations(
        answers, "base-model", "tuned-model", (0, 3), components={"base": components, "tuned": components}, n_groups=2
    )
    described = answers.filter(repeat=0).select("layer", "expert", "rank", "role", "description")
    facts = {"annotator": "a <small> model", "is_weak": False, "described": described}
    return change.to_dict() | facts | changes


def category_row(category: str = "writing", kind: str = "scenario", **changes: Any) -> dict[str, Any]:
    row = {
        **{"kind": kind, "category": category, "base": spread(0.1, 0.01), "tuned": spread(0.125, 0.0225)},
        **{"difference": 0.025, "difference_interval": [-0.01, 0.06], "p_value": 0.00025, "p_value_holm": 0.001},
        **{"p_value_permutation": 0.01, "p_value_permutation_holm": 0.04, "p_value_concepts": 0.25},
        **{"p_value_concepts_holm": 0.5, "effect_size_g": 1.4361},
    }
    return row | changes


def spread(mean: float | None, std: float | None = 0.05, n: int = 5) -> dict[str, Any]:
    return {"n": n, "mean": mean, "std": std}
