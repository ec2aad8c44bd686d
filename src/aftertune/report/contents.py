"""What does a report show?

Everything in it was computed before: findings, the comparison's tables, the salient maps, the honesty check, the
attention heads, the concepts, what an annotator made of them and the settings. They arrive as plain dictionaries, so
that a saved run can be shown again without the code that made it. A key that a table needs and that is missing is
refused; keys that the report does not know are let through. Prompts (``comparison``), heads and concepts are three
methods; a report shows any of them. Annotations come with concepts or not at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aftertune.errors import RunError
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.report.required import (
    ANNOTATION_FACTS,
    ANNOTATION_REQUIRED,
    CATEGORY,
    CHECK,
    COMPONENTS,
    CONCEPT_FACTS,
    CONCEPT_FRAMES,
    CONCEPT_REQUIRED,
    DEPTH,
    DESCRIBED,
    FINDING,
    HEAD_FACTS,
    HEAD_FRAMES,
    HEAD_REQUIRED,
    PAIRED,
    REQUIRED,
    ROTATION_SPREADS,
    SPREAD,
)

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ReportContents:
    """All that one report shows; ``maps`` are of both models, each map's ``model`` is ``base`` or ``tuned``.

    ``removal`` is "zeroed" or "deleted" where the maps are of removal itself, None where they are of the first order.
    ``summary`` has the few sentences that matter most, of the ``findings``.
    ``comparison`` is None where prompts were not measured (there are no maps then), ``heads`` where attention heads
    were not read, ``concepts`` where feed-forward layers were not. ``heads`` has the tables of `HEAD_REQUIRED` as rows,
    those of `HEAD_FRAMES` as polars frames, and the `HEAD_FACTS`; ``concepts`` has the tables of `CONCEPT_REQUIRED` as
    rows, those of `CONCEPT_FRAMES` as polars frames with the columns of `COMPONENTS` (all base components; the tuned,
    and the base components that are no best match), and the `CONCEPT_FACTS`. ``annotations``, None where nobody
    described the concepts, has the tables of `ANNOTATION_REQUIRED` as rows and the `ANNOTATION_FACTS`: ``annotator`` by
    name, ``is_weak`` if it is to be read with care, and ``described``, a polars frame with the columns of `DESCRIBED`:
    the description of each component of a model (``role`` "base" or "tuned"), null where it could not be described.

    Raises `RunError` if a table, a row or a key is missing, if there is nothing to show, if annotations come without
    concepts, or if a map belongs to neither model.
    """

    title: str
    base: str
    tuned: str
    findings: list[dict[str, Any]]
    comparison: dict[str, Any] | None
    maps: list[SalientMap]
    check: dict[str, Any] | None = None
    removal: str | None = None
    summary: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    heads: dict[str, Any] | None = None
    concepts: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.comparison is not None:
            _check_tables("the report's comparison", self.comparison, REQUIRED)
            _check_nested(self.comparison)
        if self.heads is not None:
            _check_tables("the report's heads", self.heads, HEAD_REQUIRED)
            _check_heads(self.heads)
        if self.concepts is not None:
            _check_tables("the report's concepts", self.concepts, CONCEPT_REQUIRED)
            _check_concepts(self.concepts)
        if self.annotations is not None:
            _check_tables("the report's annotations", self.annotations, ANNOTATION_REQUIRED)
            _check_annotations(self.annotations)
        for number, finding in enumerate(self.findings, start=1):
            _need(f"finding {number}", finding, FINDING)
        if self.check is not None:
            _need("the honesty check", self.check, CHECK)
        self._check_parts()
        self._check_models()

    @property
    def models(self) -> tuple[str, str]:
        """The names of both models, base first."""
        return self.base, self.tuned

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table by its name; none where what it shows was not run."""
        held = self.comparison
        if name in HEAD_REQUIRED:
            held = self.heads
        elif name in CONCEPT_REQUIRED:
            held = self.concepts
        elif name in ANNOTATION_REQUIRED:
            held = self.annotations
        return list(held[name]) if held is not None else []

    def _check_parts(self) -> None:
        if self.comparison is None and self.heads is None and self.concepts is None:
            raise RunError("There is nothing to report. Give the comparison of prompts, of heads or of concepts.")
        if self.comparison is None and self.maps:
            raise RunError(f"{len(self.maps)} maps came without their comparison. Give both, or neither of them.")
        if self.concepts is None and self.annotations is not None:
            raise RunError("Annotations came without the concepts that they are of. Give both, or neither of them.")

    def _check_models(self) -> None:
        if self.base == self.tuned:
            raise RunError(f"Base and tuned are both called {self.base!r}. Give them different names for the report.")
        for salient in self.maps:
            if salient.model not in (self.base, self.tuned):
                raise RunError(
                    f"The map of {salient.id!r} is of model {salient.model!r}; the report compares {self.base!r} "
                    f"with {self.tuned!r}. Name the two models as the maps do."
                )


def _check_tables(what: str, given: Mapping[str, Any], tables: Mapping[str, Iterable[str]]) -> None:
    _need(what, given, tables)
    for name, keys in tables.items():
        for number, row in enumerate(given[name], start=1):
            _need(f"{name}, row {number},", row, keys)


def _check_heads(heads: Mapping[str, Any]) -> None:
    _need("the report's heads", heads, [*HEAD_FACTS, *HEAD_FRAMES])
    for name, columns in HEAD_FRAMES.items():
        _need(f"the frame of {name}", {column: None for column in heads[name].columns}, columns)
    if heads["depth"] is not None:
        _need("the trend over depth", heads["depth"], DEPTH)
    for row in heads["table3"]:
        _need("table3, instruction,", row["instruction"], SPREAD)
        _need("table3, general,", row["general"], SPREAD)
    for row in heads["figure2"]:
        _need("figure2, distance,", row["distance"], SPREAD)


def _check_concepts(concepts: Mapping[str, Any]) -> None:
    _need("the report's concepts", concepts, [*CONCEPT_FACTS, *CONCEPT_FRAMES])
    for name in CONCEPT_FRAMES:
        _need(f"the frame of {name}", {column: None for column in concepts[name].columns}, COMPONENTS)
    for row in concepts["rotation"]:
        for name in ROTATION_SPREADS:
            _need(f"rotation, {name},", row[name], SPREAD)
    for row in concepts["figure8"]:
        _need("figure8, accumulated,", row["accumulated"], SPREAD)


def _check_annotations(annotations: Mapping[str, Any]) -> None:
    _need("the report's annotations", annotations, ANNOTATION_FACTS)
    _need("the share interpreted", annotations["interpreted"], CATEGORY)
    frame = annotations["described"]
    _need("the frame of descriptions", {column: None for column in frame.columns}, DESCRIBED)
    for row in (*annotations["scenarios"], *annotations["levels"], annotations["interpreted"]):
        _need(f"{row['category']}, base,", row["base"], SPREAD)
        _need(f"{row['category']}, tuned,", row["tuned"], SPREAD)
    for name in ("figure3", "figure7"):
        for row in annotations[name]:
            _need(f"{name}, share,", row["share"], SPREAD)


def _check_nested(comparison: Mapping[str, Any]) -> None:
    for row in comparison["table1"]:
        _need("table1, followed,", row["followed"], SPREAD)
        _need("table1, unfollowed,", row["unfollowed"], SPREAD)
    for row in comparison["table2"]:
        _need("table2, base,", row["base"], SPREAD)
        _need("table2, tuned,", row["tuned"], SPREAD)
        if row["paired"] is not None:
            _need("table2, paired,", row["paired"], PAIRED)


def _need(what: str, given: Mapping[str, Any], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in given]
    if missing:
        raise RunError(
            f"{what} has no {', '.join(missing)}; it has {', '.join(map(str, given)) or 'nothing'}. "
            "Compare the run again with this version, so that the report finds all it shows."
        )
