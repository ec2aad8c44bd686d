"""Explainers x checkpoints -> the parts of a run.

1. All is checked that can be refused, before any work (`_checked`).
2. A crew, this process or an engine's workers, reads all checkpoints once, so that what is wrong with the last is not
   told after hours of work on the first, and models of which no weight differs are not measured. The run is bound to
   them.
3. It measures what is missing: models, pairs of models, and last what explainers name of these.
An interrupted run goes on where it stopped when the same study is measured again, by whatever crew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aftertune.errors import WordError
from aftertune.explainers.explainer import Inputs, Work
from aftertune.models.subject import Subject
from aftertune.runs.roles import Pair, is_same, pairs_of, role_names
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress
from aftertune.study import checks
from aftertune.study.engine.crew import Crew, Engine, crew_of
from aftertune.study.engine.process import Plan, is_measured, is_pair_measured
from aftertune.study.files import must_find_files
from aftertune.study.intent import Announce, Intent
from aftertune.study.made import conclude
from aftertune.study.reader import Readers
from aftertune.study.reuse import foreseen, open_earlier, take_from
from aftertune.study.rounding import FILE as ROUNDING
from aftertune.study.rounding import Found, find_roundings
from aftertune.study.rows import FILE as ROWS
from aftertune.study.rows import Rows, fitted, keep_rows, read_rows
from aftertune.study.study import Study
from aftertune.study.templates import Template, keep_template, template_of_study, tokenizer_reader
from aftertune.study.tokens import FILE as TOKENS
from aftertune.study.tokens import AddedTokens, added_tokens, keep_tokens, saved_tokens

if TYPE_CHECKING:
    from aftertune.models.size import ModelSize


@dataclass(frozen=True, eq=False)
class Checked:
    """A study that was checked: the ``plan``, and what of it is not in the ``run`` yet.

    ``pending`` are the roles of models that have to be read, with their ``configs``; ``pairs`` those of which something
    is missing; ``new`` the roles to which the run is not bound.
    """

    plan: Plan
    run: RunFolder
    earlier: RunFolder | None
    rows: Rows
    tokens: AddedTokens | None
    roundings: Sequence[Found]
    configs: Mapping[str, Any]
    pending: Sequence[str]
    pairs: Sequence[Pair]

    @property
    def reads_prompts(self) -> bool:
        """Whether any explainer reads prompts."""
        return any(one.reads_prompts for one in self.plan.study.explainers.values())

    @property
    def new(self) -> list[str]:
        """The roles to which the run is not bound yet, the base last: it stays for what is measured first."""
        return [role for role in reversed(list(self.plan.subjects)) if not self.run.exists(f"{role}.json")]

    def intent(self) -> Intent:
        """What is told before it begins; raises `CheckpointError` if a GGUF file's header can't be read."""
        plan, told = self.plan, [one for one, _ in self.roundings]
        sizes = _sizes(plan.study, {role: plan.subjects[role] for role in self.pending}, self.configs)
        given = (self.run, plan.works, plan.subjects, plan.study.dtype)
        later = self.run if self.earlier is None else foreseen(self.earlier, *given)
        about = (plan.template, self.rows, self.tokens, told)
        return Intent(plan.study, later, plan.subjects, sizes, plan.works, plan.inputs, *about)


def measure(
    study: Study, progress: Progress, announce: Announce | None = None, engine: Engine | None = None
) -> RunFolder:
    """Measure what is missing of a study, here or with the workers of an engine; returns its run folder.

    Raises `AftertuneError` for what can't be compared, before anything is measured.
    """
    must_find_files(study)
    if engine is not None:
        engine.must_answer()
    found = _checked(study)
    intent = found.intent() if announce is not None or engine is not None else None
    if announce is not None and engine is not None and intent is not None:
        announce(replace(intent, awaits=engine.text))
    with crew_of(engine, found.plan, found.run, intent, progress) as crew:
        if announce is not None and intent is not None:
            announce(replace(intent, means=crew.means))
        _bind(found, crew)
        _measure(found, crew)
    if found.reads_prompts:
        keep_rows(found.rows, found.run)  # again: one that began beside this, and was refused, may have kept its own
    found.run.must_be_there()
    return found.run


def _checked(study: Study) -> Checked:
    """Raise what can be refused of a study before any work, and make the rest ready."""
    from aftertune import __version__

    chosen = study.explainers
    checks.must_have_weights(chosen, study.dtype)
    reads_prompts = any(one.reads_prompts for one in chosen.values())
    needs_room = any(one.needs_room for one in chosen.values())
    subjects = dict(zip(role_names(len(study.subjects)), study.subjects, strict=True))
    rows = read_rows(study.prompts, study.limit, study.strict) if reads_prompts else Rows()
    run = RunFolder.start(study.run, _identity(study, subjects), {"aftertune": __version__})
    earlier = open_earlier(study.reuse, run)
    told_anew = any(map(run.is_damaged, (TOKENS, ROUNDING)))
    new = {role: one for role, one in subjects.items() if told_anew or not run.exists(f"{role}.json")}
    configs: dict[str, Any] = {}
    find = partial(_find, study, configs)
    find(new)
    roundings = find_roundings(subjects, configs) if len(new) == len(subjects) else []
    read = tokenizer_reader(study.trust_remote_code, study.tokenizer)
    asked = (study.template, subjects, run, read, study.template_arg)
    template = template_of_study(*asked) if reads_prompts else Template()
    readers = Readers(lambda one: template.on(read(one)), template.name, needs_room)
    if reads_prompts:
        if not run.exists(ROWS):
            find(subjects)
        rows = fitted(rows, run, lambda: readers.of(subjects, configs), study.strict)
    tokens = added_tokens({role: read(one) for role, one in subjects.items()}) if new else saved_tokens(run)
    how = (template.name, study.max_new_tokens, study.device, study.dtype)
    inputs = Inputs(rows.prompts, *how, needs_room=needs_room)
    works = {name: _prepared(study, name, inputs) for name in chosen}
    pairs = [pair for pair in pairs_of(list(subjects)) if not _is_all_of_pair_measured(run, pair, works)]
    of_pairs = {role for pair in pairs if not _is_known_to_be_same(run, pair) for role in pair}  # both are loaded then
    pending = {
        role: one for role, one in subjects.items() if role in of_pairs or not _is_all_measured(run, role, works)
    }
    find(pending)
    reading = readers.of(pending, configs) if reads_prompts else []
    reads_weights = any(one.reads_weights for one in chosen.values())
    pending_configs = [configs[role] for role in pending]
    checks.must_be_comparable(pending_configs, reading, works.values(), inputs, run, reads_weights=reads_weights)
    plan = Plan(study, subjects, works, inputs, template)
    return Checked(plan, run, earlier, rows, tokens, roundings, configs, list(pending), pairs)


def _bind(found: Checked, crew: Crew) -> None:
    """Bind the run to all checkpoints, once each of them could be read: one that can't leaves no run behind."""
    run, new = found.run, found.new
    for role, told in crew.tell_of(new).items():
        checks.claim_weights(run, role, told)
    if found.reads_prompts:
        keep_template(found.plan.template, run)
        keep_rows(found.rows, run)
    if found.tokens is not None:
        keep_tokens(found.tokens, run)


def _measure(found: Checked, crew: Crew) -> None:
    """Measure what is missing of models that differ from one that they are compared with, and let the run show it."""
    run, plan = found.run, found.plan
    crew.measure("roundings", found.roundings)
    if found.earlier is not None:
        take_from(found.earlier, run, plan.works)
    different = [pair for pair in pairs_of(list(plan.subjects)) if not is_same(run, pair)]
    needed = {role for pair in different for role in pair}
    roles = [role for role in found.pending if role in needed and not _is_all_measured(run, role, plan.works)]
    crew.measure("models", roles)
    crew.measure("pairs", [pair for pair in found.pairs if pair in different])
    conclude(plan.study, found.rows.prompts, plan.subjects, plan.works, needed, run)
    crew.measure("named", different)


def _is_known_to_be_same(run: RunFolder, pair: Pair) -> bool:
    """Whether both models of a pair are in the run, and of the same weights: then nothing of it is measured."""
    return all(run.exists(f"{role}.json") for role in pair) and is_same(run, pair)


def _is_all_measured(run: RunFolder, role: str, works: Mapping[str, Work]) -> bool:
    return run.exists(f"{role}.json") and all(is_measured(run, work, role) for work in works.values())


def _is_all_of_pair_measured(run: RunFolder, pair: Pair, works: Mapping[str, Work]) -> bool:
    return all(is_pair_measured(run, work, pair) for work in works.values())


def _prepared(study: Study, name: str, inputs: Inputs) -> Work:
    """An explainer made ready; who gave no words or vectors may not have wanted it at all."""
    settings = study.settings[name]
    try:
        return study.explainers[name].prepare(settings, inputs)
    except WordError as error:
        if any(getattr(settings, given, None) is not None for given in ("words", "vectors")):
            raise
        raise WordError(f"{error} Or leave {name} out (skip).") from error


def _find(study: Study, configs: dict[str, Any], subjects: Mapping[str, Subject]) -> None:
    """Add to ``configs``, by role, those of checkpoints that are not among them yet, if each of them can be loaded."""
    left = {role: one for role, one in subjects.items() if role not in configs}
    how = (study.trust_remote_code, study.architecture, study.tokenizer)
    found = checks.must_be_there(list(left.values()), *how, device=study.device, dtype=study.dtype)
    configs.update(zip(left, found, strict=True))


def _identity(study: Study, subjects: Mapping[str, Subject]) -> dict[str, Any]:
    return {role: one.identity() for role, one in subjects.items()} | {"settings": {"dtype": study.dtype}}


def _sizes(study: Study, pending: Mapping[str, Subject], configs: Mapping[str, Any]) -> dict[str, "ModelSize"]:
    """The sizes of checkpoints by their roles; raises `CheckpointError` if a GGUF file's header can't be read."""
    from aftertune.models.size import size_of

    known: dict[Any, ModelSize] = {}
    for role, one in pending.items():
        if (one.ref, one.revision) not in known:
            known[one.ref, one.revision] = size_of(one.ref, configs[role], one.revision, study.architecture)
    return {role: known[one.ref, one.revision] for role, one in pending.items()}
