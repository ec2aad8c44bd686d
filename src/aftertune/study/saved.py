"""A saved run -> its comparison and report, without torch.

1. Everything that was measured is read once.
2. Each model is compared with its predecessor and with the first.
3. Of two models: the report in the run's folder. Of more: one page on all of them there, and the report of each pair
   in a folder below. ``comparison.json`` beside it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune.errors import RunError
from aftertune.explainers import AnyExplainer, explainers
from aftertune.explainers.settings import Settings
from aftertune.report import files
from aftertune.report.page import Report
from aftertune.report.page import write_report as write_page
from aftertune.runs.held import Held
from aftertune.runs.parts import write_text
from aftertune.runs.records import OfRun, OfSubject, identity_of, model_record, record_of
from aftertune.runs.roles import Pair, display_names, is_same, pairs_of, roles_of, server_of
from aftertune.runs.run import RunFolder
from aftertune.statistics.verdict import PLACEHOLDERS, Addresses, options_in
from aftertune.study.comparison import Comparison
from aftertune.study.made import methods_lead, saved_making
from aftertune.study.rounding import saved_roundings
from aftertune.study.rows import saved_rows
from aftertune.study.stages import Stages
from aftertune.study.study import homes_of, measuring
from aftertune.study.templates import saved_template
from aftertune.study.tokens import saved_tokens

ASKED, EVIDENCE = "asked.json", "evidence.json"
PAIRS = "pairs"
Found = Comparison | Stages


def open_comparison(run: str | Path, **settings: Any) -> Found:
    """Compare what lies in the folder of a finished run, as its report does, and write nothing; needs no torch.

    ``settings`` are those that are asked of what is measured already (``verbs``, the words asked about in heads), by
    default those of the last report. Returns the comparison of two models, or the stages of more.

    Raises `RunError` if there is no run of several models, or not all of it is measured, and `AftertuneError` for
    settings that can't be used.
    """
    return joined(open_pairs(run, **settings))


def open_pairs(run: str | Path, **settings: Any) -> dict[Pair, Comparison]:
    """What `open_comparison` gives, by the pair of models."""
    folder = open_run(run)
    return compare_pairs(Held(folder), _settings_for(folder, settings))


def write_report(run: str | Path, **settings: Any) -> Found:
    """Compare the measurements of a finished run and write its report, tables and figures again; needs no torch.

    ``settings`` and what it returns are those of `open_comparison`. Raises `RunError` and what else that raises.
    """
    folder = open_run(run)
    return make_report(folder, _settings_for(folder, settings))


def open_run(run: str | Path) -> RunFolder:
    """The folder of a run of several models; raises `RunError` if there is none, or it holds one model."""
    folder = RunFolder.open(run)
    if len(roles_of(folder)) == 1:
        raise RunError(f"{run} holds one model. A report is of two or more: give the folder of a comparison.")
    return folder


def make_report(folder: RunFolder, settings: Mapping[str, Settings]) -> Found:
    """What `write_report` does, with settings of each explainer that are checked already."""
    compared = compare_pairs(Held(folder), settings)
    found = joined(compared)
    _remember(folder, settings)  # only now: they could be used
    with folder.home():
        for name, explainer in explainers().items():
            changes = [one.changes[name] for one in compared.values() if name in one.changes]
            if changes:
                explainer.write(changes, folder)
        folder.remember(EVIDENCE, {"-".join(pair): one.evidence() for pair, one in compared.items()})
        write_text(folder.path("comparison.json"), json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n")
        with folder.local() as root:
            _write_pages(root, folder, compared, found)
    folder.must_be_there()
    return found


def write_files(run: str | Path, outs: Sequence[Path], **settings: Any) -> Found:
    """Write single tables, figures, methods or the page of a finished run to files of their own; needs no torch.

    What each of ``outs`` is follows from its name (`aftertune.report.files`). ``settings`` and what it returns are
    those of `open_comparison`. Raises `RunError` for a name that stands for nothing, before anything is written.
    """
    files.must_be_known(outs)
    folder = open_run(run)
    compared = compare_pairs(Held(folder), _settings_for(folder, settings))
    found = joined(compared)
    files.write_files(whole_report(folder, compared, found), outs)
    return found


def whole_report(folder: RunFolder, compared: Mapping[Pair, Comparison], found: Found) -> Report:
    """The report on all models of a run, two or more."""
    if isinstance(found, Stages):
        return report_of_stages(folder, found, _places(compared))
    pair, comparison = next(iter(compared.items()))
    return report_of(folder, pair, comparison)


def _remember(folder: RunFolder, settings: Mapping[str, Settings]) -> None:
    """Keep what was asked of each explainer that the run holds."""
    present = {name: one.remembered() for name, one in settings.items() if explainers()[name].is_in(folder)}
    folder.remember(ASKED, {name: asked for name, asked in present.items() if asked})


def compare_pairs(held: Held, settings: Mapping[str, Settings]) -> dict[Pair, Comparison]:
    """The comparison of each model with its predecessor and with the first.

    Raises `RunError` if nothing is measured, or not all of it.
    """
    present = {name: one for name, one in explainers().items() if one.is_in(held.run)}
    pairs = pairs_of(list(held.names))
    if not present and not all(is_same(held.run, pair) for pair in pairs):
        raise RunError(f"Nothing is measured yet in {held.run.address}. Run the same comparison again to measure it.")
    return {pair: _compare(held, pair, present, settings) for pair in pairs}


def joined(found: Mapping[Pair, Comparison]) -> Found:
    """The comparison of two models, the stages of more."""
    comparisons = tuple(found.values())
    if len(comparisons) == 1:
        return comparisons[0]
    first = comparisons[0].base
    return Stages((first, *(one.tuned for one in comparisons if one.base == first)), comparisons)


def _compare(
    held: Held, pair: Pair, present: Mapping[str, AnyExplainer], settings: Mapping[str, Settings]
) -> Comparison:
    names, at = (held.names[pair.base], held.names[pair.tuned]), _addresses(held.run, pair)
    rows = saved_rows(held.run) or {}
    if is_same(held.run, pair):
        return Comparison(*names, is_same=True, rows=rows, addresses=at)
    changes: dict[str, Any] = {}
    for name, explainer in present.items():
        if set(explainer.needs) <= set(changes):
            needs = {one: changes[one] for one in (*explainer.needs, *explainer.uses) if one in changes}
            own = settings.get(name) or explainer.settings()
            change = explainer.change(held, pair, own, needs)
            changes |= {} if change is None else {name: change}
    return Comparison(*names, changes, rows=rows, addresses=at)


def _addresses(run: RunFolder, pair: Pair) -> Addresses:
    """What commands on a pair name; placeholders where the run does not say whose checkpoints they were."""
    held = identity_of(run, "run.json", dict[str, OfSubject])
    known = all("checkpoint" in held.get(role, {}) for role in pair)
    made = saved_making(run)
    options = {name: _for_pair(words, pair, list(held)) for name, words in made.get("options", {}).items()}
    given = (held.get(pair.base, {}), held.get(pair.tuned, {}), run.address, made.get("prompts"), options)
    return Addresses.of(*given) if known else PLACEHOLDERS


def _for_pair(words: Sequence[str], pair: Pair, roles: Sequence[str]) -> list[str]:
    """Options of a study of several stages for two of them alone: whose template was taken has another role there."""
    names = dict.fromkeys(roles, "") | {pair.base: "base", pair.tuned: "tuned"}
    found = [
        [option, names.get(values[0], values[0])] if option == "--template" else [option, *values]
        for option, *values in options_in(words)
    ]
    return [word for option in found if option != ["--template", ""] for word in option]


def _settings_for(folder: RunFolder, given: Mapping[str, Any]) -> dict[str, Settings]:
    """The settings that are asked of saved parts: those that are given, else those of the last report."""
    values = record_of(folder, ASKED, dict[str, dict[str, Any]]) if folder.exists(ASKED) else {}
    for key, value in given.items():
        homes = {name: field for name, field in homes_of(key).items() if field in _asked(name)}
        homes = {name: field for name, field in homes.items() if explainers()[name].is_in(folder)}
        if not homes:
            present = [name for name in measuring() if explainers()[name].is_in(folder)]
            known = ", ".join(dict.fromkeys(one for name in present for one in _asked(name))) or "nothing"
            raise RunError(f"{key!r} can't be asked of what {folder.address} holds. Allowed there: {known}.")
        for name, field in homes.items():
            values.setdefault(name, {})[field] = value
    return {name: one.settings(**values.get(name, {})) for name, one in measuring().items() if one.is_in(folder)}


def _asked(name: str) -> list[str]:
    found: list[str] = measuring()[name].settings.names("change")
    return found


def _write_pages(root: Path, folder: RunFolder, compared: Mapping[Pair, Comparison], found: Found) -> None:
    places = _places(compared)
    for pair, comparison in compared.items():
        write_page(root / places[pair], report_of(folder, pair, comparison))
    if isinstance(found, Stages):  # last, since it leads to the others
        write_page(root, report_of_stages(folder, found, places))


def _places(compared: Mapping[Pair, Comparison]) -> dict[Pair, str]:
    """The folder of each pair's report in the run."""
    return {pair: f"{PAIRS}/{pair.base}-{pair.tuned}" if len(compared) > 1 else "." for pair in compared}


def report_of(folder: RunFolder, pair: Pair, comparison: Comparison) -> Report:
    """The report on two models of a run."""
    known = explainers()
    checkpoints = {role: dict(model_record(folder, role)) for role in pair}
    sections = [known[name].section(change) for name, change in comparison.changes.items()]
    template, tokens = saved_template(folder), saved_tokens(folder)
    return Report(
        title=f"What tuning changed: {comparison.base} and {comparison.tuned}",
        models=(comparison.base, comparison.tuned),
        verdict=comparison.verdict,
        summary=comparison.summary[len(comparison.verdict.texts) :],
        findings=comparison.findings,
        sections=sections,
        settings={
            "run": identity_of(folder, "run.json", dict[str, Any]),
            "aftertune": record_of(folder, "run.json", OfRun)["aftertune"],
            "checkpoints": checkpoints,
        }
        | ({"template": template.facts()} if template else {})
        | ({"rows": _of_rows(comparison.rows)} if comparison.rows else {})
        | ({"tokens": tokens.facts()} if tokens else {})
        | {section.name: dict(section.settings) for section in sections if section.settings},
        not_run=[] if comparison.is_same else _not_run(comparison),
        notes=[*_served(folder, pair), *_notes(folder, pair), *comparison.rows.get("told", [])],
        lead=methods_lead(folder, pair, (comparison.base, comparison.tuned)),
    )


def report_of_stages(folder: RunFolder, stages: Stages, places: Mapping[Pair, str]) -> Report:
    """The page on all models of a run; ``places`` are the folders of the pairs' reports, in their order."""
    names = [f"{one.base} → {one.tuned}" for one in stages.comparisons]
    return Report(
        title="What each stage of tuning changed",
        models=stages.names,
        summary=stages.summary,
        findings=stages.findings,
        sections=stages.sections(),
        settings={
            "run": identity_of(folder, "run.json", dict[str, Any]),
            "aftertune": record_of(folder, "run.json", OfRun)["aftertune"],
        },
        lead=methods_lead(folder, roles_of(folder), stages.names),
        reports=[(name, f"{place}/report.html") for name, place in zip(names, places.values(), strict=True)],
    )


def _not_run(comparison: Comparison) -> list[str]:
    return [one.absent for name, one in explainers().items() if name not in comparison.changes and one.absent]


def _served(folder: RunFolder, pair: Pair) -> list[str]:
    """That these models were asked through servers, and what of the report is missing for it."""
    if server_of(folder, pair.tuned) is None:
        return []
    kinds = dict.fromkeys(str(model_record(folder, role).get("kind")) for role in pair)
    absent = ", ".join(name for name, one in measuring().items() if not one.is_in(folder))
    return [
        f"The models were asked through servers ({', '.join(kinds)}), which tell probabilities of texts and no "
        f"weights. What needs weights was left out: {absent}; nor were maps held against replaced words."
    ]


def _notes(folder: RunFolder, pair: Pair) -> list[str]:
    """That one of these models was given the chat template of another, or has tokens of its own."""
    template, tokens, names = saved_template(folder), saved_tokens(folder), display_names(folder)
    said = [template.said(names, pair)] if template else []
    said += tokens.said(names, pair) if tokens else []
    said += [one.said(names) for one in saved_roundings(folder, pair)]
    return [f"{one}." for one in said if one]


def _of_rows(rows: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the rows, without what the notes tell."""
    return {name: value for name, value in rows.items() if name not in ("reasons", "told", "notes", "left_out")} | {
        "left_out": len(rows["left_out"])
    }
