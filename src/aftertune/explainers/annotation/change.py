"""What do an annotator's categories say of base and tuned?  Annotations in, one change out.  (Paper 5.2, D, E.2.)

1. Which components are marked with what, in every repeat (`marks`).
2. Tables 5 and 6, figures 3 and 7: shares of categories, tested between the models' repeats (`category_tables`).
3. Tables 7 to 10: the words of descriptions; tables 4, 11, 12: the clearest components (`descriptions`).
4. How far repeats agree, and how many answers could not be used (`agreement`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.agreement import agreement, unparsed
from aftertune.explainers.annotation.category_shares import (
    AgreementRow,
    CategoryRow,
    Figure3Row,
    Figure7Row,
    UnparsedRow,
    category_table,
    figure3,
    figure7,
)
from aftertune.explainers.annotation.descriptions import clearest_components, description_words
from aftertune.explainers.annotation.marks import INTERPRETED, ROLES, Marks, read_marks
from aftertune.explainers.annotation.result import (
    LEVELS,
    PLACE,
    SCENARIOS,
    open_annotations,
    recall_annotations,
)
from aftertune.runs.frames import frame_of
from aftertune.runs.held import Held
from aftertune.runs.result import Result
from aftertune.runs.roles import Pair
from aftertune.statistics.layers import layer_groups
from aftertune.statistics.spread import POOLED

LAYERS_PER_GROUP = 4
PLAIN = (
    *("base", "tuned", "layers", "annotator", "is_weak", "n_repeats_base", "n_repeats_tuned", "n_components"),
    *("n_left_out", "n_within_chance_base", "n_within_chance_tuned"),
)
ROWS = ("scenarios", "levels", "figure3", "figure7", "agreement", "unparsed")
LISTED = 10


class ComparedComponents(Protocol):
    """The components of two models, as a change of concepts has them.

    The frames have ``layer, expert, rank, variance_share, words, cosines, beyond_chance``.
    """

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were read."""

    @property
    def components_base(self) -> pl.DataFrame:
        """Those of the base model."""

    @property
    def components_tuned(self) -> pl.DataFrame:
        """Those of the tuned model."""


@dataclass(frozen=True, eq=False, repr=False)
class AnnotationChange(Result):
    """How an annotator's marks differ between the components of the models named ``base`` and ``tuned``.

    ``annotator`` is its name in the run (`open_annotations`), ``settings`` says how it was asked and how often;
    ``is_weak`` where it reads words far less well than a large model or a person.

    ``n_components`` places (layer, expert, rank) were annotated in every repeat of both models; ``n_left_out`` others
    were not, and count nowhere. Of the former, the words of ``n_within_chance_base`` and ``n_within_chance_tuned`` were
    not nearer to their component than chance would give; None where that is not known. ``interpreted`` is the share of
    components that could be described; ``scenarios`` and ``levels`` are the two halves of tables 5 and 6. ``words`` has
    the rows of `description_words` (tables 7 to 10), ``clear`` those of `clearest_components` (tables 4, 11 and 12).
    ``described`` has what each component was called in the first repeat: ``role, layer, expert, rank, description``.
    """

    base: str
    tuned: str
    layers: tuple[int, ...]
    annotator: str
    is_weak: bool
    settings: dict[str, Any]
    n_repeats_base: int
    n_repeats_tuned: int
    n_components: int
    n_left_out: int
    n_within_chance_base: int | None
    n_within_chance_tuned: int | None
    interpreted: CategoryRow
    scenarios: tuple[CategoryRow, ...]
    levels: tuple[CategoryRow, ...]
    figure3: tuple[Figure3Row, ...]
    figure7: tuple[Figure7Row, ...]
    words: pl.DataFrame
    clear: pl.DataFrame
    described: pl.DataFrame
    agreement: tuple[AgreementRow, ...]
    unparsed: tuple[UnparsedRow, ...]

    @property
    def categories(self) -> tuple[CategoryRow, ...]:
        """Tables 5 and 6: scenarios, levels, and the share interpreted."""
        return *self.scenarios, *self.levels, self.interpreted

    @property
    def layer_groups(self) -> tuple[str, ...]:
        """The names of the groups of layers, "all" last."""
        return tuple(dict.fromkeys(row.layers for row in self.figure7))

    def risen_words(self, layers: str = POOLED, n: int = LISTED) -> pl.DataFrame:
        """The ``n`` rows of ``words`` that rose most in a group of layers, most first (tables 7 to 10).

        Raises `RunError` if ``layers`` is none of the groups.
        """
        return self._words(layers).filter(pl.col("change") > 0).sort(-pl.col("change"), "word").head(n)

    def fallen_words(self, layers: str = POOLED, n: int = LISTED) -> pl.DataFrame:
        """The ``n`` rows of ``words`` that fell most; otherwise as `risen_words`."""
        return self._words(layers).filter(pl.col("change") < 0).sort("change", "word").head(n)

    def clearest(self, model: str, n: int = LISTED) -> pl.DataFrame:
        """The first ``n`` rows of ``clear`` of a model; raises `RunError` if ``model`` is neither of the two."""
        if model not in (self.base, self.tuned):
            raise RunError(f"The model {model!r} was not compared. Ask for {self.base!r} or {self.tuned!r}.")
        return self.clear.filter(model=model).head(n)

    def to_polars(self) -> pl.DataFrame:
        """Tables 5 and 6, a row for each scenario, each level, and the share interpreted; shares are 0 to 1."""
        return frame_of(self.categories, CategoryRow)

    def tables(self) -> dict[str, pl.DataFrame]:
        """The report's tables by name: ``categories, words, clearest, agreement, unparsed, figure3, figure7``.

        Of words they have those that rose and fell most, of components the clearest; ``words`` and ``clear`` have all.
        """
        return {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON data; of words those that rose and fell most, of components the clearest."""
        data = {name: getattr(self, name) for name in PLAIN} | {"interpreted": asdict(self.interpreted)}
        data |= {name: [asdict(row) for row in getattr(self, name)] for name in ROWS}
        data["words"] = self.moved_words().to_dicts()
        data["clear"] = [row for model in (self.base, self.tuned) for row in self.clearest(model).to_dicts()]
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def moved_words(self) -> pl.DataFrame:
        """Of each group of layers the words that rose most, then those that fell most."""
        found = [find(name) for name in self.layer_groups for find in (self.risen_words, self.fallen_words)]
        return pl.concat([self.words.clear(), *found])

    def _facts(self) -> dict[str, Any]:
        repeats = {"n_repeats_base": self.n_repeats_base, "n_repeats_tuned": self.n_repeats_tuned}
        return {"base": self.base, "tuned": self.tuned, "n_components": self.n_components} | repeats

    def _words(self, layers: str) -> pl.DataFrame:
        if layers not in self.layer_groups:
            raise RunError(f"{layers!r} is no group of layers. Ask for one of {', '.join(self.layer_groups)}.")
        return self.words.filter(pl.col("layers") == layers)


def compare_annotations(
    annotations: pl.DataFrame,
    base: str,
    tuned: str,
    layers: Sequence[int],
    *,
    components: Mapping[str, pl.DataFrame] | None = None,
    about: Mapping[str, Any] | None = None,
    n_groups: int | None = None,
    seed: int = 0,
) -> AnnotationChange:
    """Compare what an annotator made of the components of two models, called ``base`` and ``tuned``.

    ``annotations`` has the columns of `ANNOTATIONS`, with the roles "base" and "tuned"; ``layers`` are those that were
    read. ``components`` are those of the readings, by role: with them the clearest components have words, and words
    that are no nearer than chance are counted. ``about`` says how they were made (`recall_annotations`). ``n_groups``
    is the number of groups of neighbouring layers, by default such that a group has about four, as in the paper;
    ``seed`` that of intervals and permutations. Raises `RunError` if the annotations are not those of two models in
    these layers, have unknown categories or an answer twice, if no component was annotated in every repeat of both
    models, if ``n_groups`` is below 1, or if components lack a model or a column.
    """
    before, after, n_left_out = read_marks(annotations, base, tuned, layers)
    models = (before, after)
    groups = layer_groups(layers, -(-len(layers) // LAYERS_PER_GROUP) if n_groups is None else n_groups)
    return AnnotationChange(
        base=base,
        tuned=tuned,
        layers=tuple(layers),
        **_how_made(about or {}),
        n_repeats_base=before.n_repeats,
        n_repeats_tuned=after.n_repeats,
        n_components=before.components.height,
        n_left_out=n_left_out,
        n_within_chance_base=n_within_chance(before, components, "base"),
        n_within_chance_tuned=n_within_chance(after, components, "tuned"),
        interpreted=category_table(before, after, INTERPRETED, (INTERPRETED,), seed)[0],
        scenarios=category_table(before, after, "scenario", SCENARIOS, seed),
        levels=category_table(before, after, "level", LEVELS, seed),
        figure3=figure3(models, groups),
        figure7=figure7(models, groups),
        words=description_words(before, after, groups),
        clear=clearest_components(models, components),
        described=annotations.filter(pl.col("repeat") == 0).select("role", *PLACE, "description"),
        agreement=agreement(models),
        unparsed=unparsed(models),
    )


def compare_held(held: Held, pair: Pair, concepts: ComparedComponents | None) -> AnnotationChange | None:
    """What the run's newest annotator says of two models; None where it was not asked about both, or nothing is read.

    Raises `RunError` for annotations that are damaged or can't be compared.
    """
    found = held.once("annotations", lambda: open_annotations(held.run))
    if found is None or concepts is None or not set(pair) <= set(found["role"]):
        return None
    renamed = pl.col("role").replace(dict(zip(pair, ROLES, strict=True)))
    own = found.filter(pl.col("role").is_in(pair)).with_columns(renamed)
    components = {"base": concepts.components_base, "tuned": concepts.components_tuned}
    base, tuned = (held.names[role] for role in pair)
    about = recall_annotations(held.run)
    return compare_annotations(own, base, tuned, concepts.layers, components=components, about=about)


def n_within_chance(marks: Marks, components: Mapping[str, pl.DataFrame] | None, role: str) -> int | None:
    """Of how many annotated components the words are not beyond chance; None where that was not measured."""
    own = (components or {}).get(role)
    if own is None or "beyond_chance" not in own.columns or not own["beyond_chance"].count():
        return None
    return own.filter(~pl.col("beyond_chance")).join(marks.components, on=PLACE, how="semi").height


def _how_made(about: Mapping[str, Any]) -> dict[str, Any]:
    annotator = about.get("annotator", {})
    settings = {"annotator": annotator, **about.get("settings", {}), "counts": about.get("counts", {})}
    return {
        "annotator": str(annotator.get("name", "an annotator")),
        "is_weak": bool(annotator.get("weak", False)),
        "settings": settings if about else {},
    }
