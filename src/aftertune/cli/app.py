"""The program ``aftertune``: its list of commands, and how it ends.

A command's file is imported when the command is called, so that ``aftertune --help`` waits for none of them.
"""

import inspect
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import aftertune
from aftertune.cli.terminal import say, take_any_text
from aftertune.cli.threads import wait_briefly
from aftertune.errors import AftertuneError, meant_or_known, shortened, within_memory

COMMANDS = {
    "compare": "Compare checkpoints: what did tuning change?",
    "status": "Say how far a run is.",
    "report": "Write the report of a saved run again, or single tables and figures of it.",
    "demo": "Compare the pair that comes with Aftertune.",
    "attribute": "Attribute one response to its prompt.",
    "heads": "Read a model's heads as word pairs.",
    "concepts": "Read a model's layers as components with words.",
    "annotate": "Have the components of a run described.",
    "label": "Mark instructions and rate responses by hand.",
    "score": "Tables 1 and 2 from maps made elsewhere.",
}
INTERRUPTED = 130
TERMINATED = 143
TOO_LARGE = "Give fewer or shorter prompts, a smaller model, or --dtype bfloat16; what was measured is kept."
LINE_END = re.compile(r"(?<!\n)\n(?!\n)")  # within a paragraph
CONTEXT = {"help_option_names": ["-h", "--help"]}
REASON = re.compile(r"Input should be ([^,]*).*", re.DOTALL)


class Commands(TyperGroup):
    """The commands, each loaded from the file of its name when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; raises `AftertuneError` where there is none, unless a shell only asks."""
        if cmd_name not in COMMANDS:
            if ctx is None or ctx.resilient_parsing:
                return None
            raise AftertuneError(f"There is no command {cmd_name!r}.{meant_or_known(cmd_name, COMMANDS)}")
        found = typer.main.get_command(import_module(f"aftertune.cli.{cmd_name}").app)
        found.name, found.help = cmd_name, LINE_END.sub(" ", inspect.cleandoc(found.help or ""))
        return found

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, drawn without loading any command."""
        stubs = Stubs(name=self.name, help=self.help, params=self.params, epilog=self.epilog)
        stubs.format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """What a shell may offer after ``aftertune``, again without loading any command."""
        return Stubs(name=self.name, params=self.params).shell_complete(ctx, incomplete)


class Stubs(TyperGroup):
    """The same commands by name and a line of help alone."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A command that can only say what it is for."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])


def command_app() -> typer.Typer:
    """The app of one command."""
    return typer.Typer(
        add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False, context_settings=CONTEXT
    )


def examples(title: str, calls: Mapping[str, str]) -> str:
    """The end of a help: calls to copy, each below what it is for."""
    rows = [f"[dim]{what}:[/]\n  {call}" for call, what in calls.items()]
    return "\n".join([f"[bold]{title}[/]", *rows])


app = typer.Typer(
    cls=Commands,
    help="What did tuning change inside this language model?",
    epilog=examples(
        "Where to start",
        {
            "aftertune demo": "A pair that comes with Aftertune, in a few minutes",
            "aftertune compare ADAPTER --only outputs": "Your LoRA adapter against the base that it names, at a glance",
            "aftertune compare BASE TUNED": "Two checkpoints, everything that can be measured",
            "aftertune COMMAND --help": "What a command takes, with examples",
        },
    ),
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


@app.callback(invoke_without_command=True)
def top(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """What did tuning change inside this language model?"""
    if version:
        say(f"aftertune {aftertune.__version__}")
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())  # our own words, in colours


def main() -> NoReturn:
    """The program ``aftertune``: exits with 2 and one message where the input is at fault."""
    take_any_text()
    wait_briefly()
    with stopped_by_sigterm() as terminated:
        try:
            with within_memory(AftertuneError, "", TOO_LARGE):
                ended = app(prog_name="aftertune", standalone_mode=False)
        except AftertuneError as error:
            say(f"aftertune: {error}", err=True)
            sys.exit(2)
        except typer.TyperException as error:
            say(f"aftertune: {shortened(what_is_wrong(error))}", err=True)
            sys.exit(2)
        except (KeyboardInterrupt, typer.Abort):
            ended = INTERRUPTED
    if ended == INTERRUPTED:  # what typer makes of Ctrl-C
        say("aftertune: interrupted. Run the same command again; it goes on where it stopped.", err=True)
        sys.exit(TERMINATED if terminated else INTERRUPTED)
    sys.exit(ended if isinstance(ended, int) else 0)


@contextmanager
def stopped_by_sigterm() -> Iterator[list[int]]:
    """SIGTERM, which batch systems send, ends the block as Ctrl-C does; the list that is given holds it then."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def what_is_wrong(error: typer.TyperException) -> str:
    """A call that can't be understood, in one line: what is wrong, and what was meant or where all is told."""
    known: Any = error  # each kind of error says more in attributes of its own
    if hasattr(error, "possibilities"):
        said, possible = f"There is no option {known.option_name}.", sorted(known.possibilities or ())[:3]
        if possible:
            return f"{said} Did you mean {' or '.join(possible)}?"
    else:
        message = REASON.sub(r"it must be \1", error.format_message()).removeprefix("Invalid value for ")
        said = f"{message.strip().rstrip('.').replace(chr(39), '')}."
    context = getattr(error, "ctx", None)
    return f"{said} See {context.command_path if context else 'aftertune'} --help."
