"""The command by which chat models, word vectors or people describe the components of a run."""

import json
import sys
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated

import typer

from aftertune.cli.app import command_app
from aftertune.cli.options import Json
from aftertune.errors import AnnotationError

if TYPE_CHECKING:
    import polars as pl

    from aftertune.explainers.annotation.estimate import Estimate

app = command_app()


@app.command()
def annotate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of aftertune concepts, or of a comparison.")],
    server: Annotated[
        str | None,
        typer.Option(
            help="Address of an OpenAI-compatible server (its key in OPENAI_API_KEY), local:MODEL (a chat model loaded "
            "here), or words[:VECTORS] (a baseline by word vectors)."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The server's name of the model that annotates.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each concept is described.")] = 5,
    components: Annotated[int | None, typer.Option(min=1, help="Only the first N of each feed-forward layer.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests at a time.")] = 8,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Stop after so many; started again, go on.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before requests are sent.")] = False,
    templates: Annotated[
        str | None, typer.Option(help="Folder with your own description.txt, tasks.txt, level.txt or cases.json.")
    ] = None,
    structured: Annotated[
        str, typer.Option(help="Answers held to a JSON schema by the server: auto, on, off.")
    ] = "auto",
    export: Annotated[str | None, typer.Option(help="Write the concepts for a person: .csv or .jsonl.")] = None,
    import_: Annotated[str | None, typer.Option("--import", help="Read back such a file, filled in.")] = None,
    rater: Annotated[str | None, typer.Option(help="With --import: who filled it in.")] = None,
    as_json: Json = False,
) -> None:
    """Annotate the concepts of RUN: what do their words share, which tasks do they serve, at which linguistic level?

    An interrupted annotation goes on where it stopped when the same command is given again; no answer is paid twice.
    """
    from aftertune.cli.progress import shown_progress
    from aftertune.explainers.annotation.annotate import annotate as ask
    from aftertune.explainers.annotation.people import export_concepts, import_annotations

    if sum(given is not None for given in (server, export, import_)) != 1 or (import_ is None) != (rater is None):
        raise AnnotationError("Give one of --server, --export FILE, or --import FILE with --rater NAME.")
    if export is not None:
        n_lists = export_concepts(run, export, components)
        typer.echo(json.dumps({"lists": n_lists}) if as_json else f"Written: {export}, {n_lists} lists of words")
        return
    if import_ is not None and rater is not None:
        _show_annotations(import_annotations(run, import_, rater), run, as_json)
        return
    plan = AnnotationPlan(repeats, components, concurrency, max_requests, templates, structured)
    with ExitStack() as stack:
        bars = cache(lambda: stack.enter_context(shown_progress()))  # only after the question, which they would hide
        found = ask(
            run, str(server), model, plan, confirm=partial(_confirm, yes=yes), progress=lambda *step: bars()(*step)
        )
    _show_annotations(found, run, as_json)


def _confirm(expected: "Estimate", yes: bool) -> bool:
    typer.echo(str(expected), err=True)
    return yes or not sys.stdin.isatty() or typer.confirm("Start?", err=True)


def _show_annotations(found: "pl.DataFrame", run: str, as_json: bool) -> None:
    from aftertune.explainers.annotation.parts import recall_annotations
    from aftertune.explainers.annotation.result import are_copies
    from aftertune.runs.run import RunFolder

    about = recall_annotations(RunFolder.open(run)) or {}
    if as_json:
        typer.echo(json.dumps(about | {"annotations": found.to_dicts()}, ensure_ascii=False))
        return
    for (role,), rows in found.partition_by("role", as_dict=True, maintain_order=True).items():
        told = rows["description"].is_not_null().sum()
        unparsed = (rows["unparsed"].list.len() > 0).sum()
        typer.echo(
            f"{role}: {told:,} of {rows.height:,} annotations tell a concept; {unparsed:,} had unusable answers."
        )
        if are_copies(rows):
            typer.echo(f"{role}: no repeat differs from another; the annotator does not sample, so they tell nothing.")
    typer.echo(f"Written: {run.rstrip('/')}/annotations/{about['annotator']['name']}/annotations.parquet")
    if "base" in set(found["role"]):
        typer.echo(f"In the report: aftertune report {run}")
