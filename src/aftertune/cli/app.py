"""The program ``aftertune``: its list of commands, and how it ends.

A command's file is imported when the command is called, so that ``aftertune --help`` waits for none of them.
"""

import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import aftertune
from aftertune.errors import AftertuneError

COMMANDS = {
    "compare": "Compare checkpoints: what did tuning change?",
    "report": "Write the report of a saved run again.",
    "demo": "Compare the pair that comes with Aftertune.",
    "attribute": "Attribute one response to its prompt.",
    "heads": "Read a model's heads as word pairs.",
    "concepts": "Read a model's layers as components with words.",
    "annotate": "Have the components of a run described.",
    "label": "Mark instructions and rate responses by hand.",
    "score": "Tables 1 and 2 from maps made elsewhere.",
}
INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands, each loaded from the file of its name when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command of a name, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        found = typer.main.get_command(import_module(f"aftertune.cli.{cmd_name}").app)
        found.name = cmd_name
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The list of commands, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def command_app() -> typer.Typer:
    """The app of one command."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,  # plain help, at once: to draw it with rich takes as long as all the rest
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = typer.Typer(
    cls=Commands,
    help="What did tuning change inside this language model?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """What did tuning change inside this language model?"""
    if version:
        typer.echo(f"aftertune {aftertune.__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """The program ``aftertune``: exits with 2 and one message where the input is at fault."""
    try:
        app(standalone_mode=True)
    except AftertuneError as error:
        typer.echo(f"aftertune: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as ended:
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:  # what typer makes of Ctrl-C
            raise
        typer.echo("aftertune: interrupted. Run the same command again; it goes on where it stopped.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0)
