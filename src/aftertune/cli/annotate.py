"""The command by which chat models name a tuning, and they, word vectors or people describe the components of a run."""

import sys
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import Json
from aftertune.cli.terminal import say, say_json
from aftertune.errors import AnnotationError
from aftertune.explainers.annotation.settings import AnnotationSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from aftertune.explainers.annotation.cost import Estimate
    from aftertune.runs.stage import Progress

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
    name_only: Annotated[
        bool, typer.Option("--name-only", help="Only ask for the name of the tuning; leave components out.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before requests are sent.")] = False,
    export: Annotated[str | None, typer.Option(help="Write the lists of words for a person: .csv or .jsonl.")] = None,
    import_: Annotated[str | None, typer.Option("--import", help="Read back such a file, filled in.")] = None,
    rater: Annotated[str | None, typer.Option(help="With --import: who filled it in.")] = None,
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Name the tuning of RUN by a chat model, and annotate its components.

    The tuning: the model sees what both models say, blind, and may abstain; told is what its repeats agree on.
    Components: what do their words share, which tasks do they serve, at which linguistic level?

    An interrupted annotation goes on where it stopped when the same command is given again; no answer is paid twice.
    """
    from aftertune.study import annotate as study

    if sum(given is not None for given in (server, export, import_)) != 1 or (import_ is None) != (rater is None):
        raise AnnotationError("Give one of --server, --export FILE, or --import FILE with --rater NAME.")
    own = AnnotationSettings(**settings)
    if export is not None:
        n_lists = study.export_concepts(run, export, own.components)
        if as_json:
            say_json({"lists": n_lists})
        else:
            say(f"Written: {export}, {n_lists} lists of words")
        return
    if import_ is not None and rater is not None:
        _show_annotations(study.import_annotations(run, import_, rater), run, as_json)
        return
    asked, confirm, names = (run, str(server), model, own), partial(_confirm, yes=yes), {}
    if name_only or study.can_be_named(run, str(server), model):
        with _bars() as progress:
            names = study.name_tuning(*asked, confirm=confirm, progress=progress)
    if name_only or (names and not study.has_components(run)):
        _show_names(names, run, as_json)
        return
    with _bars() as progress:
        found = study.annotate(*asked, confirm=confirm, progress=progress)
    if names and not as_json:
        _show_names(names, run, as_json)
    _show_annotations(found, run, as_json, names)


@contextmanager
def _bars() -> "Iterator[Progress]":
    """Progress bars that begin with the first step: only after the question, which they would hide."""
    from aftertune.cli.progress import shown_progress

    with ExitStack() as stack:
        bars = cache(lambda: stack.enter_context(shown_progress()))
        yield lambda *step: bars()(*step)


def _show_names(names: "dict[str, dict[str, Any]]", run: str, as_json: bool) -> None:
    from aftertune.explainers.annotation.naming.agree import agreed
    from aftertune.explainers.annotation.naming.result import TUNING

    told = {pair: agreed(row["answers"]) for pair, row in names.items()}
    if as_json:
        rows = {pair: row | {"name": found.name if (found := told[pair]) else None} for pair, row in names.items()}
        say_json({"names": rows})
        return
    for pair, found in told.items():
        answers, unusable = names[pair]["answers"], names[pair]["n_unusable"]
        n, abstained = len(answers), answers.count(None) - unusable
        said = f"“{found.name}” ({len(found.names)} of {n} repeats agree)" if found else "no name: no agreement"
        say(f"{pair}: {said}; {abstained} of {n} could not tell, {unusable} had unusable answers.")
    say(f"Written: {run.rstrip('/')}/{TUNING}")
    say(f"In the report: aftertune report {run}")


def _confirm(expected: "Estimate", yes: bool) -> bool:
    say(str(expected), err=True)
    return yes or not sys.stdin.isatty() or typer.confirm("Start?", err=True)


def _show_annotations(
    found: "pl.DataFrame", run: str, as_json: bool, names: "dict[str, dict[str, Any]] | None" = None
) -> None:
    from aftertune.explainers.annotation.result import are_copies, recall_annotations
    from aftertune.runs.run import RunFolder

    about = recall_annotations(RunFolder.open(run)) or {}
    if as_json:
        say_json(about | {"annotations": found.to_dicts(), "names": names or {}})
        return
    for (role,), rows in found.partition_by("role", as_dict=True, maintain_order=True).items():
        described, unparsed = rows["description"].is_not_null().sum(), (rows["unparsed"].list.len() > 0).sum()
        counts = f"{described:,} of {rows.height:,} annotations describe something"
        say(f"{role}: {counts}; {unparsed:,} had unusable answers.")
        if are_copies(rows):
            say(f"{role}: all repeats are equal, since the annotator does not sample: they say nothing about it.")
    say(f"Written: {run.rstrip('/')}/annotations/{about['annotator']['name']}/annotations.parquet")
    if "base" in set(found["role"]):
        say(f"In the report: aftertune report {run}")


app.command()(with_settings(annotate, {"How it is asked": AnnotationSettings}))
