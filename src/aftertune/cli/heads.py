"""The command that reads the heads of one model as word pairs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

import aftertune
from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import Adapter, Device, Dtype, Json, Model, Remote, Revision, RunOfOne, Tokenizer
from aftertune.cli.terminal import TextConsole, say, say_json
from aftertune.explainers import explainers

if TYPE_CHECKING:
    from aftertune.explainers.heads.result import HeadReading

app = command_app()
HEADS = explainers()["heads"].settings


def heads(
    model: Model,
    run: RunOfOne,
    find: Annotated[str | None, typer.Option(help="Show the heads whose list holds this word.")] = None,
    adapter: Adapter = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Revision = None,
    tokenizer: Tokenizer = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Read every attention head of MODEL as word pairs: which words does it connect?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.cli.progress import shown_progress
    from aftertune.study.single import read_into_run

    made, subject = HEADS(**settings), aftertune.Subject(model, adapter, revision)
    with shown_progress() as progress:
        how: dict[str, Any] = {"device": device, "dtype": dtype, "tokenizer": tokenizer}
        how |= {"trust_remote_code": trust_remote_code}
        read_into_run(subject, run, "heads", made, **how, progress=progress)
    found = aftertune.open_heads(run)
    if as_json:
        shown = replace(found, pairs=found.heads_with(find)) if find else found
        say_json(shown.to_dict())
    else:
        _show_heads(found, run, find)


def _show_heads(found: "HeadReading", run: str, word: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    console = TextConsole()
    n_with = int(found.has_vector.sum())
    console.print(f"{n_with:,} of {len(found.words):,} words have a vector; {found.pairs.height:,} pairs in the lists.")
    shown = found.strongest() if word is None else found.heads_with(word)
    if word is not None:
        console.print(Text(f"Pairs that hold {word!r}: {shown.height}"))
    table = Table(*(column.replace("n_neurons", "held by").replace("_", " ") for column in shown.columns), box=None)
    for row in shown.iter_rows():
        table.add_row(*(Text(str(value)) for value in row))
    if shown.height:
        console.print(table)
    say(f"Read: {run.rstrip('/')}/heads/pairs/model/*.parquet, and neurons beside it")


app.command()(with_settings(heads, {"How heads are read": HEADS}))
