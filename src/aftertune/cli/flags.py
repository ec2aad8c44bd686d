"""The flags that come from the settings of explainers, ours and those of other packages."""

import inspect
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from aftertune.cli.options import one_of
from aftertune.errors import RunError
from aftertune.explainers.settings import Settings, allowed_values, flag_of, scope_of

PLAIN = (bool, int, float, str)


def with_settings(
    command: Callable[..., Any], kinds: Mapping[str, type[Settings]], scopes: str = ""
) -> Callable[..., Any]:
    """A command that takes ``settings`` as the flags of several settings, each flag once; not given is None.

    ``kinds`` are the settings by the title under which help shows their flags; ``scopes`` keeps the settings of these
    scopes only ("change"). Raises `RunError` if two explainers have a flag of
    one name and different types.
    """
    own = inspect.signature(command)
    plain = [one for one in own.parameters.values() if one.name != "settings"]
    flags = _flags(kinds, scopes)

    def called(**values: Any) -> Any:
        settings = {name: values.pop(name) for name in flags}
        return command(**values, settings={name: value for name, value in settings.items() if value is not None})

    parameters = [*plain, *flags.values()]
    called.__signature__ = own.replace(parameters=sorted(parameters, key=lambda one: one.kind))  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    called.__doc__, called.__name__ = command.__doc__, command.__name__
    return called


def _flags(kinds: Mapping[str, type[Settings]], scopes: str) -> dict[str, inspect.Parameter]:
    """The flags by name; one that several settings have stands below the titles of all of them."""
    abouts: dict[str, Any] = {}
    titles: dict[str, list[str]] = {}
    for title, kind in kinds.items():
        for field, about in kind.model_fields.items():
            flag = flag_of(field, about)
            if flag is None or (scopes and scope_of(about) != scopes):
                continue
            if _kind(abouts.setdefault(flag, about).annotation) is not _kind(about.annotation):
                raise RunError(
                    f"Two explainers have a flag --{flag} of different types. Rename that of {kind.__name__}."
                )
            titles.setdefault(flag, []).append(title)
    return {flag.replace("-", "_"): _parameter(flag, about, titles[flag]) for flag, about in abouts.items()}


def _parameter(flag: str, about: Any, titles: list[str]) -> inspect.Parameter:
    kind, allowed = _kind(about.annotation), allowed_values(about.annotation)
    text = f"{(about.description or flag).rstrip('.')}{': ' + ', '.join(map(str, allowed)) if allowed else ''}."
    text = text[:1].upper() + text[1:]
    if about.default not in (None, ""):
        text = f"{text} \\[default: {about.default if kind is not bool else 'yes' if about.default else 'no'}]"
    name = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    shown: dict[str, Any] = {"show_default": False, "rich_help_panel": " and ".join(titles)}
    option = one_of(allowed, text, name, **shown) if allowed else typer.Option(name, help=text, **shown)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(
        flag.replace("-", "_"), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _kind(annotation: Any) -> Any:
    """The type that the command line reads: the first plain one of a union, text for anything else."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return type(allowed_values(annotation)[0])
    if get_origin(annotation) in (UnionType, Union):
        kinds = [one for one in get_args(annotation) if one is not NoneType]
        return next((one for one in kinds if one in PLAIN), str)
    return annotation if annotation in PLAIN else str
