"""Write ``docs/cli.md`` from the commands themselves, so that the page cannot say what the program does not.

    python docs/make_cli.py

A test compares the page in the repository with what this script would write.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from aftertune.cli import app, top

REQUIRED = inspect.Parameter.empty
Parameter = tuple[str, Any, Any, Any]
PAGE = Path(__file__).parent / "cli.md"
HEAD = """# The command line

<!-- Written by docs/make_cli.py; change aftertune/cli/ and run it again. -->

Every command exits with 0 when it is done, with 2 and one message on standard error when the input is at fault, and
with 130 when it is interrupted. Progress goes to standard error, so that `--json` leaves one JSON object on standard
output. `--help` (or `-h`) follows every command; `python -m aftertune` is the same program.
"""


def render() -> str:
    """The whole page."""
    sections = [section(command.callback) for command in app.registered_commands if command.callback]
    return "\n".join([HEAD, "## aftertune\n", *options_of(top), *sections])


def section(function: Callable[..., Any]) -> str:
    """One command: how it is called, what it does, its arguments and options."""
    arguments, options = split(function)
    names = " ".join(name.upper() for name, _, _, _ in arguments)
    usage = f"aftertune {function.__name__} {names}".rstrip()
    required = "".join(f" {flag(name, info)} {name.upper()}" for name, _, info, value in options if value is REQUIRED)
    lines = [f"## aftertune {function.__name__}\n", "```text", f"{usage}{required} [OPTIONS]", "```\n"]
    lines += [inspect.getdoc(function) or "", ""]
    if arguments:
        lines += ["| argument | what |", "| --- | --- |"]
        lines += [f"| `{name.upper()}` | {info.help} |" for name, _, info, _ in arguments] + [""]
    return "\n".join([*lines, *options_of(function)])


def options_of(function: Callable[..., Any]) -> list[str]:
    """The table of a function's options."""
    _, options = split(function)
    rows = [f"| `{flag(name, info)}` | {say(kind, value)} | {info.help} |" for name, kind, info, value in options]
    return ["| option | value | what |", "| --- | --- | --- |", *rows, ""]


def split(function: Callable[..., Any]) -> tuple[list[Parameter], list[Parameter]]:
    """The arguments and the options of a command, each with name, type, typer's record of it, and default."""
    found = list(parameters(function))
    return [p for p in found if isinstance(p[2], ArgumentInfo)], [p for p in found if isinstance(p[2], OptionInfo)]


def parameters(function: Callable[..., Any]) -> Iterator[Parameter]:
    """Every parameter of a command in its order."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if hints[name] is typer.Context:  # what typer gives, not the user
            continue
        kind, info = get_args(hints[name])[:2]
        yield name, kind, info, parameter.default


def flag(name: str, info: OptionInfo) -> str:
    """How the option is written; typer keeps a name that was given among ``Annotated`` as the default."""
    given = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    return next((text for text in given if text.startswith("--")), f"--{name.replace('_', '-')}")


def say(kind: Any, value: Any) -> str:
    """Its type and default in words; a flag takes no value, and a list is an option that can be given again."""
    if kind is bool:
        return "flag"
    names = [part.__name__ for part in get_args(kind) or (kind,) if part is not NoneType]
    kinds = {"str": "text", "int": "number", "float": "number", "Path": "path", "list": "text, may be repeated"}
    plain = kinds[names[0]]
    if value is REQUIRED:
        return f"{plain}, required"
    return plain if value is None else f"{plain}, `{value}` if left out"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
