"""Write ``docs/cli.md`` from the commands themselves, so that the page cannot say what the program does not.

    python docs/make_cli.py

A test compares the page in the repository with what this script would write.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any, get_args

import typer

from aftertune.cli.app import app

PAGE = Path(__file__).parent / "cli.md"
DEFAULT = re.compile(r" \\\[default: (.*)\]")
HEAD = """# The command line

<!-- Written by docs/make_cli.py; change aftertune/cli/ and run it again. -->

Every command exits with 0 when it is done, with 2 and one message on standard error when the input is at fault, and
with 130 when it is interrupted. Progress goes to standard error, so that `--json` leaves one JSON object on standard
output. `--help` (or `-h`) follows every command; `python -m aftertune` is the same program.
"""


def render() -> str:
    """The whole page."""
    program = typer.main.get_command(app)
    names = program.list_commands(None)
    sections = [section(name, program.get_command(None, name)) for name in names]
    return "\n".join([HEAD, "## aftertune\n", *options_of(program), *sections])


def section(name: str, command: Any) -> str:
    """One command: how it is called, what it does, its arguments and options."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    required = "".join(f" {flag(one)} {one.name.upper()}" for one in options(command) if one.required)
    usage = " ".join(["aftertune", name, *map(placeholder, arguments)])
    lines = [f"## aftertune {name}\n", "```text", f"{usage}{required} [OPTIONS]", "```\n"]
    lines += ["\n\n".join(fill(one, 120) for one in (command.help or "").split("\n\n")), ""]
    if arguments:
        lines += ["| argument | what |", "| --- | --- |"]
        lines += [f"| `{placeholder(one)}` | {one.help} |" for one in arguments] + [""]
    return "\n".join([*lines, *options_of(command)])


def options_of(command: Any) -> list[str]:
    """The table of a command's options."""
    rows = [f"| `{flag(one)}` | {say(one)} | {without_default(one.help)} |" for one in options(command)]
    return ["| option | value | what |", "| --- | --- | --- |", *rows, ""]


def options(command: Any) -> Iterator[Any]:
    """The options of a command, without its help."""
    return (one for one in command.params if one.param_type_name == "option" and one.name != "help")


def placeholder(argument: Any) -> str:
    """How an argument is written where the command is shown."""
    return str(argument.metavar or argument.name.upper())


def flag(option: Any) -> str:
    """How the option is written in full."""
    off = [name for name in option.secondary_opts if name.startswith("--")]
    return "`, `".join([next(name for name in option.opts if name.startswith("--")), *off])


def say(option: Any) -> str:
    """Its type and default in words; a flag takes no value, and a list is an option that can be given again."""
    if option.is_flag:
        return "flag"
    kind = option.type_descriptor.annotation
    kind = get_args(kind)[0] if option.multiple else kind
    plain = {str: "text", Path: "path", int: "number", float: "number"}[kind]
    plain += ", may be repeated" if option.multiple else ""
    if option.required:
        return f"{plain}, required"
    default = option.default if option.default not in (None, [], ()) else default_in(option.help)
    return plain if default is None else f"{plain}, `{default}` if left out"


def default_in(text: str) -> str | None:
    """The default that a help text tells itself, where not given is told from given."""
    found = DEFAULT.search(text)
    return found[1] if found else None


def without_default(text: str) -> str:
    """A help text without the default that stands in the column beside it."""
    return DEFAULT.sub("", text)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
