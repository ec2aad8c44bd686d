"""The command by which chat models, word vectors or people describe the components of a run."""

import json
import sys
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import Json
from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.settings import AnnotationSettings

if TYPE_CHECKING:
    import polars as pl

    from aftertune.explainers.annotation.cost import Estimate

app = command_app()


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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before requests are sent.")] = False,
    export: Annotated[str | None, typer.Option(help="Write the lists of words for a person: .csv or .jsonl.")] = None,
    import_: Annotated[str | None, typer.Option("--import", help="Read back such a file, filled in.")] = None,
    rater: Annotated[str | None, typer.Option(help="With --import: who filled it in.")] = None,
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Annotate the components of RUN: what do their words share, which tasks do they serve, at which linguistic level?

    An interrupted annotation goes on where it stopped when the same command is given again; no answer is paid twice.
    """
    from aftertune.cli.progress import shown_progress
    from aftertune.study import annotate as study

    if sum(given is not None for given in (server, export, import_)) != 1 or (import_ is None) != (rater is None):
        raise AnnotationError("Give one of --server, --export FILE, or --import FILE with --rater NAME.")
    own = AnnotationSettings(**settings)
    if export is not None:
        n_lists = study.export_concepts(run, export, own.components)
        typer.echo(json.dumps({"lists": n_lists}) if as_json else f"Written: {export}, {n_lists} lists of words")
        return
    if import_ is not None and rater is not None:
        _show_annotations(study.import_annotations(run, import_, rater), run, as_json)
        return
    with ExitStack() as stack:
        bars = cache(lambda: stack.enter_context(shown_progress()))  # only after the question, which they would hide
        confirm = partial(_confirm, yes=yes)
        found = study.annotate(run, str(server), model, own, confirm=confirm, progress=lambda *step: bars()(*step))
    _show_annotations(found, run, as_json)


def _confirm(expected: "Estimate", yes: bool) -> bool:
    typer.echo(str(expected), err=True)
    return yes or not sys.stdin.isatty() or typer.confirm("Start?", err=True)


def _show_annotations(found: "pl.DataFrame", run: str, as_json: bool) -> None:
    from aftertune.explainers.annotation.result import are_copies, recall_annotations
    from aftertune.runs.run import RunFolder

    about = recall_annotations(RunFolder.open(run)) or {}
    if as_json:
        typer.echo(json.dumps(about | {"annotations": found.to_dicts()}, ensure_ascii=False))
        return
    for (role,), rows in found.partition_by("role", as_dict=True, maintain_order=True).items():
        described, unparsed = rows["description"].is_not_null().sum(), (rows["unparsed"].list.len() > 0).sum()
        counts = f"{described:,} of {rows.height:,} annotations describe something"
        typer.echo(f"{role}: {counts}; {unparsed:,} had unusable answers.")
        if are_copies(rows):
            typer.echo(
                f"{role}: all repeats are equal, since the annotator does not sample: they say nothing about it."
            )
    typer.echo(f"Written: {run.rstrip('/')}/annotations/{about['annotator']['name']}/annotations.parquet")
    if "base" in set(found["role"]):
        typer.echo(f"In the report: aftertune report {run}")


app.command()(with_settings(annotate, [AnnotationSettings]))
