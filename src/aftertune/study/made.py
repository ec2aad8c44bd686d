"""How was a run made, in words to copy: the command, the date, versions, seeds, and what was really read.

1. A run keeps the command that repeats it, and the day on which it was given.
2. The paragraph is made of that and of what the run itself says: models, prompts, settings.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup
from typing_extensions import TypedDict

from aftertune.addresses import without_secrets
from aftertune.explainers.explainer import Work
from aftertune.explainers.settings import flag_of
from aftertune.models.subject import Subject
from aftertune.prompts.prompt import Prompt
from aftertune.runs.records import OfModel, OfRun, identity_of, model_record, record_of
from aftertune.runs.roles import NAMES
from aftertune.runs.run import RunFolder
from aftertune.statistics.verdict import options_in
from aftertune.study.study import Study
from aftertune.study.subjects import OF_SUBJECTS

MADE = "made.json"
OWN = (
    "limit",
    "template",
    "template_arg",
    "strict",
    "only",
    "skip",
    "device",
    "dtype",
    "tokenizer",
    "architecture",
    "trust_remote_code",
    "concurrency",
)


def conclude(
    study: Study,
    prompts: Sequence[Prompt],
    subjects: Mapping[str, Subject],
    works: Mapping[str, Work],
    measured: Iterable[str],
    run: RunFolder,
) -> None:
    """Keep how a run was made and what its models are called, and let it show what was asked of those ``measured``."""
    remember_making(study, prompts, run)
    run.remember(NAMES, {role: subject.name for role, subject in subjects.items()})
    for role in measured:
        for work in works.values():
            work.finish(run, role)


def remember_making(study: Study, prompts: Sequence[Prompt], run: RunFolder) -> None:
    """Keep how the run is made, as it was asked for last."""
    own = {name: study.settings[name].model_dump() for name in study.explainers}
    seeds = {name: one["seed"] for name, one in own.items() if "seed" in one}
    told: dict[str, Any] = {"command": command_of(study), "date": datetime.now(UTC).date().isoformat(), "seeds": seeds}
    told["prompts"] = without_secrets(str(study.prompts)) if isinstance(study.prompts, str | Path) else None
    told["options"] = {name: list(map(without_secrets, words)) for name, words in options_of(study).items()}
    run.remember(MADE, told | {"n_prompts": len(prompts), "most_tokens": _most_tokens(study, own)})


def _most_tokens(study: Study, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The most tokens of a response, for each explainer that has models respond."""
    own = {name: one["answer_tokens"] for name, one in settings.items() if "answer_tokens" in one}
    return {name: study.max_new_tokens for name, one in study.explainers.items() if one.needs_room} | own


class Making(TypedDict, total=False):
    """How a run was made; of an earlier version nothing is known."""

    command: str
    options: dict[str, list[str]]
    date: str
    seeds: dict[str, int]
    prompts: str | None
    n_prompts: int
    most_tokens: dict[str, int]


class OfTemplate(TypedDict):
    """The name of how prompts are put."""

    name: str


def saved_making(run: RunFolder) -> Making:
    """How a run was made, as far as it says; raises `RunError` if that is damaged."""
    return record_of(run, MADE, Making) if run.exists(MADE) else {}


def command_of(study: Study) -> str:
    """The call of ``aftertune compare`` that asks for the same; what only Python can say is named at its end.

    What may be secret in an address is not in it.
    """
    refs = [str(one.ref) for one in study.subjects]
    words = ["aftertune", "compare", *(refs if any(refs) else ())]  # servers may have one model each, without a name
    for role, subjects in (("base", [study.base]), ("tuned", study.tuned)):
        for name in OF_SUBJECTS:
            values = [getattr(one, name) for one in subjects]
            words += [word for value in values if any(values) for word in (f"--{role}-{name}", str(value or ""))]
    words += ["--run", study.run]
    if isinstance(study.prompts, tuple):
        only_python = ["prompts"]
    else:
        only_python, words = [], words + ([] if study.prompts is None else ["--prompts", str(study.prompts)])
    for name, own in options_of(study).items():
        words += [word for option in options_in(own) if not name or option[0] not in words for word in option]
        only_python += [f"{name}.{field}" for field, flag, value in _given(study, name) if not _is_sayable(flag, value)]
    return shlex.join(map(without_secrets, words)) + (
        f"  # and from Python: {', '.join(only_python)}" if only_python else ""
    )


def options_of(study: Study) -> dict[str, list[str]]:
    """The words of a study's options beside models, run and prompts: of all of it (""), and of each explainer."""
    fields = type(study).model_fields
    found = {"": [word for name in OWN for word in _flag(name, getattr(study, name), fields[name].default)]}
    for name, explainer in study.explainers.items():
        most = _flag("max-new-tokens", study.max_new_tokens, fields["max_new_tokens"].default)
        own = [_flag(str(flag), value) for _, flag, value in _given(study, name) if _is_sayable(flag, value)]
        found[name] = [word for option in ([most] if explainer.needs_room else []) + own for word in option]
    return found


def _given(study: Study, name: str) -> Iterator[tuple[str, str | None, Any]]:
    """The field, flag and value of each setting of an explainer that is not its default."""
    own = study.settings[name] if name else None
    for field, about in type(own).model_fields.items() if own is not None else ():
        if getattr(own, field) != about.default:
            yield field, flag_of(field, about), getattr(own, field)


def methods_lead(run: RunFolder, roles: Sequence[str], names: Sequence[str]) -> Markup:
    """The paragraph that says what was compared, when and with what; of an earlier run, without the command."""
    told = Markup("<p><strong>What was done.</strong> {}</p>\n").format(" ".join(_sentences(run, roles, names)))
    return told + _call(run)


def _sentences(run: RunFolder, roles: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    made = saved_making(run)
    models = [model_record(run, role) for role in roles]
    version = record_of(run, "run.json", OfRun)["aftertune"]
    first, *rest = map(_model, names, models)
    when = f" on {made['date']}" if "date" in made else ""
    versions = {name: n for name, n in models[0].get("versions", {}).items() if name != "aftertune"}
    those = f" ({', '.join(f'{name} {number}' for name, number in versions.items())})" if versions else ""
    yield f"{first} was compared with {' and '.join(rest)} by Aftertune {version}{when}{those}."
    if versions:
        yield f"Models were read in {models[0].get('dtype')} on {models[0].get('device')}."
    if made.get("n_prompts"):
        n = made["n_prompts"]
        template = identity_of(run, "template.json", OfTemplate)["name"] if run.exists("template.json") else "raw"
        given = f"{n} prompt{'s' if n != 1 else ''} (template {template})"
        yield f"They were given {given}{_say_most_tokens(made.get('most_tokens', {}))}."
    if made.get("seeds"):
        yield f"Random draws have the seed {', '.join(f'{seed} ({name})' for name, seed in made['seeds'].items())}."


def _say_most_tokens(most: Mapping[str, int]) -> str:
    said = [f"{n}{'' if place else ' tokens'} ({name})" for place, (name, n) in enumerate(most.items())]
    return f"; responses have at most {', '.join(said)}" if said else ""


def _model(name: str, about: OfModel) -> str:
    if "fingerprint" not in about:
        return name
    if about.get("server"):
        return f"{name} (at {about.get('server')}, {about.get('kind')})"
    if "architecture" not in about or "n_parameters" not in about:
        return name
    size = f"{about['architecture']}, {about['n_parameters']:,} parameters"
    return f"{name} ({size}, weights {about['fingerprint'][:12]})"


def _call(run: RunFolder) -> Markup:
    command = saved_making(run).get("command")
    return Markup("<p>The same again: <code>{}</code></p>\n").format(command) if command else Markup("")


def _flag(name: str, value: Any, default: Any = None) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value == default:
        return []
    if isinstance(value, Mapping):
        return [word for key, one in value.items() for word in (flag, f"{key}={json.dumps(one)}")]
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    return [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(one))]


def _is_sayable(flag: str | None, value: Any) -> bool:
    """Whether a command can say a setting."""
    return flag is not None and isinstance(value, bool | int | float | str | Path)
