"""What the reports of a run show: that of two models, and the page on more."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.parts import recall_annotations
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.findings import describe
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.examples import most_changed
from aftertune.report.contents import ReportContents
from aftertune.report.lineage import LineageContents
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder
from aftertune.study.saved.measured import Measured
from aftertune.study.stage_findings import describe_lineage
from aftertune.study.stages import (
    Lineage,
    instance_rows,
    rows_of_models,
    rows_of_pairs,
    score_table,
    turned_table,
)
from aftertune.study.summary import summarise

N_EXAMPLES = 3


def contents_of(folder: RunFolder, measured: Measured, pair: Pair, comparison: Comparison) -> ReportContents:
    """The contents of the report of a pair, with what the run says of its settings and checkpoints."""
    record = folder.read_json("run.json")
    settings = record["identity"]["settings"]
    heads, concepts, named = comparison.heads, comparison.concepts, comparison.annotations
    maps = [one for role in pair for one in measured.maps.get(role, [])]
    findings = describe(comparison)
    return ReportContents(
        title=f"What tuning changed: {comparison.base} and {comparison.tuned}",
        base=comparison.base,
        tuned=comparison.tuned,
        findings=[asdict(finding) for finding in findings],
        summary=summarise(findings),
        comparison=comparison.to_dict() if maps else None,
        maps=maps,
        check=comparison.agreement,
        removal=settings["removal"] if settings.get("route") == "removal" else None,
        settings={
            "run": record["identity"],
            "aftertune": record["record"]["aftertune"],
            "checkpoints": {role: folder.read_json(f"{role}.json")["record"] for role in pair},
        },
        notes=[*(_prompt_notes(folder, measured, pair) if maps else []), *_weight_notes(folder, pair)],
        heads=None if heads is None else _head_contents(folder, heads),
        concepts=None if concepts is None else _concept_contents(folder, concepts),
        annotations=None if named is None else _annotation_contents(folder, measured, pair, named),
    )


def lineage_contents(folder: RunFolder, lineage: Lineage, places: Mapping[Pair, str]) -> LineageContents:
    """The contents of the page on all models; ``places`` are the folders of the pairs' reports, in their order."""
    record = folder.read_json("run.json")
    of_models = {"table1": "", "figure6": "", "figure8": "concepts", "figure3": "annotations", "figure7": "annotations"}
    of_pairs = {"figure2": "heads", "table3": "heads", "rotation": "concepts"}
    findings = describe_lineage(lineage)
    return LineageContents(
        title=f"What each stage of tuning changed: {', '.join(lineage.names)}",
        models=lineage.names,
        pairs=tuple((one.base, one.tuned) for one in lineage.comparisons),
        places=tuple(f"{place}/report.html" for place in places.values()),
        findings=[asdict(finding) for finding in findings],
        summary=summarise(findings),
        tables={"table2": score_table(lineage), "turned": turned_table(lineage), "instances": instance_rows(lineage)}
        | {table: rows_of_models(lineage, part, table) for table, part in of_models.items()}
        | {table: rows_of_pairs(lineage, part, table) for table, part in of_pairs.items()},
        settings={"run": record["identity"], "aftertune": record["record"]["aftertune"]},
    )


def _annotation_contents(folder: RunFolder, measured: Measured, pair: Pair, named: AnnotationChange) -> dict[str, Any]:
    about, found = recall_annotations(folder), measured.annotations_of(pair)
    assert about is not None and found is not None, "they were compared"
    columns = ("layer", "expert", "rank", "role", "description")
    return named.to_dict() | {
        "annotator": about["annotator"]["name"],
        "is_weak": about["annotator"].get("weak", False),
        "described": found.filter(repeat=0).select(columns),
    }


def _concept_contents(folder: RunFolder, concepts: ConceptChange) -> dict[str, Any]:
    settings = folder.read_json("concepts.json")["identity"]
    return concepts.to_dict() | {
        "networks": concepts.networks.to_dicts(),
        "components": concepts.components,
        "new_components": concepts.new_components(),
        "lost_components": concepts.lost_components(),
        "words_source": settings["words"]["source"],
        "n_components": settings["plan"]["n_components"],
        "settings": settings,
    }


def _head_contents(folder: RunFolder, heads: HeadChange) -> dict[str, Any]:
    settings = folder.read_json("heads.json")["identity"]
    return heads.to_dict() | {
        "pairs": heads.pairs,
        "neurons": most_changed(heads, N_EXAMPLES),
        "words_source": settings["words"]["source"],
        "vectors_source": settings["vectors"]["source"],
        "settings": settings,
    }


def _prompt_notes(folder: RunFolder, measured: Measured, pair: Pair) -> list[str]:
    notes, labels = _label_notes(measured, pair), measured.labels
    prompts = folder.read_json("prompts.json")["record"]["prompts"]
    unmarked = sum(not row["marked"] and labels.spans(row["id"]) is None for row in prompts)
    if unmarked:
        notes.append(
            f"In {unmarked} of {len(prompts)} prompts no instruction was marked: all that the user wrote, less the "
            "context where one was given, counts as instruction."
        )
    for role in pair:
        empty = sum(one.n_response == 0 for one in measured.maps[role])
        if empty:
            notes.append(
                f"{measured.names[role]} ended {empty} of {len(prompts)} responses at once; such a response scores 0."
            )
    return notes


def _label_notes(measured: Measured, pair: Pair) -> list[str]:
    labels, ids = measured.labels, [prompt.id for prompt in measured.prompts]
    rated = sum(labels.rating(id, role) is not None for id in ids for role in pair)
    marked = sum(labels.spans(id) is not None for id in ids)
    if not rated and not marked:
        return []
    rule = (
        "Of several ratings the median counts, between two levels the lower one; a character is instruction where at "
        "least half of those who marked the prompt marked it."
        if len(labels.raters) > 1
        else "Nobody labelled beside them, so how far others would agree is not known."
    )
    return [
        f"People rated {rated} of {len(ids) * len(pair)} responses and marked the instruction of {marked} of "
        f"{len(ids)} prompts (aftertune label: {', '.join(labels.raters)}). {rule}"
    ]


def _weight_notes(folder: RunFolder, pair: Pair) -> list[str]:
    if len({folder.read_json(f"{role}.json")["identity"]["fingerprint"] for role in pair}) == 1:
        return ["Both checkpoints have the same weights, so every difference here is noise of the computation."]
    return []
