"""What was measured of the models of a run, read once, and how two of them compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation import parts as annotation_parts
from aftertune.explainers.attribution.change import Comparison, compare_maps, without_maps
from aftertune.explainers.attribution.labelled import labelled_maps
from aftertune.explainers.attribution.maps import SalientMap
from aftertune.explainers.attribution.raters import rater_rows
from aftertune.explainers.attribution.removal_check import summarise_agreement
from aftertune.explainers.attribution.result import Attribution
from aftertune.explainers.concepts import parts as concept_parts
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.heads import parts as head_parts
from aftertune.explainers.heads.result import HeadReading
from aftertune.labelling.labels import Labels
from aftertune.labelling.store import read_labels
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.record import from_record, with_text
from aftertune.runs.names import NAMES, display_names
from aftertune.runs.roles import BASE, TUNED, Pair, pairs_of, roles_of
from aftertune.runs.run import RunFolder
from aftertune.study.saved.asked import Asked
from aftertune.study.stages import Lineage


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything in a run by role, in the order of the roles; what was not measured has no entries.

    ``names`` are those that the report shows, ``annotations`` those of the newest annotator, None if there is none.
    ``labels`` are what people said of the ``prompts``; the maps have them in them already.
    """

    names: dict[str, str]
    maps: dict[str, list[SalientMap]]
    agreements: dict[str, list[Any]]
    heads: dict[str, HeadReading]
    concepts: dict[str, ConceptReading]
    annotations: pl.DataFrame | None
    prompts: tuple[Prompt, ...]
    labels: Labels

    def annotations_of(self, pair: Pair) -> pl.DataFrame | None:
        """The annotations of two models, whose roles are called "base" and "tuned"."""
        if self.annotations is None:
            return None
        called = pl.col("role").replace({pair.base: BASE, pair.tuned: TUNED})
        return self.annotations.filter(pl.col("role").is_in(pair)).with_columns(called)


def read_measured(folder: RunFolder) -> Measured:
    """Read a run of several models; raises `RunError` if nothing is measured, or not all of it."""
    roles, names, labels = roles_of(folder), display_names(folder), read_labels(folder)
    has_prompts = "prompts" in folder.read_json("run.json")["identity"]
    rows = folder.read_json("prompts.json")["record"]["prompts"] if has_prompts else []
    found = {role: _read_attributions(folder, role, [row["id"] for row in rows]) for role in roles if has_prompts}
    prompts = [with_text(from_record(row), one.text) for row, one in zip(rows, found.get(BASE, ()), strict=True)]
    measured = Measured(
        names=names,
        maps={role: labelled_maps(own, prompts, role, names[role], labels) for role, own in found.items()},
        agreements={role: [one.agreement for one in own if one.agreement] for role, own in found.items()},
        heads=_read(folder, "heads.json", head_parts.open_heads, names),
        concepts=_read(folder, "concepts.json", concept_parts.open_concepts, names),
        annotations=annotation_parts.open_annotations(folder),
        prompts=tuple(prompts),
        labels=labels,
    )
    if not (measured.maps or measured.heads or measured.concepts):
        raise RunError(
            f"Nothing is measured yet in {folder.address}. Start the comparison again; it goes on where it stopped."
        )
    return measured


def open_several(run: str | Path) -> RunFolder:
    """The folder of a run of several models; raises `RunError` if there is none, or it holds one model."""
    folder = RunFolder.open(run)
    if len(roles_of(folder)) == 1:
        raise RunError(f"{run} holds one model. A report is of two: give the folder of a comparison.")
    return folder


def compare_all(measured: Measured, asked: Asked) -> dict[Pair, Comparison]:
    """The comparison of each model with its predecessor and with the first."""
    return {pair: compare_pair(measured, pair, asked) for pair in pairs_of(list(measured.names))}


def joined(found: Mapping[Pair, Comparison]) -> Comparison | Lineage:
    """The comparison of two models, the lineage of more."""
    comparisons = tuple(found.values())
    if len(comparisons) == 1:
        return comparisons[0]
    first = comparisons[0].base
    return Lineage((first, *(one.tuned for one in comparisons if one.base == first)), comparisons)


def compare_pair(measured: Measured, pair: Pair, asked: Asked) -> Comparison:
    """Compare two of the models by everything that was measured of them."""
    found = without_maps(measured.names[pair.base], measured.names[pair.tuned])
    if measured.maps:
        checks = {measured.names[role]: measured.agreements[role] for role in pair}
        maps = [one for role in pair for one in measured.maps[role]]
        found = compare_maps(maps, found.base, found.tuned, agreement=summarise_agreement(checks))
        labels = measured.labels
        raters = rater_rows(labels.judged_ratings(pair), labels.judged_characters(measured.prompts))
        found = replace(found, raters=raters)
    return replace(found, **_head_change(measured, pair, asked), **_concept_changes(measured, pair))


def remember_names(folder: RunFolder, names: Mapping[str, str | None]) -> None:
    """Keep the names that the report shows; another call replaces them."""
    folder.remember(NAMES, dict(names))


def _head_change(measured: Measured, pair: Pair, asked: Asked) -> dict[str, Any]:
    if not measured.heads:
        return {}
    from aftertune.explainers.heads.compare import compare_heads

    base, tuned = (measured.heads[role] for role in pair)
    return {"heads": compare_heads(base, tuned, asked["verbs"], asked=asked["asked"])}


def _concept_changes(measured: Measured, pair: Pair) -> dict[str, Any]:
    """What changed in the concepts, and in what an annotator made of them."""
    if not measured.concepts:
        return {}
    from aftertune.explainers.annotation.compare import compare_annotations
    from aftertune.explainers.concepts.compare import compare_concepts

    base, tuned = (measured.concepts[role] for role in pair)
    found: dict[str, Any] = {"concepts": compare_concepts(base, tuned)}
    marks = measured.annotations_of(pair)
    if marks is not None:
        components = {BASE: base.components, TUNED: tuned.components}
        found["annotations"] = compare_annotations(marks, base.model, tuned.model, base.layers, components=components)
    return found


def _read(folder: RunFolder, settings: str, read: Any, names: Mapping[str, str]) -> dict[str, Any]:
    return {role: read(folder, role, name) for role, name in names.items()} if folder.exists(settings) else {}


def _read_attributions(folder: RunFolder, role: str, ids: Sequence[str]) -> list[Attribution]:
    parts = [folder.part("attribution", role, id) for id in ids]
    missing = sum(not folder.exists(*part) for part in parts)
    if missing:
        raise RunError(
            f"{missing} of {len(parts)} prompts are not measured yet for {role} in {folder.address}. "
            "Start the same comparison again; it goes on where it stopped."
        )
    return [Attribution.from_row(folder.read(part)) for part in parts]
