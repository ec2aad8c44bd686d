"""Explainers x checkpoints -> the parts of a run, one after the other.

First all checkpoints are read once and checked, so that what is wrong with the last is not told after hours of work on
the first, and models of which no weight differs are not measured. Then each is loaded again for all explainers, and
only if something of it is missing. An interrupted run goes on where it stopped when the same study is measured again.

One checkpoint, read by one explainer into a run folder: ``aftertune heads``, ``aftertune concepts``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftertune.errors import PromptError, WordError
from aftertune.explainers import explainers
from aftertune.explainers.explainer import Inputs, Work
from aftertune.explainers.settings import Settings
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Prompt
from aftertune.runs.roles import MODEL, NAMES, Pair, is_same, pairs_of, role_names
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, StepProgress, silent
from aftertune.study import checks
from aftertune.study.files import must_find_files
from aftertune.study.loader import Loader, load_subject
from aftertune.study.made import remember_making
from aftertune.study.reuse import open_earlier, take_from
from aftertune.study.study import Study
from aftertune.study.templates import Template, keep_template, template_of_study, tokenizer_reader

if TYPE_CHECKING:
    from aftertune.models import Checkpoint
    from aftertune.models.size import ModelSize


@dataclass(frozen=True, eq=False)
class Intent:
    """A study that has been checked and not begun.

    ``subjects`` are all checkpoints by their roles, ``sizes`` those of the roles that are not wholly measured yet;
    ``works`` are the explainers made ready, by name; ``template`` says how the prompts are put.
    """

    study: Study
    run: RunFolder
    subjects: Mapping[str, Subject]
    sizes: Mapping[str, "ModelSize"]
    works: Mapping[str, Work]
    inputs: Inputs
    template: Template = field(default_factory=Template)


Announce = Callable[[Intent], None]


def measure(study: Study, progress: Progress, announce: Announce | None = None) -> RunFolder:
    """Measure what is missing of a study; returns its run folder.

    Raises `AftertuneError` for what can't be compared, before anything is measured.
    """
    from aftertune import __version__

    must_find_files(study)
    chosen = study.explainers
    reads_prompts = any(one.reads_prompts for one in chosen.values())
    needs_room = any(one.needs_room for one in chosen.values())
    subjects = dict(zip(role_names(len(study.subjects)), study.subjects, strict=True))
    prompts = choose_prompts(study.prompts, study.limit) if reads_prompts else []
    run = RunFolder.start(study.run, _identity(study, subjects), {"aftertune": __version__})
    earlier = open_earlier(study.reuse, run)
    read = tokenizer_reader(study.trust_remote_code)
    template = template_of_study(study.template, subjects, run, read) if reads_prompts else Template()
    asked = (template.name, study.max_new_tokens, study.device, study.dtype)
    inputs = Inputs(prompts, *asked, needs_room=needs_room)
    works = {name: _prepared(study, name, inputs) for name in chosen}
    pending = {role: one for role, one in subjects.items() if not _is_measured(run, role, works)}
    pairs = [pair for pair in pairs_of(list(subjects)) if not _is_pair_measured(run, pair, works)]
    configs = checks.must_be_comparable(
        list(pending.values()),
        works.values(),
        inputs,
        run,
        read=(lambda subject: template.on(read(subject))) if reads_prompts else None,
        reads_weights=any(one.reads_weights for one in chosen.values()),
        trust_remote_code=study.trust_remote_code,
        architecture=study.architecture,
    )
    if announce is not None:
        announce(Intent(study, run, subjects, _sizes(study, pending, configs), works, inputs, template))
    if reads_prompts:
        keep_template(template, run)
    loaded = Loader(lambda role: template.put_on(load_subject(study, subjects[role])))
    needed = _measure_all(loaded, list(subjects), pending, pairs, works, inputs, run, earlier, progress)
    remember_making(study, prompts, run)
    run.remember(NAMES, {role: subject.name for role, subject in subjects.items()})
    for work in works.values():
        for role in needed:
            work.finish(run, role)
    return run


def _measure_all(
    loaded: Loader,
    roles: Sequence[str],
    pending: Iterable[str],
    pairs: Sequence[Pair],
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    earlier: RunFolder | None,
    progress: Progress,
) -> set[str]:
    """Measure what is missing of models that differ from one that they are compared with; returns their roles."""
    for role in reversed(roles):  # the base last: it stays for what is measured first
        if not run.exists(f"{role}.json"):
            _claim(loaded, role, works, inputs, run, progress)
    if earlier is not None:
        take_from(earlier, run, works)
    different = [pair for pair in pairs_of(roles) if not is_same(run, pair)]
    needed = {role for pair in different for role in pair}
    for role in pending:
        if role in needed and not _is_measured(run, role, works):
            _measure_one(loaded, role, works, inputs, run, progress)
    for pair in pairs:
        if pair in different:
            _measure_pair(loaded, pair, works, run, progress)
    return needed


def choose_prompts(prompts: Sequence[Prompt] | str | Path | None, limit: int | None) -> list[Prompt]:
    """Prompts from a file or a list, or ours; raises `PromptError` for those that can't be used."""
    from aftertune.prompts.formats import read_prompts

    if prompts is None:
        prompts = str(files("aftertune") / "demo" / "prompts.jsonl")
    if isinstance(prompts, str | Path):
        return read_prompts(prompts, limit)
    if not prompts:
        raise PromptError("No prompt was given. Give at least one, or leave prompts out for those of Aftertune.")
    return list(prompts[:limit])


def within(progress: Progress, role: str, explainer: str) -> StepProgress:
    """Progress of the steps of one explainer on one role."""
    return lambda step, done, total: progress(Stage(role, explainer, step), done, total)


def _prepared(study: Study, name: str, inputs: Inputs) -> Work:
    """An explainer made ready; who gave no words or vectors may not have wanted it at all."""
    settings = study.settings[name]
    try:
        return study.explainers[name].prepare(settings, inputs)
    except WordError as error:
        if any(getattr(settings, given, None) is not None for given in ("words", "vectors")):
            raise
        raise WordError(f"{error} Or leave {name} out (skip).") from error


def _identity(study: Study, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    return {role: one.identity() for role, one in subjects.items()} | {"settings": {"dtype": study.dtype}}


def _is_measured(run: RunFolder, role: str, works: Mapping[str, Work]) -> bool:
    return run.exists(f"{role}.json") and all(
        _has(run, work) and work.is_measured(run, role) for work in works.values()
    )


def _is_pair_measured(run: RunFolder, pair: Pair, works: Mapping[str, Work]) -> bool:
    return all(_has(run, work) and work.is_pair_measured(run, pair) for work in works.values())


def _has(run: RunFolder, work: Work) -> bool:
    """Whether a run says how an explainer measured: parts that were taken from another run do not by themselves."""
    return not work.saved_settings or run.exists(work.saved_settings)


def _sizes(study: Study, pending: Mapping[str, Subject], configs: Sequence[Any]) -> dict[str, "ModelSize"]:
    """The sizes of checkpoints by their roles; raises `CheckpointError` if a GGUF file's header can't be read."""
    from aftertune.models.size import size_of

    known: dict[Any, ModelSize] = {}
    for one, config in zip(pending.values(), configs, strict=True):
        if (one.ref, one.revision) not in known:
            known[one.ref, one.revision] = size_of(one.ref, config, one.revision, study.architecture)
    return {role: known[one.ref, one.revision] for role, one in pending.items()}


def _measure_one(
    loaded: Loader,
    role: str,
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> None:
    checkpoint = _claim(loaded, role, works, inputs, run, progress)
    for name, work in works.items():
        if not (_has(run, work) and work.is_measured(run, role)):
            work.measure(checkpoint, role, run, within(progress, role, name))


def _claim(
    loaded: Loader,
    role: str,
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> "Checkpoint":
    """Load a checkpoint, and bind the run to its weights."""
    loading = Stage(role, "", "loading")
    progress(loading, 0, 1)
    checkpoint = loaded(role)
    progress(loading, 1, 1)
    checks.must_fit_loaded(checkpoint, works.values(), inputs, run)
    checks.claim_weights(run, role, checkpoint)
    return checkpoint


def _measure_pair(
    loaded: Loader,
    pair: Pair,
    works: Mapping[str, Work],
    run: RunFolder,
    progress: Progress,
) -> None:
    """What needs both checkpoints at once: both are in memory then."""
    base, tuned = loaded.both(pair)
    for name, work in works.items():
        if not (_has(run, work) and work.is_pair_measured(run, pair)):
            work.measure_pair(base, tuned, pair, run, within(progress, "-".join(pair), name))


def read_into_run(
    model: str | Path | Subject,
    run: str | Path,
    explainer: str,
    settings: Settings,
    *,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    progress: Progress = silent,
) -> RunFolder:
    """Let one explainer measure one checkpoint into a run folder, under the role "model".

    ``model`` is what `aftertune.load` takes, or an `aftertune.Subject`. An interrupted run goes on where it stopped.

    Raises `CheckpointError`, `WordError`, `AttributionError`, and `RunError` if ``run`` holds another run.
    """
    from aftertune import __version__
    from aftertune.models import load

    subject = model if isinstance(model, Subject) else Subject(model)
    work = explainers()[explainer].prepare(settings, Inputs(device=device, dtype=dtype))
    folder = RunFolder.start(
        run, {"model": subject.identity(), "settings": {"dtype": dtype}}, {"aftertune": __version__}
    )
    work.must_fit(checks.must_be_there([subject], trust_remote_code), folder)
    if not work.is_measured(folder, MODEL):
        loading = Stage(step="loading")
        progress(loading, 0, 1)
        given = (subject.ref, subject.adapter, device, dtype, subject.revision)
        checkpoint = load(*given, trust_remote_code=trust_remote_code)
        progress(loading, 1, 1)
        work.must_fit([checkpoint.model.config], folder)
        checks.claim_weights(folder, MODEL, checkpoint)
        work.measure(checkpoint, MODEL, folder, within(progress, "", explainer))
    work.finish(folder, MODEL)
    return folder
