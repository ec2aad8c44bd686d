"""What an annotator made of the components of `sample_concepts`: compared for real, with odd words in descriptions."""

from dataclasses import replace
from typing import Any

import polars as pl

from aftertune.explainers.annotation.category_shares import CategoryRow
from aftertune.explainers.annotation.change import AnnotationChange, compare_annotations
from aftertune.statistics.spread import Spread
from annotated_samples import CANNOT_TELL, COMPONENTS, UNREADABLE, Concepts, make_annotations, said

MODELS = ("base-model", "tuned-model")
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
ABOUT = {
    "annotator": {"name": "org%2Fm", "model": "a <small> model", "kind": "server", "weak": False},
    "settings": {"repeats": 2},
    "counts": {},
}


def sample_annotations(models: tuple[str, str] = MODELS, **changes: Any) -> AnnotationChange:
    """Both models in two repeats; places (0, 2) and (0, 7) are where the second base component went."""
    components = pl.DataFrame(WORDS, schema=COMPONENTS, orient="row")
    both = {"base": components, "tuned": components}
    answers = make_annotations(BASE, TUNED)
    change = compare_annotations(answers, *models, (0, 3), components=both, about=ABOUT, n_groups=2)
    return replace(change, **changes)


def category_row(category: str = "writing", kind: str = "scenario", **changes: Any) -> CategoryRow:
    row = CategoryRow(
        kind=kind,
        category=category,
        base=Spread(5, 0.1, 0.01),
        tuned=Spread(5, 0.125, 0.0225),
        difference=0.025,
        difference_interval=(-0.01, 0.06),
        p_value=0.00025,
        p_value_holm=0.001,
        p_value_permutation=0.01,
        p_value_permutation_holm=0.04,
        p_value_components=0.25,
        p_value_components_holm=0.5,
        effect_size_g=1.4361,
    )
    return replace(row, **changes)
