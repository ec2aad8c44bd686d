"""The whole method: measure two checkpoints, compare, tell.

`compare` measures and needs torch; `score` starts from saved maps and does not, nor does `write_report` (`saved`).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from aftertune import __version__
from aftertune.errors import PromptError, RunError, WordError
from aftertune.explainers.attribution.change import Comparison, compare_maps
from aftertune.explainers.attribution.map_file import RawMap, read_maps
from aftertune.explainers.attribution.released import locate
from aftertune.models.subject import Subject
from aftertune.prompts.formats import read_prompts
from aftertune.prompts.prompt import Prompt
from aftertune.runs.roles import role_names
from aftertune.runs.run import RunFolder
from aftertune.study.saved import Asked, make_report, read_asked, remember_names
from aftertune.study.stages import Lineage

if TYPE_CHECKING:
    from aftertune.explainers.attribution.measure import Plan
    from aftertune.explainers.concepts.settings import ConceptPlan, ConceptStudy
    from aftertune.explainers.heads.layer import Lexicon
    from aftertune.explainers.heads.settings import HeadStudy
    from aftertune.models import Checkpoint
    from aftertune.study.expected.intent import Intent
    from aftertune.study.layerwise import Layerwise
    from aftertune.words import Words

PARTS = ("attribution", "heads", "concepts")
Progress = Callable[[str, float, float], None]
Given = str | Path | Subject


@overload
def compare(
    base: Given,
    tuned: Given,
    run: str | Path,
    prompts: Sequence[Prompt] | str | Path | None = None,
    plan: "Plan | None" = None,
    heads: "HeadStudy | None" = None,
    concepts: "ConceptStudy | None" = None,
    *,
    skip: Collection[str] = (),
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    announce: Callable[["Intent"], None] | None = None,
) -> Comparison: ...


@overload
def compare(
    base: Given,
    tuned: Sequence[Given],
    run: str | Path,
    prompts: Sequence[Prompt] | str | Path | None = None,
    plan: "Plan | None" = None,
    heads: "HeadStudy | None" = None,
    concepts: "ConceptStudy | None" = None,
    *,
    skip: Collection[str] = (),
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    announce: Callable[["Intent"], None] | None = None,
) -> Comparison | Lineage: ...


def compare(
    base: Given,
    tuned: Given | Sequence[Given],
    run: str | Path,
    prompts: Sequence[Prompt] | str | Path | None = None,
    plan: "Plan | None" = None,
    heads: "HeadStudy | None" = None,
    concepts: "ConceptStudy | None" = None,
    *,
    skip: Collection[str] = (),
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    announce: Callable[["Intent"], None] | None = None,
) -> Comparison | Lineage:
    """What did tuning change in how responses use prompts, in heads, and in feed-forward layers?  (Sections 4 and 5.)

    Attribution: both checkpoints answer the same prompts greedily, or are given the responses that the prompts carry,
    and every response is attributed to its prompt. Heads: every attention head of both is read as word pairs. Concepts:
    every feed-forward layer is read as directions with words. The run folder keeps all of it and the report. ``base``
    and ``tuned`` are what `aftertune.load` takes, or an `aftertune.Subject` where an adapter, a revision or another
    name belongs to it. ``tuned`` may be a list, in the order of training: then each is compared with its predecessor
    and with the base, and the answer is a `Lineage`. ``prompts`` is a file (see `aftertune.read_prompts`) or a list, by
    default the twelve that come with Aftertune; ``plan`` says what is measured on each (see `aftertune.Plan`),
    ``heads`` and ``concepts`` with which words weights are read (see `aftertune.HeadStudy`, `aftertune.ConceptStudy`).
    ``skip`` leaves out "attribution", "heads" or "concepts". ``progress(what, done, total)`` is called after each unit
    of work, ``announce(intent)`` once before, when all has been checked. An interrupted run goes on where it stopped
    when it is called again.

    Raises `CheckpointError`, `PromptError`, `WordError`, `AttributionError`, and `RunError` if ``run`` holds another
    run or all parts are skipped.
    """
    from aftertune.explainers.attribution.measure import Plan
    from aftertune.explainers.concepts.settings import ConceptStudy
    from aftertune.models import load
    from aftertune.study.checks import must_suit_route
    from aftertune.study.expected.intent import Intent, sizes_of
    from aftertune.study.layerwise import make_lexicon_of, read_concepts_of, read_heads_of

    parts, plan, tell = _parts(skip), plan or Plan(), progress or (lambda *_: None)
    asked = _choose_prompts(prompts, limit) if "attribution" in parts else []
    with _may_be_skipped(heads):
        lexicon = make_lexicon_of(heads) if "heads" in parts else None
    asked_words = _asked(heads, lexicon) if lexicon else None
    reading = _concept_words(concepts) if "concepts" in parts else None
    readers = [read_heads_of(lexicon)] if lexicon else []
    readers += [read_concepts_of(ConceptStudy(*reading))] if reading else []
    subjects = _subjects(base, tuned)
    folder = RunFolder.start(run, _identity(subjects, parts, plan, dtype, asked), {"aftertune": __version__})
    left = [role for role in subjects if not _is_measured(role, asked, readers, folder)]
    pending = {role: subjects[role] for role in left}
    configs, lengths = _must_be_comparable(list(pending.values()), asked, readers, plan, folder, trust_remote_code)
    must_suit_route(configs if asked else [], dtype, plan.route)
    if announce is not None:
        sizes = sizes_of(pending, configs)
        announce(Intent(folder, subjects, sizes, asked, lengths, plan, lexicon, reading, device, dtype))
    for role in left:
        one = subjects[role]
        tell(f"{role}: loading", 0, 1)
        checkpoint = load(one.ref, one.adapter, device, dtype, one.revision, trust_remote_code=trust_remote_code)
        tell(f"{role}: loading", 1, 1)
        _measure(checkpoint, role, asked, plan, readers, folder, _named(tell, role))
        del checkpoint
    remember_names(folder, {role: subject.name for role, subject in subjects.items()})
    for reader in readers:
        for role in subjects:
            reader.show_layers(folder, role)
    tell("report", 0, 1)
    found = make_report(folder, asked_words)
    tell("report", 1, 1)
    return found


def read_into_run(
    model: str | Path | Subject,
    run: str | Path,
    reader: "Layerwise",
    *,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> RunFolder:
    """Read the weights of one checkpoint into a run folder, a layer at a time, under the role "model".

    ``model`` is what `aftertune.load` takes, or an `aftertune.Subject`. An interrupted run goes on where it stopped.

    Raises `CheckpointError`, `WordError`, `AttributionError`, and `RunError` if ``run`` holds another run.
    """
    from aftertune.models import load
    from aftertune.study.checks import claim_weights, must_be_there, must_have_layers

    tell, subject = progress or (lambda *_: None), model if isinstance(model, Subject) else Subject(model)
    identity = {"model": subject.identity(), "settings": {"dtype": dtype}}
    folder = RunFolder.start(run, identity, {"aftertune": __version__})
    must_have_layers(must_be_there([subject], trust_remote_code), reader.plan)
    reader.must_agree(folder)
    if not reader.is_measured(folder, "model"):
        tell("loading", 0, 1)
        given = (subject.ref, subject.adapter, device, dtype, subject.revision)
        checkpoint = load(*given, trust_remote_code=trust_remote_code)
        tell("loading", 1, 1)
        claim_weights(folder, "model", checkpoint)
        reader.measure(checkpoint, "model", folder, tell)
    reader.show_layers(folder, "model")
    return folder


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


def _subjects(base: Given, tuned: Given | Sequence[Given]) -> dict[str, Subject]:
    later = [tuned] if isinstance(tuned, str | Path | Subject) else list(tuned)
    if not later:
        raise RunError("No tuned checkpoint was given, only the base. Give one at least, or several in a list.")
    given = [base, *later]
    return {
        role: one if isinstance(one, Subject) else Subject(one)
        for role, one in zip(role_names(len(given)), given, strict=True)
    }


def _parts(skip: Collection[str]) -> list[str]:
    skipped = {skip} if isinstance(skip, str) else set(skip)
    unknown, left = sorted(skipped - set(PARTS)), [part for part in PARTS if part not in skipped]
    if unknown or not left:
        wrong = f"{unknown[0]!r} is no part of a comparison" if unknown else "All parts of the comparison are skipped"
        raise RunError(f"{wrong}. The parts are {', '.join(PARTS)}; leave out two at most.")
    return left


@contextmanager
def _may_be_skipped(heads: "HeadStudy | None") -> Iterator[None]:
    """Who gave no words or vectors may not have asked for heads at all."""
    try:
        yield
    except WordError as error:
        if heads is not None and (heads.words is not None or heads.vectors is not None):
            raise
        raise WordError(f"{error} Or leave the heads out: --skip heads.") from error


def _asked(heads: "HeadStudy | None", lexicon: "Lexicon") -> Asked:
    """The words to ask about, refused before anything is measured if no pair can hold one of them."""
    from aftertune.explainers.heads.compare import must_form_pairs

    asked = read_asked(heads.verbs if heads else None)
    must_form_pairs(asked["verbs"], lexicon.words.words, lexicon.co_occurrence.has_vector)
    return asked


def _concept_words(concepts: "ConceptStudy | None") -> "tuple[Words, ConceptPlan]":
    from aftertune.explainers.concepts.settings import ConceptStudy
    from aftertune.words import load_words

    asked = concepts or ConceptStudy()
    return load_words(asked.words), asked.plan


def _identity(
    subjects: Mapping[str, Subject], parts: Sequence[str], plan: "Plan", dtype: str, prompts: Sequence[Prompt]
) -> dict[str, Any]:
    identity: dict[str, Any] = {role: subject.identity() for role, subject in subjects.items()}
    if "attribution" not in parts:
        return identity | {"settings": {"dtype": dtype}}
    about = {"n": len(prompts), "sha256": _digest(prompts)}
    return identity | {"settings": asdict(plan) | {"dtype": dtype}, "prompts": about}


def _is_measured(role: str, prompts: Sequence[Prompt], readers: Sequence["Layerwise"], folder: RunFolder) -> bool:
    from aftertune.explainers.attribution.measure import is_measured

    are_read = all(reader.is_measured(folder, role) for reader in readers)
    return folder.exists(f"{role}.json") and is_measured(role, prompts, folder) and are_read


def _must_be_comparable(
    subjects: Sequence[Subject],
    prompts: Sequence[Prompt],
    readers: Sequence["Layerwise"],
    plan: "Plan",
    folder: RunFolder,
    trust_remote_code: bool,
) -> tuple[list[Any], list[int]]:
    """The checkpoints' configurations and the prompts' lengths in tokens, if nothing is wrong with any of them.

    A mistake in the second checkpoint must not be told after hours of work on the first.
    """
    from aftertune.study.study import checks as pairing

    configs = pairing.must_be_there(subjects, trust_remote_code)
    tokens = pairing.must_read_prompts_alike(subjects if prompts else [], prompts, plan.template, trust_remote_code)
    if readers:
        pairing.must_be_alike_inside(configs)
    for reader in readers:
        pairing.must_have_layers(configs, reader.plan)
        reader.must_agree(folder)
    return configs, [len(ids) for ids in tokens.values()]


def _measure(
    checkpoint: "Checkpoint",
    role: str,
    prompts: Sequence[Prompt],
    plan: "Plan",
    readers: Sequence["Layerwise"],
    folder: RunFolder,
    progress: Progress,
) -> None:
    from aftertune.explainers.attribution.measure import measure
    from aftertune.study.checks import claim, claim_weights

    if prompts:
        claim(folder, role, checkpoint, prompts, plan.template)
        measure(checkpoint, role, prompts, plan, folder, progress)
    else:
        claim_weights(folder, role, checkpoint)
    for reader in readers:
        reader.measure(checkpoint, role, folder, progress)


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
