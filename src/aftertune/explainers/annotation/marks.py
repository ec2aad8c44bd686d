"""Which components did the annotator mark, and in which repeats?  (Appendix D.1.)

1. Refuse annotations that cannot be compared: other columns, no base or no tuned, unknown categories, rows twice.
2. Keep the places (layer, expert, rank) that were annotated in every repeat of both models; count the others.
3. For each model a table for "interpreted" and for each category: a row a component, a column a repeat, 1 where it was
   marked, 0 where not, NaN where that is not known: no usable answer, or for a category no description.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.result import ANNOTATIONS, LEVELS, PLACE, SCENARIOS
from aftertune.statistics.spread import Scores

ROLES = ("base", "tuned")
INTERPRETED = "interpreted"

LayerGroups = Mapping[str, Sequence[int]]


@dataclass(frozen=True, eq=False)
class Marks:
    """What was marked in the components of one model.

    ``answers`` are the annotations, by component and within it by repeat; ``components`` has their ``layer, expert,
    rank``, n_components rows. ``marked`` has a table (n_components, n_repeats) by the name of a category, and for
    "interpreted".
    """

    model: str
    answers: pl.DataFrame
    components: pl.DataFrame
    marked: Mapping[str, Scores]

    @property
    def n_repeats(self) -> int:
        """How often every component was annotated."""
        return int(self.marked[INTERPRETED].shape[1])


def read_marks(annotations: pl.DataFrame, base: str, tuned: str, layers: Sequence[int]) -> tuple[Marks, Marks, int]:
    """The marks of base and tuned, on the same places, and how many places were left out.

    Raises `RunError` if the annotations are not those of a base and a tuned model in ``layers``, or if no place was
    annotated in every repeat of both.
    """
    if base == tuned:
        raise RunError(f"Both models are called {base!r}. Give two names, of base and of tuned.")
    _must_hold_columns(annotations)
    _must_be_of(annotations, layers)
    _must_be_known(annotations)
    answers = annotations.select(*ANNOTATIONS).sort("role", *PLACE, "repeat")
    places, n_left_out = _annotated_throughout(answers)
    kept = answers.join(places, on=PLACE, how="semi", maintain_order="left")
    models = [_marks(name, kept.filter(role=role), places) for role, name in zip(ROLES, (base, tuned), strict=True)]
    return models[0], models[1], n_left_out


def shares(marked: Scores) -> Scores:
    """The share of components (n_repeats,) that are marked of those that could be, without repeats that had none."""
    known = np.isfinite(marked).sum(axis=0)
    return np.asarray(np.nansum(marked, axis=0)[known > 0] / known[known > 0], dtype=np.float64)


def _must_hold_columns(annotations: pl.DataFrame) -> None:
    wrong = [name for name, kind in ANNOTATIONS.items() if annotations.schema.get(name) != kind]
    if wrong:
        expected = ", ".join(f"{name} ({kind})" for name, kind in ANNOTATIONS.items())
        raise RunError(f"The annotations lack {', '.join(wrong)}, or hold it in another type. Give {expected}.")
    empty = [name for name in ("role", *PLACE, "repeat") if annotations[name].null_count()]
    if empty:
        raise RunError(f"Annotations without {', '.join(empty)} were given. Say of each which component it is of.")


def _must_be_of(annotations: pl.DataFrame, layers: Sequence[int]) -> None:
    """Both models, in no other layers, each answer once."""
    found = annotations["role"].unique().sort().to_list()
    if found != list(ROLES):
        raise RunError(
            f"The annotations are of {' and '.join(found) or 'no model'}, a comparison needs base and tuned. Annotate "
            "a run that compared two models."
        )
    others = sorted(set(annotations["layer"]) - set(layers))
    if others:
        raise RunError(f"Layers {others} were annotated; those that were read are {list(layers)}. Give all of them.")
    n_twice = int(annotations.select("role", *PLACE, "repeat").is_duplicated().sum())
    if n_twice:
        raise RunError(f"{n_twice} annotations are of the same component and repeat as another. Give each once.")


def _must_be_known(annotations: pl.DataFrame) -> None:
    said = {"scenarios": annotations["scenarios"].explode(), "level": annotations["level"]}
    for (name, values), allowed in zip(said.items(), (SCENARIOS, LEVELS), strict=True):
        unknown = sorted(set(values.drop_nulls()) - set(allowed))
        if unknown:
            raise RunError(f"The {name} {', '.join(map(repr, unknown))} are not known. Allowed: {', '.join(allowed)}.")


def _annotated_throughout(answers: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    n_answers = answers.select("role", "repeat").unique().height
    counts = answers.group_by(PLACE).agg(n=pl.len()).sort(PLACE)
    places = counts.filter(pl.col("n") == n_answers).select(PLACE)
    if not places.height:
        raise RunError(
            f"None of the {counts.height} annotated places (layer, expert, rank) was annotated in every repeat of both "
            "models. Finish the annotation, or leave out the repeats that were not finished."
        )
    return places, counts.height - places.height


def _marks(model: str, answers: pl.DataFrame, places: pl.DataFrame) -> Marks:
    columns = answers.select(_marked())
    marked = {
        name: columns[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(places.height, -1)
        for name in columns.columns
    }
    return Marks(model, answers, places, marked)


def _marked() -> Iterator[pl.Expr]:
    """What is marked, null where it is not known."""
    described = pl.col("description").is_not_null()
    refused = pl.col("unparsed").list.contains("description").fill_null(False)
    yield pl.when(described | ~refused).then(described).alias(INTERPRETED)
    for scenario in SCENARIOS:
        yield pl.when(described).then(pl.col("scenarios").list.contains(scenario)).alias(scenario)
    for level in LEVELS:
        yield pl.when(described).then(pl.col("level") == level).alias(level)
