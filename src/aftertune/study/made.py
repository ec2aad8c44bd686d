"""How was a run made, in words to copy: the command, the date, versions, seeds, and what was really read.

1. A run keeps the command that repeats it, and the day on which it was given.
2. The paragraph is made of that and of what the run itself says: models, prompts, settings.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from aftertune.addresses import without_secrets
from aftertune.explainers.settings import flag_of
from aftertune.prompts.prompt import Prompt
from aftertune.runs.run import RunFolder
from aftertune.study.study import Study
from aftertune.study.subjects import OF_SUBJECTS

MADE = "made.json"
OWN = (
    "limit",
    "max_new_tokens",
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


def remember_making(study: Study, prompts: Sequence[Prompt], run: RunFolder) -> None:
    """Keep how the run is made, as it was asked for last."""
    own = {name: study.settings[name].model_dump() for name in study.explainers}
    seeds = {name: one["seed"] for name, one in own.items() if "seed" in one}
    told: dict[str, Any] = {"command": command_of(study), "date": datetime.now(UTC).date().isoformat(), "seeds": seeds}
    told["prompts"] = without_secrets(str(study.prompts)) if isinstance(study.prompts, str | Path) else None
    run.remember(MADE, told | {"n_prompts": len(prompts), "max_new_tokens": study.max_new_tokens})


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
    fields = type(study).model_fields
    words += [word for name in OWN for word in _flag(name, getattr(study, name), fields[name].default)]
    for name in study.explainers:
        own = study.settings[name]
        for field, about in type(own).model_fields.items():
            flag, value = flag_of(field, about), getattr(own, field)
            if value != about.default and (flag is None or not _is_plain(value)):
                only_python.append(f"{name}.{field}")
            elif value != about.default and f"--{flag}" not in words:
                words += _flag(str(flag), value, about.default)
    return shlex.join(map(without_secrets, words)) + (
        f"  # and from Python: {', '.join(only_python)}" if only_python else ""
    )


def methods_lead(run: RunFolder, roles: Sequence[str], names: Sequence[str]) -> Markup:
    """The paragraph that says what was compared, when and with what; of an earlier run, without the command."""
    told = Markup("<p><strong>What was done.</strong> {}</p>\n").format(" ".join(_sentences(run, roles, names)))
    return told + _call(run)


def _sentences(run: RunFolder, roles: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    made: Mapping[str, Any] = run.read_json(MADE)["record"] if run.exists(MADE) else {}
    models = [run.read_json(f"{role}.json")["record"] for role in roles]
    version = run.read_json("run.json")["record"]["aftertune"]
    first, *rest = map(_model, names, models)
    when = f" on {made['date']}" if made else ""
    versions = {name: n for name, n in models[0].get("versions", {}).items() if name != "aftertune"}
    those = f" ({', '.join(f'{name} {number}' for name, number in versions.items())})" if versions else ""
    yield f"{first} was compared with {' and '.join(rest)} by Aftertune {version}{when}{those}."
    if versions:
        yield f"Models were read in {models[0]['dtype']} on {models[0]['device']}."
    if made.get("n_prompts"):
        n, most = made["n_prompts"], made["max_new_tokens"]
        template = run.read_json("template.json")["identity"]["name"] if run.exists("template.json") else "raw"
        given = f"{n} prompt{'s' if n != 1 else ''} (template {template})"
        yield f"They were given {given}; responses have at most {most} tokens."
    if made.get("seeds"):
        yield f"Random draws have the seed {', '.join(f'{seed} ({name})' for name, seed in made['seeds'].items())}."


def _model(name: str, about: Mapping[str, Any]) -> str:
    if "fingerprint" not in about:
        return name
    if about.get("server"):
        return f"{name} (at {about['server']}, {about['kind']})"
    size = f"{about['architecture']}, {about['n_parameters']:,} parameters"
    return f"{name} ({size}, weights {about['fingerprint'][:12]})"


def _call(run: RunFolder) -> Markup:
    if not run.exists(MADE):
        return Markup("")
    return Markup("<p>The same again: <code>{}</code></p>\n").format(run.read_json(MADE)["record"]["command"])


def _flag(name: str, value: Any, default: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value == default:
        return []
    if isinstance(value, Mapping):
        return [word for key, one in value.items() for word in (flag, f"{key}={json.dumps(one)}")]
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    return [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(one))]


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | Path)
