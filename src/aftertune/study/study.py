"""What is compared, and how: the same in Python, in a YAML file and as flags.

A study names its checkpoints, its prompts, and the settings of each explainer. A setting of an explainer may be given
in a section of the explainer's name (``heads={"layers": "0-3"}``), or by itself (``layers="0-3"``): then it holds for
every explainer that has it.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aftertune.errors import RunError
from aftertune.explainers import AnyExplainer, explainers
from aftertune.explainers.settings import Settings, flag_of, what_is_wrong
from aftertune.models.adapters.alone import base_of, is_adapter
from aftertune.models.subject import Subject, run_name
from aftertune.prompts.prompt import Prompt
from aftertune.prompts.templates import TemplateChoice

Given = str | Path | Subject
OF_SUBJECTS = ("adapter", "revision", "name", "server")
DTYPES = ("float32", "bfloat16", "float16", "float64")


class Study(BaseModel):
    """Two models or more, in the order of their training, and what is asked of them.

    ``base`` and ``tuned`` (one, or several in a list) are what `aftertune.load` takes, or an `aftertune.Subject` where
    an adapter, a revision or another name belongs to it. An adapter's folder may stand in their place: as ``tuned`` it
    is merged into the base, and alone it is compared with the base that it names. ``run`` is the folder that keeps all
    that is measured, any fsspec address, by default runs/BASE-TUNED. ``prompts`` is a file (see
    `aftertune.read_prompts`) or a list, by
    default the twelve that come with Aftertune; ``limit`` takes the first of them. ``template`` says how they are put:
    "raw", "chat", or "auto", which is chat where any of the tokenizers has a chat template; where only some have one,
    the first of these is used for all. ``architecture`` is that of `aftertune.load`, where a model is built unlike all
    that are known. Where the subjects have a ``server`` they are asked there, at most ``concurrency`` requests at a
    time, and what needs weights is left out. ``only`` and ``skip`` choose explainers; further keywords are their
    settings, by section or by themselves. Raises `AftertuneError` for what is not allowed.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=True)

    base: Subject
    tuned: tuple[Subject, ...]
    run: str = ""
    prompts: str | Path | tuple[Prompt, ...] | None = None
    limit: int | None = Field(None, ge=1)
    max_new_tokens: int = Field(300, ge=1)
    template: TemplateChoice = "auto"
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    architecture: str | Path | Mapping[str, Any] | None = None
    trust_remote_code: bool = False
    concurrency: int = Field(4, ge=1)
    settings: Mapping[str, Settings] = Field(default_factory=dict)

    def __init__(self, base: Given | None = None, tuned: Given | Sequence[Given] | None = None, **given: Any) -> None:
        own = {name: given.pop(name) for name in [*type(self).model_fields] if name in given}
        base, tuned = _with_bases(base, tuned, given)
        subjects = {"base": _subjects("base", base, given), "tuned": _subjects("tuned", tuned, given)}
        own |= {"base": subjects["base"][0], "tuned": subjects["tuned"], "settings": _settings(given)}
        own |= {name: _names(own[name]) for name in ("only", "skip") if name in own}
        if isinstance(own.get("prompts"), list):
            own["prompts"] = tuple(own["prompts"])
        own["run"] = str(own.get("run") or f"runs/{run_name([*subjects['base'], *subjects['tuned']])}")
        try:
            super().__init__(**own)
        except ValidationError as error:
            raise RunError(what_is_wrong(type(self), error)) from None
        _must_leave_any(self.only, self.skip)
        _must_all_be_served(self.subjects)

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
            raise RunError(f"{key!r} is no setting of a study. Known: {', '.join(known_settings())}.")
        for name, field in homes.items():
            values[name].setdefault(field, value)
    return {name: one.settings(**values[name]) for name, one in measuring().items()}


def _section(name: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, Settings):
        return {field: getattr(given, field) for field in type(given).model_fields}
    if not isinstance(given, Mapping):
        raise RunError(f"The settings of {name} are given as {given!r:.80}. Give them by name, as NAME: VALUE.")
    return {next(iter(homes_of(str(key)).values()), str(key)): value for key, value in given.items()}


def _subjects(role: str, given: Given | Sequence[Given] | None, values: dict[str, Any]) -> tuple[Subject, ...]:
    """The checkpoints of a role, with what ``values`` says of them: one value each, "" for none."""
    said = {name: _several(values.pop(f"{role}_{name}", None)) for name in OF_SUBJECTS}
    found = [given] if isinstance(given, str | Path | Subject) else list(given or ())
    if not found:
        raise RunError(f"No {role} checkpoint was given. Give a hub id, a folder, or a .gguf file.")
    for name, each in said.items():
        if each and len(each) != len(found):
            raise RunError(
                f"{role}-{name} is given {len(each)} times for {len(found)} {role} checkpoints. Give it once for each, "
                'in their order, "" for none.'
            )
    rows = zip_longest(found, *(said[name] for name in OF_SUBJECTS))
    return tuple(_subject(one, dict(zip(OF_SUBJECTS, rest, strict=True))) for one, *rest in rows)


def _must_all_be_served(subjects: Sequence[Subject]) -> None:
    served = [one for one in subjects if one.server is not None]
    if served and len(served) < len(subjects):
        raise RunError(
            "Some of the models are behind a server and others are checkpoints here: their probabilities are computed "
            "differently, so they can't be compared. Give a server for each (base-server, tuned-server), or for none."
        )
    if any(one.adapter or one.revision for one in served):
        raise RunError("A served model has no adapter and no revision of its own. Serve the model with them merged.")
    if len({(one.server, one.ref) for one in served}) < len(served):
        raise RunError("Two of the models are the same model of the same server. Give each its own.")


def _with_bases(
    base: Given | None, tuned: Given | Sequence[Given] | None, said: Mapping[str, Any]
) -> tuple[Given | None, list[Given]]:
    """Base and tuned, adapters among them with the base that they are merged into; of servers their only models."""
    found = [tuned] if isinstance(tuned, str | Path | Subject) else list(tuned or ())
    if said.get("base_server") or said.get("tuned_server"):
        return base or "", found or [""] * len(_several(said.get("tuned_server")))
    if isinstance(base, str | Path) and not said.get("base_adapter") and is_adapter(base):
        own = base_of(base)
        merged = Subject(own.ref, base, own.revision, name=Path(base).name)
        if found:
            base = merged
        else:
            base, found = Subject(own.ref, revision=own.revision), [merged]
    elif isinstance(base, str | Path) and not found and not said.get("tuned_adapter"):
        raise RunError(
            "No tuned checkpoint was given. Give two (aftertune compare BASE TUNED), or one adapter that lies here: "
            f"{base} has no adapter_config.json. Of an adapter on the hub: compare BASE BASE --tuned-adapter {base}."
        )
    ref, revision = (base.ref, base.revision) if isinstance(base, Subject) else (base, None)
    if ref is not None:
        found = found or [Subject(ref, revision=revision)] * len(_several(said.get("tuned_adapter")))
        found = [
            Subject(ref, one, revision, name=Path(one).name) if isinstance(one, str | Path) and is_adapter(one) else one
            for one in found
        ]
    return base, found


def _subject(given: Given, said: Mapping[str, Any]) -> Subject:
    told = {name: value for name, value in said.items() if value}
    if isinstance(given, Subject):
        return Subject(given.ref, **({name: getattr(given, name) for name in OF_SUBJECTS} | told))
    return Subject(given, **told)


def _names(value: Any) -> tuple[Any, ...]:
    """Names given one by one, or several in a text separated by commas."""
    several = (one.split(",") if isinstance(one, str) else [one] for one in _several(value))
    return tuple(name.strip() if isinstance(name, str) else name for names in several for name in names)


def _several(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def _must_leave_any(only: Sequence[str], skip: Sequence[str]) -> None:
    known = ", ".join(measuring())
    if only and skip:
        raise RunError("Both only and skip say which explainers are computed. Give one of the two.")
    unknown = [name for name in (*only, *skip) if name not in measuring()]
    if unknown:
        raise RunError(f"{unknown[0]!r} is no explainer. The explainers are {known}.")
    if not [name for name in measuring() if name not in skip]:
        raise RunError(f"All explainers are skipped. Leave at least one of {known}.")


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
