"""The command on a saved run: its report, written again."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aftertune.cli.app import command_app, examples
from aftertune.cli.flags import with_settings
from aftertune.cli.options import OUT, Json
from aftertune.cli.output import show, show_written
from aftertune.study.study import measuring

app = command_app()
EXAMPLES = examples(
    "Examples",
    {
        "aftertune report runs/mine --verbs medicine.txt": "The report again, asking about other words",
        "aftertune report runs/mine --out table2.tex --out figure2.pdf --out methods.md": "What a paper needs of it",
    },
)


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    out: Annotated[list[Path] | None, typer.Option(help=f"Instead of the whole report, one part of it {OUT}")] = None,
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Write the report of a saved run again, or single tables and figures of it, without loading a model."""
    from aftertune.study.saved import write_files, write_report

    if out:
        show_written(write_files(run, out, **settings), as_json, out)
    else:
        show(write_report(run, **settings), as_json, run)


app.command(epilog=EXAMPLES)(
    with_settings(report, {one.title: one.settings for one in measuring().values()}, scopes="change")
)
