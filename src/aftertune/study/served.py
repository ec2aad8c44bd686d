"""Models behind servers -> the parts of a run: what can be told of them without weights.

1. Connect to all servers, and check that they give what is needed.
2. Rows that are no prompts, and prompts that one of the models can't read, are skipped and told.
3. All must read every prompt as the same tokens, since they are compared token by token.
4. Ask each model, then each base for what its tuned model wrote. An interrupted run asks for the rest only.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from aftertune.errors import CheckpointError, RunError
from aftertune.explainers.explainer import Inputs, ServedWork
from aftertune.models.served.model import ServedModel, served_model
from aftertune.models.subject import Subject
from aftertune.runs.roles import pairs_of, role_names
from aftertune.runs.run import RunFolder
from aftertune.runs.stage import Progress, within
from aftertune.study import checks
from aftertune.study.files import must_find_files
from aftertune.study.intent import Announce, Intent
from aftertune.study.made import conclude
from aftertune.study.reader import PromptReader
from aftertune.study.rows import fitted, keep_rows, read_rows
from aftertune.study.study import Study
from aftertune.study.templates import Template, keep_template, template_of_study

Models = Mapping[str, ServedModel]


def measure_served(study: Study, progress: Progress, announce: Announce | None = None) -> RunFolder:
    """Ask what is missing of a study of served models; returns its run folder.

    Raises `AftertuneError` for what can't be compared, before anything is asked, and `CheckpointError` for a server
    that fails for good; then all that was answered is kept.
    """
    must_find_files(study)
    prepared(study, Inputs())  # what can't be done is refused before any server is spoken to
    rows = read_rows(study.prompts, study.limit, study.strict)
    with ExitStack() as stack:
        models = connect(study, stack)
        subjects = {
            role: replace(subject, ref=models[role].dialect.model)
            for role, subject in zip(models, study.subjects, strict=True)
        }
        run, template = _begin(study, subjects, models)
        models = {role: replace(one, tokenizer=template.on(one.tokenizer)) for role, one in models.items()}
        readers = [PromptReader(one.tokenizer, template.name, one.context_length) for one in models.values()]
        rows = fitted(rows, run, lambda: readers, study.strict)
        inputs = Inputs(rows.prompts, template.name, study.max_new_tokens)
        inputs.lengths[:] = checks.lengths_of_prompts(rows.prompts, readers)
        works = prepared(study, inputs)
        for work in works.values():
            work.must_fit([], run)
        if announce is not None:
            announce(Intent(study, run, subjects, {}, works, inputs, template, rows))
        keep_template(template, run)
        keep_rows(rows, run)
        for role, model in models.items():
            _claim(run, role, model, subjects[role])
        _ask_all(models, works, run, progress)
        conclude(study, rows.prompts, subjects, works, models, run)
        keep_rows(rows, run)  # again: another command that began beside this one may have kept its own, and was refused
        run.must_be_there()
    return run


def prepared(study: Study, inputs: Inputs) -> dict[str, ServedWork]:
    """The explainers of a study that need no weights, made ready; raises `RunError` if there is none."""
    made = {name: one.prepare_served(study.settings[name], inputs) for name, one in study.explainers.items()}
    found = {name: work for name, work in made.items() if work is not None}
    if not found:
        raise RunError(
            f"{', '.join(made)} can't be told of served models: weights are needed. Leave only and skip out, or give "
            "checkpoints."
        )
    return found


def connect(study: Study, stack: ExitStack) -> dict[str, ServedModel]:
    """The models by role, until the stack is closed; raises `CheckpointError` if one can't be asked."""
    roles = role_names(len(study.subjects))
    found = {
        role: stack.enter_context(served_model(subject, study.concurrency))
        for role, subject in zip(roles, study.subjects, strict=True)
    }
    if len({model.provenance.fingerprint for model in found.values()}) < len(found):
        raise CheckpointError("Two of the models are the same model of the same server. Give each its own.")
    return found


def _begin(study: Study, subjects: Mapping[str, Subject], models: Models) -> tuple[RunFolder, Template]:
    """The run, and how prompts are put in it."""
    from aftertune import __version__

    identity = {role: one.identity() for role, one in subjects.items()}
    run = RunFolder.start(study.run, identity, {"aftertune": __version__})
    roles = {subject: role for role, subject in subjects.items()}

    def read(subject: Subject) -> Any:
        return models[roles[subject]].tokenizer

    return run, template_of_study(study.template, subjects, run, read, study.template_arg)


def _claim(run: RunFolder, role: str, model: ServedModel, subject: Subject) -> None:
    """Bind the run to this model of this server."""
    record = model.provenance.to_dict() | {"server": subject.server, "kind": model.dialect.name}
    run.claim(f"{role}.json", {"fingerprint": model.provenance.fingerprint}, record)


def _ask_all(models: Models, works: Mapping[str, ServedWork], run: RunFolder, progress: Progress) -> None:
    for role, model in models.items():
        for name, work in works.items():
            if not work.is_measured(run, role):
                work.ask(model, role, run, within(progress, role, name))
    for pair in pairs_of(list(models)):
        for name, work in works.items():
            if not work.is_pair_measured(run, pair):
                work.ask_pair(models[pair.base], models[pair.tuned], pair, run, within(progress, "-".join(pair), name))
