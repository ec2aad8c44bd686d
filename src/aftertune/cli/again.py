"""Commands on what is there already: maps made elsewhere, a saved run, the demo's pair."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import aftertune
from aftertune.cli.app import app
from aftertune.cli.options import OPTIONAL, Json, Verbs
from aftertune.cli.told import announce, tell

if TYPE_CHECKING:
    from aftertune.explainers.attribution.change import Comparison
    from aftertune.study.stages import Lineage


@app.command(short_help="Tables 1 and 2 from maps made elsewhere.")
def score(
    maps: Annotated[Path, typer.Argument(metavar="MAPS", help="Parquet file of maps.")],
    prompts: Annotated[str, typer.Option(help="The prompts the maps were made of, with spans and ratings.")],
    base: Annotated[str | None, typer.Option(help=f"Name of the base in the file; {OPTIONAL}.")] = None,
    tuned: Annotated[str | None, typer.Option(help=f"Name of the tuned in the file; {OPTIONAL}.")] = None,
    as_json: Json = False,
) -> None:
    """Compute tables 1 and 2 and figure 6 from maps that were computed elsewhere."""
    tell(aftertune.score(maps, prompts, base, tuned), as_json)


@app.command(short_help="Write the report of a saved run again.")
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    verbs: Verbs = None,
    as_json: Json = False,
) -> None:
    """Write the report of a saved run again, without loading a model."""
    tell(aftertune.write_report(run, verbs), as_json, run=run)


@app.command(short_help="Compare the pair that comes with Aftertune.")
def demo(
    run: Annotated[str, typer.Option(help="Folder that keeps the run and its report.")] = "runs/demo",
    as_json: Json = False,
) -> None:
    """Compare SmolLM2-135M-Instruct with the LoRA adapter that comes with Aftertune, on twelve prompts."""
    from aftertune.cli.progress import shown_progress
    from aftertune.demo import ADAPTER, MAX_NEW_TOKENS, find_demo_base

    base = find_demo_base()
    with shown_progress() as progress:
        told: Comparison | Lineage
        found = told = aftertune.compare(
            aftertune.Subject(base, name="SmolLM2-135M-Instruct"),
            aftertune.Subject(base, ADAPTER, name="plain-form tune"),
            run,
            plan=aftertune.Plan(max_new_tokens=MAX_NEW_TOKENS),
            progress=progress,
            announce=partial(announce, progress, ()),
        )
        if found.annotations is None:
            progress("annotation by word vectors", 0, 1)
            aftertune.annotate(run, "words")
            told = aftertune.write_report(run)
            progress("annotation by word vectors", 1, 1)
    tell(told, as_json, run=run)
