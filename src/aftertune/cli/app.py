"""The program and how it ends."""

import sys
from typing import Annotated, NoReturn

import typer

import aftertune
from aftertune.errors import AftertuneError

app = typer.Typer(
    help="What did tuning change inside this language model?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help, at once: to draw it with rich takes as long as all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


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
        typer.echo("aftertune: interrupted. Started again, the same command goes on where it stopped.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0)
