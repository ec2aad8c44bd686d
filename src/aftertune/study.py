"""The whole method: measure two checkpoints on the same prompts, compare, tell.

`compare` measures and needs torch; `score` and `write_report` start from saved maps and do not.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from aftertune import __version__
from aftertune.comparison.agreement import summarise_agreement
from aftertune.comparison.change import Comparison, compare_maps
from aftertune.comparison.findings import describe
from aftertune.errors import PromptError, RunError
from aftertune.prompts.formats import read_prompts
from aftertune.prompts.prompt import Prompt, find_rating
from aftertune.prompts.released import locate
from aftertune.report import ReportContents
from aftertune.report import write_report as render
from aftertune.results.attribution import Attribution
from aftertune.results.layout import RawMap, read_maps, write_maps
from aftertune.results.maps import SalientMap
from aftertune.results.parts import write_text
from aftertune.results.run import RunFolder
from aftertune.subject import Subject

if TYPE_CHECKING:
    from aftertune.attribution.measure import Plan

ROLES = ("base", "tuned")
Progress = Callable[[str, float, float], None]


def compare(
    base: str | Path | Subject,
    tuned: str | Path | Subject,
    run: str | Path,
    prompts: Sequence[Prompt] | str | Path | None = None,
    plan: "Plan | None" = None,
    *,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """What did tuning change in how responses use their prompts?  (Section 4.)

    Both checkpoints answer the same prompts greedily, or are given the responses that the prompts carry; every
    response is attributed to its prompt; the run folder keeps all of it and the report. ``base`` and ``tuned`` are
    what `aftertune.load` takes, or an `aftertune.Subject` where an adapter, a revision or another name belongs to it.
    ``prompts`` is a file (see `aftertune.read_prompts`) or a list, by default the twelve that come with Aftertune;
    ``plan`` says what is measured on each (see `aftertune.Plan`). An interrupted run goes on where it stopped when it
    is called again.

    Raises `CheckpointError`, `PromptError`, `AttributionError`, and `RunError` if ``run`` holds another run.
    """
    from aftertune.attribution.measure import Plan, is_measured, measure
    from aftertune.models import load
    from aftertune.pairing import claim, must_be_comparable

    plan, tell = plan or Plan(), progress or (lambda *_: None)
    asked = _choose_prompts(prompts, limit)
    given = {"base": base, "tuned": tuned}
    subjects = {role: one if isinstance(one, Subject) else Subject(one) for role, one in given.items()}
    identity = {role: subject.identity() for role, subject in subjects.items()} | {
        "settings": asdict(plan) | {"dtype": dtype},
        "prompts": {"n": len(asked), "sha256": _digest(asked)},
    }
    folder = RunFolder.start(run, identity, {"aftertune": __version__})
    left = [role for role in ROLES if not (is_measured(role, asked, folder) and folder.exists(f"{role}.json"))]
    # A mistake in the second must not be told after hours of work on the first.
    must_be_comparable([subjects[role] for role in left], asked, plan.template, trust_remote_code)
    for role in left:
        one = subjects[role]
        tell(f"{role}: loading", 0, 1)
        checkpoint = load(one.ref, one.adapter, device, dtype, one.revision, trust_remote_code=trust_remote_code)
        claim(folder, role, checkpoint, asked, plan.template)
        tell(f"{role}: loading", 1, 1)
        measure(checkpoint, role, asked, plan, folder, _named(tell, role))
        del checkpoint
    names = {role: subject.name for role, subject in subjects.items()}
    write_text(folder.path("names.json"), json.dumps({"identity": {}, "record": names}) + "\n")
    return write_report(folder.address)


def score(
    maps: str | Path, prompts: Sequence[Prompt] | str | Path, base: str | None = None, tuned: str | None = None
) -> Comparison:
    """Tables 1 and 2 and figure 6 from maps computed elsewhere (Parquet in the layout of `results.layout`).

    ``prompts`` is a file or a list, as for `compare`. ``base`` and ``tuned`` name two models of the file; they may be
    left out where it holds two models of which one is rated: that one is the tuned.

    Raises `RunError` for an unusable file and for names that it does not hold, `PromptError` for maps without their
    prompt.
    """
    raw = read_maps(maps)
    known = {prompt.id: prompt for prompt in _choose_prompts(prompts, None)}
    unknown = sorted({item.id for item in raw} - known.keys())
    if unknown:
        raise PromptError(
            f"{len(unknown)} maps have no prompt of their id (first: {unknown[0]!r}). Give the prompts of the maps."
        )
    base, tuned = _name_models(raw, known, base, tuned)
    return compare_maps([locate(item, known[item.id]) for item in raw], base, tuned)


def write_report(run: str | Path) -> Comparison:
    """Compare the maps of a finished run and write its report, tables and figures again; needs no torch.

    Raises `RunError` if there is no run, or a model's measurements are not complete.
    """
    folder = RunFolder.open(run)
    rows = folder.read_json("prompts.json")["record"]["prompts"]
    names = _display_names(folder)
    found = {role: _read_attributions(folder, role, [row["id"] for row in rows]) for role in ROLES}
    maps = [
        one.to_map(row["id"], row["dataset"], names[role], find_rating(row["ratings"], names[role]))
        for role in ROLES
        for row, one in zip(rows, found[role], strict=True)
    ]
    checks = {names[role]: [one.agreement for one in found[role] if one.agreement] for role in ROLES}
    comparison = compare_maps(maps, names["base"], names["tuned"], agreement=summarise_agreement(checks))
    write_maps(maps, folder.path("maps.parquet"))
    write_text(folder.path("comparison.json"), json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False) + "\n")
    with folder.local() as place:
        render(place, _contents(folder, names, comparison, maps))
    return comparison


def _choose_prompts(prompts: Sequence[Prompt] | str | Path | None, limit: int | None) -> list[Prompt]:
    if prompts is None:
        prompts = str(files("aftertune") / "demo" / "prompts.jsonl")
    if isinstance(prompts, str | Path):
        return read_prompts(prompts, limit)
    if not prompts:
        raise PromptError("No prompt was given. Give at least one, or leave prompts out for those of Aftertune.")
    return list(prompts[:limit])


def _digest(prompts: Sequence[Prompt]) -> str:
    plain = [asdict(prompt) for prompt in prompts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _named(progress: Progress, role: str) -> Progress:
    return lambda what, done, total: progress(f"{role}: {what}", done, total)


def _name_models(
    raw: Sequence[RawMap], prompts: Mapping[str, Prompt], base: str | None, tuned: str | None
) -> tuple[str, str]:
    models = sorted({item.model for item in raw})
    rated = {item.model for item in raw if prompts[item.id].rating(item.model) is not None}
    if base is None and tuned is None and len(models) == 2 and len(rated) == 1:
        (tuned,) = rated
        (base,) = set(models) - rated
    for name in (base, tuned):
        if name not in models:
            held = ", ".join(models) or "no model"
            wrong = f", not of {name}" if name else ""
            raise RunError(f"The maps are of {held}{wrong}. Name two of them: --base A --tuned B.")
    assert base is not None and tuned is not None
    return base, tuned


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
    return ReportContents(
        title=f"What tuning changed: {names['base']} and {names['tuned']}",
        base=names["base"],
        tuned=names["tuned"],
        findings=[asdict(finding) for finding in describe(comparison)],
        comparison=comparison.to_dict(),
        maps=maps,
        check=comparison.agreement,
        removal=settings["removal"] if settings["route"] == "removal" else None,
        settings={
            "run": record["identity"],
            "aftertune": record["record"]["aftertune"],
            "checkpoints": {role: folder.read_json(f"{role}.json")["record"] for role in ROLES},
        },
        notes=_notes(folder, maps),
    )


def _notes(folder: RunFolder, maps: Sequence[SalientMap]) -> list[str]:
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
    if len({folder.read_json(f"{role}.json")["identity"]["fingerprint"] for role in ROLES}) == 1:
        notes.append("Both checkpoints have the same weights, so every difference here is noise of the computation.")
    return notes
