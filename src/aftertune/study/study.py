"""What is compared, and how: the same in Python, in a YAML file and as flags.

A study names its checkpoints, its prompts, and the settings of each explainer. A setting of an explainer may be given
in a section of the explainer's name (``heads={"layers": "0-3"}``), or by itself (``layers="0-3"``): then it holds for
every explainer that has it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aftertune.errors import RunError, meant_or_known, not_known
from aftertune.explainers import AnyExplainer, explainers
from aftertune.explainers.settings import Settings, flag_of, what_is_wrong
from aftertune.models.subject import Subject, run_name
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.template_head import read_arguments
from aftertune.prompts.templates import ASKED
from aftertune.runs.parts import is_there
from aftertune.runs.roles import role_names
from aftertune.study.subjects import (
    OF_SUBJECTS,
    Given,
    must_all_be_served,
    must_be_named,
    several,
    subjects_of,
    with_bases,
)

# How checkpoints are read here, and what of another run counts for them.
OF_CHECKPOINTS = ("device", "dtype", "tokenizer", "architecture", "trust_remote_code", "reuse")


class Study(BaseModel):
    """Two models or more, in the order of their training, and what is asked of them.

    ``base`` and ``tuned`` (one, or several in a list) are what `aftertune.load` takes, or an `aftertune.Subject` where
    an adapter, a revision or another name belongs to it. An adapter's folder may stand in their place: as ``tuned`` it
    is merged into the base, and alone it is compared with the base that it names. ``run`` is the folder that keeps all
    that is measured, any fsspec address, by default runs/BASE-TUNED. ``prompts`` is a file (see
    `aftertune.read_prompts`) or a list, by default the twelve that come with Aftertune; ``limit`` takes the first of
    them. ``template`` says how they are put: "raw", "chat", or "auto", which is chat where any of the tokenizers has a
    chat template; where only some have one, the first of these is used for all; "tuned" or "base", that model's chat
    template for all; the file of one; or "rendered", for texts that were put in one already. ``template_arg`` are
    arguments of chat templates, by name or as NAME=VALUE. ``strict`` refuses a row that can't be used instead of
    skipping it. ``tokenizer`` is the place of one for checkpoints that were saved without. ``architecture`` is that of
    `aftertune.load`, where a model is built unlike all that are known. ``reuse`` is the folder of an earlier run: parts
    that this one would make just the same are copied from there. Where the subjects have a ``server`` they are asked
    there, at most ``concurrency`` requests at a time, and what needs weights is left out. ``only`` and ``skip`` choose
    explainers; further keywords are their settings, by section or by themselves. Raises `AftertuneError` for what is
    not allowed.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True)

    base: Subject
    tuned: tuple[Subject, ...]
    run: str = ""
    prompts: str | Path | tuple[Prompt, ...] | None = None
    limit: int | None = Field(None, ge=1)
    max_new_tokens: int = Field(300, ge=1)
    template: str = "auto"
    template_arg: Mapping[str, bool | int | float | str] = Field(default_factory=dict)
    strict: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    device: str = "auto"
    dtype: Literal["float32", "tf32", "bfloat16", "float16", "float64", "int8", "int4"] = "float32"
    tokenizer: str | Path | None = None
    architecture: str | Path | Mapping[str, Any] | None = None
    trust_remote_code: bool = False
    reuse: str | Path | None = None
    concurrency: int = Field(4, ge=1)
    settings: Mapping[str, Settings] = Field(default_factory=dict)

    def __init__(self, base: Given | None = None, tuned: Given | Sequence[Given] | None = None, **given: Any) -> None:
        must_be_named(base, tuned)
        own = {name: given.pop(name) for name in [*type(self).model_fields] if name in given}
        base, tuned = with_bases(base, tuned, given)
        subjects = {"base": subjects_of("base", base, given), "tuned": subjects_of("tuned", tuned, given)}
        settings = _settings(given)
        if subjects["base"][0].server is not None:
            settings = {name: one.for_servers() for name, one in settings.items()}
        own |= {"base": subjects["base"][0], "tuned": subjects["tuned"], "settings": settings}
        own |= {name: _names(own[name]) for name in ("only", "skip") if name in own}
        if isinstance(own.get("prompts"), list):
            own["prompts"] = tuple(own["prompts"])
        own["run"] = str(own.get("run") or f"runs/{run_name([*subjects['base'], *subjects['tuned']])}")
        own["template"] = _template(own.get("template", "auto"), len(subjects["tuned"]))
        own["template_arg"] = read_arguments(own.get("template_arg"))
        try:
            super().__init__(**own)
        except ValidationError as error:
            raise RunError(what_is_wrong(type(self), error)) from None
        _must_leave_any(self.only, self.skip)
        must_all_be_served(self.subjects)
        if self.is_served:
            _must_be_for_servers(self)

    @property
    def is_served(self) -> bool:
        """Whether the models are asked through servers."""
        return self.base.server is not None

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All checkpoints, the base first."""
        return (self.base, *self.tuned)

    @property
    def explainers(self) -> dict[str, AnyExplainer]:
        """The explainers that measure in this study, by name."""
        return {
            name: one
            for name, one in measuring().items()
            if name not in self.skip and (not self.only or name in self.only)
        }

    def flat(self) -> dict[str, Any]:
        """All settings by the names of their flags, plain values: what `read_settings` reads again."""
        plain = self.model_dump(mode="json", exclude={"base", "tuned", "run", "settings", "prompts"})
        prompts = str(self.prompts) if isinstance(self.prompts, str | Path) else None
        return _flat_subjects(self) | {"prompts": prompts} | plain | _flat_settings(self.settings)


def measuring() -> dict[str, AnyExplainer]:
    """The explainers that a comparison measures, by name; others have a command of their own."""
    return {name: one for name, one in explainers().items() if not one.command}


def homes_of(name: str) -> dict[str, str]:
    """The field of each explainer that has a setting of this name, or with a flag of this name."""
    found = {explainer: one.settings.field_of(name) for explainer, one in measuring().items()}
    return {explainer: field for explainer, field in found.items() if field is not None}


def known_settings() -> list[str]:
    """The names of all settings of a study, as flags."""
    own = [name for name in Study.model_fields if name != "settings"]
    of_subjects = [f"{role}_{name}" for role in ("base", "tuned") for name in OF_SUBJECTS]
    of_explainers = [
        flag for one in measuring().values() for n, f in one.settings.model_fields.items() if (flag := flag_of(n, f))
    ]
    return [name.replace("_", "-") for name in dict.fromkeys([*own, *of_subjects, *of_explainers])]


def _settings(given: Mapping[str, Any]) -> dict[str, Settings]:
    """The settings of each explainer, from sections and from settings given by themselves."""
    values: dict[str, dict[str, Any]] = {name: _section(name, given.get(name)) for name in measuring()}
    for key, value in given.items():
        if key in values:
            continue
        homes = homes_of(key)
        if not homes:
            raise RunError(f"{key!r} is no setting of a study.{meant_or_known(key, known_settings())}")
        for name, field in homes.items():
            values[name].setdefault(field, value)
    return {name: one.settings(**values[name]) for name, one in measuring().items()}


def _section(name: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Settings):
        return {field: getattr(given, field) for field in given.model_fields_set}
    if not isinstance(given, Mapping):
        raise RunError(f"The settings of {name} are given as {given!r:.80}. Give them by name, as NAME: VALUE.")
    return {next(iter(homes_of(str(key)).values()), str(key)): value for key, value in given.items()}


def _template(asked: Any, n_tuned: int) -> Any:
    """How prompts are put: a known name, a role, or the file of a chat template, in full where it lies here."""
    known = [*ASKED, *role_names(n_tuned + 1)]
    if asked in known or not isinstance(asked, str | Path):
        return asked
    path = Path(asked).expanduser()
    if path.is_file():
        return str(path.resolve())
    if "://" in str(asked) and is_there(str(asked)):
        return str(asked)
    raise RunError(
        f"The template {str(asked)!r} is not known, and no file. Allowed: {', '.join(known)}, or a file with a chat "
        "template."
    )


def _names(value: Any) -> tuple[Any, ...]:
    """Names given one by one, or several in a text separated by commas."""
    groups = (one.split(",") if isinstance(one, str) else [one] for one in several(value))
    return tuple(name.strip() if isinstance(name, str) else name for names in groups for name in names)


def _must_leave_any(only: Sequence[str], skip: Sequence[str]) -> None:
    known = ", ".join(measuring())
    if only and skip:
        raise RunError("Both only and skip say which explainers are computed. Give one of the two.")
    unknown = [name for name in (*only, *skip) if name not in measuring()]
    if unknown:
        raise RunError(not_known("explainer", unknown[0], measuring()))
    if not [name for name in measuring() if name not in skip]:
        raise RunError(f"All explainers are skipped. Leave at least one of {known}.")


def _must_be_for_servers(study: Study) -> None:
    given = [name for name in OF_CHECKPOINTS if getattr(study, name) != Study.model_fields[name].default]
    if given:
        names = ", ".join(name.replace("_", "-") for name in given)
        raise RunError(f"{names} can't be used with servers: it is about checkpoints that are read here. Leave it out.")


def _flat_subjects(study: Study) -> dict[str, Any]:
    found: dict[str, Any] = {"base": str(study.base.ref), "tuned": [str(one.ref) for one in study.tuned]}
    for name in OF_SUBJECTS:
        found[f"base_{name}"] = _text(getattr(study.base, name))
        found[f"tuned_{name}"] = [_text(getattr(one, name)) or "" for one in study.tuned]
    return {key: value for key, value in found.items() if value is not None and value != [""] * len(study.tuned)}


def _flat_settings(settings: Mapping[str, Settings]) -> dict[str, Any]:
    """Settings that have a flag, by it, where all explainers agree; the others in a section of their explainer."""
    flat: dict[str, Any] = {}
    for name, one in settings.items():
        for field, about in type(one).model_fields.items():
            flag, value = flag_of(field, about), _plain(getattr(one, field))
            key = (flag or "").replace("-", "_")
            if flag and (key not in flat or flat[key] == value):
                flat[key] = value
            elif value != _plain(about.default):
                flat.setdefault(name, {})[field] = value
    return flat


def _plain(value: Any) -> Any:
    """A setting as YAML takes it; an object that stands for data of its own (words, vectors) is not kept."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else _text(value)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | Path) else None
