"""The command that says, from outside, how far a run is."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from aftertune.cli.app import command_app
from aftertune.cli.options import Json
from aftertune.cli.terminal import say, say_json

if TYPE_CHECKING:
    from aftertune.study.status import Status

app = command_app()
LABEL = 10
MEANS = {
    "stopped": "stopped; the same command, given again, goes on where it stopped",
    "not finished": "not finished, and nobody is at work on it; the same command, given again, goes on",
}


@app.command()
def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")],
    as_json: Json = False,
) -> None:
    """How far is a run? Asked from another terminal while it works, or afterwards."""
    from aftertune.study.status import read_status

    found = read_status(run)
    if as_json:
        say_json(asdict(found))
        return
    for label, text in _lines(found):
        say(f"{label:<{LABEL}}{text}")


def _lines(found: "Status") -> Iterator[tuple[str, str]]:
    from aftertune.study.forecast import say_seconds

    yield "run", found.run
    at = f" (process {found.process} on {found.host})" if found.state == "under way" else ""
    yield "state", MEANS.get(found.state, found.state) + at
    if found.stage:
        yield "now" if at else "was at", f"{found.stage} {found.here or 0:.0%}"
    if found.share is not None:
        left = f", about {say_seconds(found.seconds_left or 0)} left" if at else ""
        yield "all", f"{found.share:.0%} done{left}"
    if found.begun is not None and found.told is not None:
        began, ago = say_seconds(found.told - found.begun), say_seconds(time.time() - found.told)
        yield "heard of", f"{ago} ago, {began} after it began"
