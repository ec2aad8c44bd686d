"""The command by which people mark instructions and rate responses."""

from functools import partial
from typing import Annotated

import typer

import aftertune
from aftertune.cli.app import command_app
from aftertune.cli.options import Json
from aftertune.cli.terminal import say, say_json, say_whole
from aftertune.errors import AnnotationError

app = command_app()


@app.command()
def label(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a comparison.")],
    rater: Annotated[
        str | None, typer.Option(help="Who labels, so that several can; with --export only this rater's labels.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the page; by default a free one.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
    import_: Annotated[
        str | None, typer.Option("--import", help="Take the spans and ratings of a prompt file as --rater's labels.")
    ] = None,
    export: Annotated[str | None, typer.Option(help="Write the labels as a prompt file.")] = None,
    as_json: Json = False,
) -> None:
    """Open a page on this machine to mark the instructions of RUN and to rate its responses 1 to 4.

    Every action is on disk at once; end with Ctrl-C, and go on with the same command.
    """
    if import_ is not None and (export is not None or rater is None):
        raise AnnotationError("--import needs --rater NAME, and no --export. Say whose labels they are.")
    if import_ is not None and rater is not None:
        done = {"actions": aftertune.import_labels(run, import_, rater)}
    elif export is not None:
        done = {"prompts": aftertune.export_labels(run, export, rater)}
    else:
        tell = partial(say_whole, err=True)
        labels = aftertune.label(run, rater or "rater", port or 0, not no_browser, lambda page: tell(f"Open {page}"))
        done = {"responses": len(labels.ratings), "prompts": len(labels.spans)}
    _show_labels(done, run, export, as_json)


def _show_labels(done: dict[str, int], run: str, export: str | None, as_json: bool) -> None:
    if as_json:
        say_json(done)
    elif export is not None:
        say(f"Written: {export}, {done['prompts']} prompts with labels")
    elif "actions" in done:
        say(f"Taken over: {done['actions']} labels\nIn the report: aftertune report {run}")
    else:
        say(f"{done['responses']} responses rated, {done['prompts']} prompts marked, all on disk")
        say(f"In the report: aftertune report {run}")
