"""Explainers x checkpoints -> the parts of a run, one after the other.

First all checkpoints are read once and checked, so that what is wrong with the last is not told after hours of work on
the first, and models of which no weight differs are not measured. Then each is loaded again for all explainers, and
only if something of it is missing. Last, what explainers name is measured by others (`named`). An interrupted run goes
on where it stopped when the same study is measured again.

One checkpoint, read by one explainer into a run folder: ``aftertune heads``, ``aftertune concepts``.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aftertune.errors import WordError
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.runs.roles import Pair, is_same, pairs_of, role_names
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, Stage, within
from aftertune.study import checks
from aftertune.study.files import must_find_files
from aftertune.study.intent import Announce, Intent
from aftertune.study.loader import Loader, load_subject
from aftertune.study.made import conclude
from aftertune.study.named import measure_named
from aftertune.study.reader import Readers
from aftertune.study.reuse import foreseen, open_earlier, take_from
from aftertune.study.rounding import FILE as ROUNDING
from aftertune.study.rounding import find_roundings, measure_roundings
from aftertune.study.rows import FILE as ROWS
from aftertune.study.rows import Rows, fitted, keep_rows, read_rows
from aftertune.study.study import Study
from aftertune.study.templates import Template, keep_template, template_of_study, tokenizer_reader
from aftertune.study.tokens import FILE as TOKENS
from aftertune.study.tokens import added_tokens, keep_tokens, saved_tokens

if TYPE_CHECKING:
    from aftertune.models import Checkpoint
    from aftertune.models.size import ModelSize


def measure(study: Study, progress: Progress, announce: Announce | None = None) -> RunFolder:
    """Measure what is missing of a study; returns its run folder.

    Raises `AftertuneError` for what can't be compared, before anything is measured.
    """
    from aftertune import __version__

    must_find_files(study)
    chosen = study.explainers
    checks.must_have_weights(chosen, study.dtype)
    reads_prompts = any(one.reads_prompts for one in chosen.values())
    needs_room = any(one.needs_room for one in chosen.values())
    subjects = dict(zip(role_names(len(study.subjects)), study.subjects, strict=True))
    rows = read_rows(study.prompts, study.limit, study.strict) if reads_prompts else Rows()
    run = RunFolder.start(study.run, _identity(study, subjects), {"aftertune": __version__})
    earlier = open_earlier(study.reuse, run)
    there = partial(_there, study)
    told_anew = any(map(run.is_damaged, (TOKENS, ROUNDING)))
    new = {role: one for role, one in subjects.items() if told_anew or not run.exists(f"{role}.json")}
    configs = there(new)
    roundings = find_roundings(subjects, configs) if len(new) == len(subjects) else []
    read = tokenizer_reader(study.trust_remote_code, study.tokenizer)
    asked = (study.template, subjects, run, read, study.template_arg)
    template = template_of_study(*asked) if reads_prompts else Template()
    readers = Readers(lambda one: template.on(read(one)), template.name, needs_room)
    if reads_prompts:
        if not run.exists(ROWS):
            configs |= there({role: one for role, one in subjects.items() if role not in configs})
        rows = fitted(rows, run, lambda: readers.of(subjects, configs), study.strict)
    tokens = added_tokens({role: read(one) for role, one in subjects.items()}) if new else saved_tokens(run)
    how = (template.name, study.max_new_tokens, study.device, study.dtype)
    inputs = Inputs(rows.prompts, *how, needs_room=needs_room)
    works = {name: _prepared(study, name, inputs) for name in chosen}
    pending = {role: one for role, one in subjects.items() if not _is_measured(run, role, works)}
    pairs = [pair for pair in pairs_of(list(subjects)) if not _is_pair_measured(run, pair, works)]
    configs |= there({role: one for role, one in pending.items() if role not in configs})
    reading = readers.of(pending, configs) if reads_prompts else []
    reads_weights = any(one.reads_weights for one in chosen.values())
    pending_configs = [configs[role] for role in pending]
    checks.must_be_comparable(pending_configs, reading, works.values(), inputs, run, reads_weights=reads_weights)
    if announce is not None:
        sizes = _sizes(study, pending, configs)
        told = [one for one, _ in roundings]
        later = run if earlier is None else foreseen(earlier, run, works, subjects, study.dtype)
        announce(Intent(study, later, subjects, sizes, works, inputs, template, rows, tokens, told))
    loaded = Loader(lambda role: template.put_on(load_subject(study, subjects[role])))
    _claim_all(loaded, list(subjects), works, inputs, run, progress)
    if reads_prompts:
        keep_template(template, run)
        keep_rows(rows, run)
    if tokens is not None:
        keep_tokens(tokens, run)
    measure_roundings(roundings, loaded, run)
    if earlier is not None:
        take_from(earlier, run, works)
    different = [pair for pair in pairs_of(list(subjects)) if not is_same(run, pair)]
    needed = _measure_all(loaded, different, pending, pairs, works, inputs, run, progress)
    conclude(study, rows.prompts, subjects, works, needed, run)
    measure_named(loaded.both, different, works, run, progress)
    if reads_prompts:
        keep_rows(rows, run)  # again: one that began beside this, and was refused, may have kept its own
    run.must_be_there()
    return run


def _measure_all(
    loaded: Loader,
    different: Sequence[Pair],
    pending: Iterable[str],
    pairs: Sequence[Pair],
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> set[str]:
    """Measure what is missing of models that differ from one that they are compared with; returns their roles."""
    needed = {role for pair in different for role in pair}
    for role in pending:
        if role in needed and not _is_measured(run, role, works):
            _measure_one(loaded, role, works, inputs, run, progress)
    for pair in pairs:
        if pair in different:
            _measure_pair(loaded, pair, works, run, progress)
    return needed


def _prepared(study: Study, name: str, inputs: Inputs) -> Work:
    """An explainer made ready; who gave no words or vectors may not have wanted it at all."""
    settings = study.settings[name]
    try:
        return study.explainers[name].prepare(settings, inputs)
    except WordError as error:
        if any(getattr(settings, given, None) is not None for given in ("words", "vectors")):
            raise
        raise WordError(f"{error} Or leave {name} out (skip).") from error


def _there(study: Study, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    """The configurations of checkpoints, by role, if each of them can be loaded."""
    how = (study.trust_remote_code, study.architecture, study.tokenizer)
    configs = checks.must_be_there(list(subjects.values()), *how, device=study.device, dtype=study.dtype)
    return dict(zip(subjects, configs, strict=True))


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


def _sizes(study: Study, pending: Mapping[str, Subject], configs: Mapping[str, Any]) -> dict[str, "ModelSize"]:
    """The sizes of checkpoints by their roles; raises `CheckpointError` if a GGUF file's header can't be read."""
    from aftertune.models.size import size_of

    known: dict[Any, ModelSize] = {}
    for role, one in pending.items():
        if (one.ref, one.revision) not in known:
            known[one.ref, one.revision] = size_of(one.ref, configs[role], one.revision, study.architecture)
    return {role: known[one.ref, one.revision] for role, one in pending.items()}


def _measure_one(
    loaded: Loader,
    role: str,
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> None:
    checkpoint = _load(loaded, role, works, inputs, run, progress)
    checks.claim_weights(run, role, checks.told_of(checkpoint))
    for name, work in works.items():
        if not (_has(run, work) and work.is_measured(run, role)):
            work.measure(checkpoint, role, run, within(progress, role, name))


def _claim_all(
    loaded: Loader,
    roles: Sequence[str],
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> None:
    """Bind the run to all checkpoints, once each of them could be read: one that can't leaves no run behind."""
    new = [role for role in reversed(roles) if not run.exists(f"{role}.json")]
    found = {}
    for role in new:  # the base last: it stays for what is measured first
        found[role] = checks.told_of(_load(loaded, role, works, inputs, run, progress))
    for role, told in found.items():
        checks.claim_weights(run, role, told)


def _load(
    loaded: Loader,
    role: str,
    works: Mapping[str, Work],
    inputs: Inputs,
    run: RunFolder,
    progress: Progress,
) -> "Checkpoint":
    """Load a checkpoint, and check it once more."""
    loading = Stage(role, "", "loading")
    progress(loading, 0, 1)
    checkpoint = loaded(role)
    progress(loading, 1, 1)
    checks.must_fit_loaded(checkpoint, works.values(), inputs, run)
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
