"""From a saved run to its comparison and report, without torch.

1. What lies in the run: maps of every prompt, word pairs of every head, or both.
2. The comparison and its findings.
3. The report; ``maps.parquet`` and ``comparison.json`` beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from aftertune.comparison.agreement import summarise_agreement
from aftertune.comparison.annotation_change import AnnotationChange
from aftertune.comparison.change import Comparison, compare_maps, without_maps
from aftertune.comparison.concept_change import ConceptChange
from aftertune.comparison.findings import describe
from aftertune.comparison.head_change import HeadChange
from aftertune.comparison.head_examples import most_changed
from aftertune.errors import RunError, WordError
from aftertune.prompts.prompt import find_rating
from aftertune.report import ReportContents
from aftertune.report import write_report as render
from aftertune.results import annotation_parts, concept_parts, head_parts
from aftertune.results.attribution import Attribution
from aftertune.results.concepts import ConceptReading
from aftertune.results.heads import HeadReading
from aftertune.results.layout import write_maps
from aftertune.results.maps import SalientMap
from aftertune.results.parts import write_text
from aftertune.results.run import RunFolder

ROLES = ("base", "tuned")
N_EXAMPLES = 3
Verbs = Sequence[str] | str | Path | None
Asked = Mapping[str, Any]


def write_report(run: str | Path, verbs: Verbs = None) -> Comparison:
    """Compare the measurements of a finished run and write its report, tables and figures again; needs no torch.

    ``verbs`` are other words to ask about in the heads: a list, or a file; by default those of the last time.

    Raises `RunError` if there is no run, or a model's measurements are not complete, and `WordError` for words that
    can't be used.
    """
    folder = RunFolder.open(run)
    if "base" not in folder.read_json("run.json")["identity"]:
        raise RunError(f"{run} holds one model. A report is of two: give the folder of a comparison.")
    if verbs is not None and not folder.exists("heads.json"):
        raise RunError(f"No heads are read in {run}, so no words can be asked about in them. Leave the verbs out.")
    return make_report(folder, None if verbs is None else read_asked(verbs))


def make_report(folder: RunFolder, asked: Asked | None) -> Comparison:
    """What `write_report` does, with words to ask about that are read already; None for those of the last time."""
    names, identity = _display_names(folder), folder.read_json("run.json")["identity"]
    maps, found = _maps(folder, names) if "prompts" in identity else ([], None)
    asked = asked or _last_asked(folder)
    heads = _head_change(folder, names, asked)
    concepts, annotations = _concept_changes(folder, names)
    if found is None and heads is None and concepts is None:
        raise RunError(
            f"Nothing is measured yet in {folder.address}. Start the comparison again; it goes on where it stopped."
        )
    if heads:
        folder.remember("verbs.json", asked)  # only now: words that can't be used are not asked about again
    comparison = replace(
        found or without_maps(names["base"], names["tuned"]), heads=heads, concepts=concepts, annotations=annotations
    )
    if maps:
        write_maps(maps, folder.path("maps.parquet"))
    write_text(folder.path("comparison.json"), json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False) + "\n")
    with folder.local() as place:
        render(place, _contents(folder, names, comparison, maps))
    return comparison


def open_heads(run: str | Path, role: str = "model") -> HeadReading:
    """The heads that lie in a run folder.

    ``role`` is "model" after ``aftertune heads``, "base" or "tuned" after ``aftertune compare``.

    Raises `RunError` if there is no run, or its heads are not read, not complete, or damaged.
    """
    folder = RunFolder.open(run)
    held = [one for one in ("model", *ROLES) if head_parts.HEADS.recall(folder, one)]
    if held and role not in held:
        raise RunError(f"{run} holds the heads of {' and '.join(held)}, not of {role!r}. Ask for a role that it holds.")
    return head_parts.open_heads(folder, role)


def open_annotations(run: str | Path, annotator: str | None = None) -> pl.DataFrame:
    """The annotations that lie in a run folder: those of ``annotator``, else the newest.

    Columns ``role, layer, expert, rank, repeat, description, scenarios, level, unparsed``. Raises `RunError` if there
    is no run, nobody annotated it, or they are damaged.
    """
    found = annotation_parts.open_annotations(RunFolder.open(run), annotator)
    if found is None:
        raise RunError(f"Nobody annotated the concepts of {run} yet. Do so first: aftertune annotate.")
    return found


def open_concepts(run: str | Path, role: str = "model") -> ConceptReading:
    """The concepts that lie in a run folder.

    ``role`` is "model" after ``aftertune concepts``, "base" or "tuned" after ``aftertune compare``.

    Raises `RunError` if there is no run, or its concepts are not read, not complete, or damaged.
    """
    return concept_parts.open_concepts(RunFolder.open(run), role)


def remember_names(folder: RunFolder, names: Mapping[str, str | None]) -> None:
    """Keep the names that the report shows; another call replaces them."""
    folder.remember("names.json", dict(names))


def read_asked(verbs: Verbs) -> Asked:
    """The ``verbs`` that are asked about in heads, and what texts call them; both None for the instruction verbs.

    Raises `WordError` for a file or a list that can't be used.
    """
    if verbs is None:
        return {"asked": None, "verbs": None}
    if isinstance(verbs, str | Path):
        from aftertune.comparison.verbs import read_verbs

        return {"asked": f"the words of {Path(verbs).name}", "verbs": read_verbs(str(verbs))}
    if not verbs or not all(isinstance(verb, str) for verb in verbs):
        raise WordError(f"The verbs are given as {repr(verbs)[:60]}. Give a list of words, or a file of them.")
    return {"asked": None, "verbs": list(verbs)}


def _maps(folder: RunFolder, names: Mapping[str, str]) -> tuple[list[SalientMap], Comparison]:
    rows = folder.read_json("prompts.json")["record"]["prompts"]
    found = {role: _read_attributions(folder, role, [row["id"] for row in rows]) for role in ROLES}
    maps = [
        one.to_map(row["id"], row["dataset"], names[role], find_rating(row["ratings"], names[role]))
        for role in ROLES
        for row, one in zip(rows, found[role], strict=True)
    ]
    checks = {names[role]: [one.agreement for one in found[role] if one.agreement] for role in ROLES}
    return maps, compare_maps(maps, names["base"], names["tuned"], agreement=summarise_agreement(checks))


def _last_asked(folder: RunFolder) -> Asked:
    return folder.read_json("verbs.json")["record"] if folder.exists("verbs.json") else read_asked(None)


def _concept_changes(
    folder: RunFolder, names: Mapping[str, str]
) -> tuple[ConceptChange | None, AnnotationChange | None]:
    """What changed in the concepts, and in what an annotator made of them; None for what was not done."""
    if not folder.exists("concepts.json"):
        return None, None
    from aftertune.comparison.annotated import compare_annotations
    from aftertune.comparison.concepts import compare_concepts

    readings = {role: concept_parts.open_concepts(folder, role, names[role]) for role in ROLES}
    concepts, marks = compare_concepts(readings["base"], readings["tuned"]), annotation_parts.open_annotations(folder)
    if marks is None:
        return concepts, None
    components = {role: reading.components for role, reading in readings.items()}
    return concepts, compare_annotations(
        marks, names["base"], names["tuned"], readings["base"].layers, components=components
    )


def _head_change(folder: RunFolder, names: Mapping[str, str], asked: Asked) -> HeadChange | None:
    if not folder.exists("heads.json"):
        return None
    from aftertune.comparison.heads import compare_heads

    base, tuned = (head_parts.open_heads(folder, role, names[role]) for role in ROLES)
    return compare_heads(base, tuned, asked["verbs"], asked=asked["asked"])


def _display_names(folder: RunFolder) -> dict[str, str]:
    given = folder.read_json("names.json")["record"] if folder.exists("names.json") else {}
    names = {role: str(given.get(role) or folder.read_json(f"{role}.json")["record"]["name"]) for role in ROLES}
    if names["base"] == names["tuned"]:
        return {role: f"{name} ({role})" for role, name in names.items()}
    return names


def _read_attributions(folder: RunFolder, role: str, ids: Sequence[str]) -> list[Attribution]:
    parts = [folder.part("attribution", role, id) for id in ids]
    missing = sum(not folder.exists(*part) for part in parts)
    if missing:
        raise RunError(
            f"{missing} of {len(parts)} prompts are not measured yet for {role} in {folder.address}. "
            "Start the same comparison again; it goes on where it stopped."
        )
    return [Attribution.from_row(folder.read(part)) for part in parts]


def _contents(
    folder: RunFolder,
    names: Mapping[str, str],
    comparison: Comparison,
    maps: list[SalientMap],
) -> ReportContents:
    record = folder.read_json("run.json")
    settings = record["identity"]["settings"]
    heads, concepts, named = comparison.heads, comparison.concepts, comparison.annotations
    return ReportContents(
        title=f"What tuning changed: {names['base']} and {names['tuned']}",
        base=names["base"],
        tuned=names["tuned"],
        findings=[asdict(finding) for finding in describe(comparison)],
        comparison=comparison.to_dict() if maps else None,
        maps=maps,
        check=comparison.agreement,
        removal=settings["removal"] if settings.get("route") == "removal" else None,
        settings={
            "run": record["identity"],
            "aftertune": record["record"]["aftertune"],
            "checkpoints": {role: folder.read_json(f"{role}.json")["record"] for role in ROLES},
        },
        notes=[*(_prompt_notes(folder, maps) if maps else []), *_weight_notes(folder)],
        heads=None if heads is None else _head_contents(folder, heads),
        concepts=None if concepts is None else _concept_contents(folder, concepts),
        annotations=None if named is None else _annotation_contents(folder, named),
    )


def _annotation_contents(folder: RunFolder, named: AnnotationChange) -> dict[str, Any]:
    about, found = annotation_parts.recall_annotations(folder), annotation_parts.open_annotations(folder)
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


def _prompt_notes(folder: RunFolder, maps: Sequence[SalientMap]) -> list[str]:
    notes = []
    prompts = folder.read_json("prompts.json")["record"]["prompts"]
    unmarked = sum(not row["marked"] for row in prompts)
    if unmarked:
        notes.append(
            f"In {unmarked} of {len(prompts)} prompts no instruction was marked: all that the user wrote, less the "
            "context where one was given, counts as instruction."
        )
    for model in dict.fromkeys(one.model for one in maps):
        empty = sum(one.model == model and one.n_response == 0 for one in maps)
        if empty:
            notes.append(f"{model} ended {empty} of {len(prompts)} responses at once; such a response scores 0.")
    return notes


def _weight_notes(folder: RunFolder) -> list[str]:
    if len({folder.read_json(f"{role}.json")["identity"]["fingerprint"] for role in ROLES}) == 1:
        return ["Both checkpoints have the same weights, so every difference here is noise of the computation."]
    return []
