"""The command on maps that were made elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from aftertune.cli.app import command_app
from aftertune.cli.options import OPTIONAL, Json
from aftertune.cli.output import show

app = command_app()


@app.command()
def score(
    maps: Annotated[Path, typer.Argument(metavar="MAPS", help="Parquet file of maps.")],
    prompts: Annotated[str, typer.Option(help="The prompts the maps were made of, with spans and ratings.")],
    base: Annotated[str | None, typer.Option(help=f"Name of the base in the file; {OPTIONAL}.")] = None,
    tuned: Annotated[str | None, typer.Option(help=f"Name of the tuned in the file; {OPTIONAL}.")] = None,
    as_json: Json = False,
) -> None:
    """Compute tables 1 and 2 and figure 6 from maps that were computed elsewhere."""
    from aftertune.study.compare import score as score_maps

    show(score_maps(maps, prompts, base, tuned), as_json)
