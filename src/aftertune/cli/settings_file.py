"""All settings of a command in one YAML file, read in place of flags and kept with a run.

A key is a flag's name, with hyphens or underscores, or an argument's. What is given on the command line wins over the
file. Paths are taken as on the command line, from the folder in which it is called.
"""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import unwrap
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import typer

from aftertune.errors import RunError

FILE = "settings.yaml"
Progress = Callable[[str, float, float], None]
NO_SETTING = frozenset({"_config", "context", "return"})
TAKEN: dict[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float)}
TOLD = {bool: "true or false", int: "a whole number", float: "a number"}
# Where a run lies and how its result is printed is no part of what it finds.
NOT_KEPT = frozenset({"_config", "run", "as_json", "quiet", "help"})
PLACES = frozenset({"base", "tuned", "base_adapter", "tuned_adapter", "prompts", "words", "vectors", "verbs"})
PACKAGES = ("aftertune", "torch", "transformers", "numpy", "polars")
# Either says which parts are computed, so one on the command line takes the place of both in the file.
EXCLUSIVE = frozenset({"only", "skip"})
HEAD = """\
# The settings of this run, those that were not given included ({versions}).
# To repeat it: aftertune compare --config settings.yaml --run ANOTHER_FOLDER
"""


def take_settings(ctx: typer.Context, file: Path | None) -> Path | None:
    """Let the settings of a file stand in for flags that are not given; the callback of ``--config``.

    Raises `RunError` if the file can't be read or holds what the command does not know.
    """
    if file is not None:
        found = read_settings(file, _kinds(ctx.command.callback))
        # What is on the command line is known before the others are looked up, which is when these are called.
        ctx.default_map = found | {name: partial(_unless_given, ctx, found.get(name)) for name in EXCLUSIVE}
    return file


def read_settings(file: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file, of which each must be ``known`` by its name and kind; see `take_settings`."""
    found: dict[str, Any] = {}
    for key, value in _parse(file).items():
        name = _parameter_name(key)
        if name not in known:
            allowed = ", ".join(map(_key, known))
            raise RunError(f"{file} holds the setting {key!r}, which is not known. Known: {allowed}.")
        if name in found:
            raise RunError(
                f"{file} holds the setting {_key(name)} twice, with a hyphen and an underscore. Give it once."
            )
        if value is not None:
            found[name] = _checked(file, name, value, known[name])
    return found


def settled(ctx: typer.Context) -> dict[str, Any]:
    """All settings as they were settled, flags and arguments by their names, local places in full."""
    kept = [one.name for one in ctx.command.params if one.name not in NOT_KEPT]
    return {_key(name): _in_full(ctx.params[name]) if name in PLACES else ctx.params[name] for name in kept}


def as_yaml(settings: Mapping[str, Any]) -> str:
    """A settings file; the versions that made the run are told in a comment."""
    from importlib.metadata import version

    import yaml

    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    body: str = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    return HEAD.format(versions=versions) + body


def keeping_settings(progress: Progress, run: str, text: str) -> Progress:
    """``progress`` that also keeps a settings file with the run, as soon as the run has begun.

    Raises `RunError` if it can't be written.
    """
    kept = False

    def tell(what: str, done: float, total: float) -> None:
        nonlocal kept
        if not kept and not what.endswith("loading"):  # a run begins with the first file after that
            from aftertune.runs.parts import is_text, write_text
            from aftertune.runs.run import RunFolder

            place = RunFolder.open(run).path(FILE)
            if not is_text(place, text):
                write_text(place, text)
            kept = True
        progress(what, done, total)

    return tell


def _parse(file: Path) -> dict[Any, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(f"There is no file {file}. Give a YAML file with settings.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} can't be read: {str(error).rstrip('.')}. Give a YAML file with settings.") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RunError(f"{file} is no YAML: {reason}. Write one setting a line, as NAME: VALUE.") from error
    if not isinstance(found, dict):
        held = "nothing" if found is None else f"a {type(found).__name__}"
        raise RunError(f"{file} holds {held}, not settings. Write one setting a line, as NAME: VALUE.")
    return found


def _kinds(command: Any) -> dict[str, Any]:
    """The types of a command's parameters by their names: bool, int, float, str, Path, or a list of them."""
    hints = {name: kind for name, kind in get_type_hints(unwrap(command)).items() if name not in NO_SETTING}
    return {
        name: next((one for one in get_args(kind) if one is not NoneType), kind)
        if get_origin(kind) is UnionType
        else kind
        for name, kind in hints.items()
    }


def _checked(file: Path, name: str, value: Any, kind: Any) -> Any:
    """The value as the command takes it, or a `RunError` if it is of another kind."""
    if get_origin(kind) is list:
        return [_checked(file, name, one, get_args(kind)[0]) for one in (value if isinstance(value, list) else [value])]
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, TAKEN.get(kind, (str, int, float))):
        raise RunError(f"{file} sets {_key(name)} to {value!r}. Give {TOLD.get(kind, 'a text')}.")
    return value if kind in TAKEN else str(value)


def _unless_given(ctx: typer.Context, value: Any) -> Any:
    sources = [ctx.get_parameter_source(name) for name in EXCLUSIVE]
    return None if any(source is not None and source.name == "COMMANDLINE" for source in sources) else value


def _parameter_name(key: Any) -> str:
    name = str(key).replace("-", "_")
    return "as_json" if name == "json" else name


def _key(name: str) -> str:
    return "json" if name == "as_json" else name.replace("_", "-")


def _in_full(value: Any) -> Any:
    """A local place in full, so that the file says the same wherever it is used; each of a list of them."""
    if isinstance(value, list | tuple):
        return [_in_full(one) for one in value]
    if not value:
        return value
    file, mark, member = str(value).partition("::")  # an archive's member, as of word vectors
    path = Path(file).expanduser()
    return f"{path.resolve() if path.exists() else file}{mark}{member}"
