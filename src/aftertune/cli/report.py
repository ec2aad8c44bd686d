"""The command on a saved run: its report, written again."""

from typing import Annotated, Any

import typer

from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import Json
from aftertune.cli.output import show
from aftertune.study.study import measuring

app = command_app()


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Write the report of a saved run again, without loading a model."""
    from aftertune.study.saved import write_report

    show(write_report(run, **settings), as_json, run)


app.command()(with_settings(report, {one.title: one.settings for one in measuring().values()}, scopes="change"))
