"""Annotations in the paper's form that are written out, small enough to count by hand, and random ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.annotation.descriptions import FROM_COMPONENTS
from aftertune.explainers.annotation.marks import INTERPRETED, Marks
from aftertune.explainers.annotation.result import ANNOTATIONS, LEVELS, PLACE, SCENARIOS

COMPONENTS = {name: ANNOTATIONS[name] for name in PLACE} | FROM_COMPONENTS

Answer = tuple[str | None, list[str] | None, str | None, list[str]]
Concepts = Mapping[tuple[int, int], Sequence[Answer]]

CANNOT_TELL: Answer = (None, None, None, [])
UNREADABLE: Answer = (None, None, None, ["description"])
NO_TASKS: Answer = ("programming languages", None, "semantics", ["tasks"])


def said(description: str, scenarios: str, level: str) -> Answer:
    """An answer whose scenarios are written with spaces between."""
    return description, scenarios.split(), level, []


BASE: Concepts = {
    (0, 1): [
        said("foreign words", "translation", "semantics"),
        said("Foreign words or names", "translation", "semantics"),
        said("foreign names", "translation", "semantics"),
    ],
    (0, 2): [said("dates", "writing", "semantics"), CANNOT_TELL, said("dates", "writing", "semantics")],
    (1, 1): [
        said("programming languages", "coding", "semantics"),
        said("programming terms", "coding writing", "semantics"),
        said("code keywords", "coding", "syntax"),
    ],
    (1, 2): [CANNOT_TELL, CANNOT_TELL, CANNOT_TELL],
}
TUNED: Concepts = {
    (0, 1): [said("foreign words", "translation", "semantics")] * 3,
    (0, 2): [said("programming methods", "coding writing", "semantics")] * 3,
    (1, 1): [said("programming languages", "coding", "semantics"), NO_TASKS, said("programs", "coding", "semantics")],
    (1, 2): [CANNOT_TELL, said("words with suffix", "", "morphology"), UNREADABLE],
}


def make_annotations(base: Concepts = BASE, tuned: Concepts = TUNED) -> pl.DataFrame:
    """The annotations of both models, by (layer, rank) an answer for each repeat."""
    rows = [
        (role, layer, 0, rank, repeat, *answer)
        for role, concepts in (("base", base), ("tuned", tuned))
        for (layer, rank), answers in concepts.items()
        for repeat, answer in enumerate(answers)
    ]
    return pl.DataFrame(rows, schema=ANNOTATIONS, orient="row")


def make_components(nearness: Mapping[tuple[int, int], float]) -> pl.DataFrame:
    """Components by (layer, rank), with two words that lie so near, on different sides."""
    rows = [
        (layer, 0, rank, 0.1 / rank, [f"first{rank}", "second"], [near, -near])
        for (layer, rank), near in nearness.items()
    ]
    return pl.DataFrame(rows, schema=COMPONENTS, orient="row")


def make_marks(model: str, **marked: Any) -> Marks:
    """Marks from tables (n_components, n_repeats); components are of layer 0."""
    tables = {name: np.asarray(table, dtype=np.float64) for name, table in marked.items()}
    n = len(next(iter(tables.values())))
    places = pl.DataFrame({"layer": [0] * n, "expert": [0] * n, "rank": range(1, n + 1)})
    return Marks(model, places, places, tables)


def random_marks(
    model: str, n_components: int, n_repeats: int, share: float, generator: np.random.Generator, steady: bool = False
) -> Marks:
    """Marks in which every component is described and carries each category with the same chance.

    Repeats are drawn each on its own, or ``steady``: one is drawn, and a mark in twenty turned around in each.
    """
    shape = (n_components, n_repeats)
    drawn = {name: generator.random(shape) < share for name in (*SCENARIOS, *LEVELS)}
    if steady:
        drawn = {name: marks[:, :1] ^ (generator.random(shape) < 0.05) for name, marks in drawn.items()}
    return make_marks(model, **{INTERPRETED: np.ones(shape)}, **drawn)
