"""The command that reads the feed-forward layers of one model as components with words."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

import aftertune
from aftertune.cli.app import command_app
from aftertune.cli.flags import with_settings
from aftertune.cli.options import Adapter, Device, Dtype, Json, Model, Remote, Revision, RunOfOne, Tokenizer
from aftertune.cli.terminal import TextConsole, say, say_json
from aftertune.explainers import explainers

if TYPE_CHECKING:
    import polars as pl

app = command_app()
CONCEPTS = explainers()["concepts"].settings


def concepts(
    model: Model,
    run: RunOfOne,
    n_words: Annotated[int, typer.Option(min=1, help="Words of each component.")] = 15,
    find: Annotated[str | None, typer.Option(help="Show the components among whose words this one is.")] = None,
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
    """Read every feed-forward layer of MODEL as components with words: what does it write?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.cli.progress import shown_progress
    from aftertune.study.single import read_into_run

    values = {str(CONCEPTS.field_of(flag)): value for flag, value in settings.items()}
    made, subject = CONCEPTS(n_words=n_words, **values), aftertune.Subject(model, adapter, revision)
    with shown_progress() as progress:
        how: dict[str, Any] = {"device": device, "dtype": dtype, "tokenizer": tokenizer}
        how |= {"trust_remote_code": trust_remote_code}
        read_into_run(subject, run, "concepts", made, **how, progress=progress)
    found = aftertune.open_concepts(run)
    rows = found.components if find is None else found.concepts_with(find)
    if as_json:
        say_json(found.to_dict() | {"components": rows.to_dicts()})
    else:
        _show_concepts(rows, run, find)


def _show_concepts(rows: "pl.DataFrame", run: str, word: str | None) -> None:
    from rich.table import Table
    from rich.text import Text

    console = TextConsole()
    if word is None:
        rows = rows.filter(rows["rank"] == 1)
        console.print("The first component of every layer:")
    else:
        console.print(Text(f"Components with {word!r}: {rows.height}"))
    table = Table("layer", "rank", "variance", "p (chance)", "words", box=None)
    for row in rows.iter_rows(named=True):
        p = "–" if row["p_chance"] is None else f"{row['p_chance']:.2g}"
        numbers = (str(row["layer"]), str(row["rank"]), f"{row['variance_share']:.1%}", p)
        table.add_row(*numbers, Text(", ".join(row["words"])))
    if rows.height:
        console.print(table)
    say(f"Read: {run.rstrip('/')}/concepts/components/model/*.parquet, and spectra beside it")


app.command()(with_settings(concepts, {"How layers are read": CONCEPTS}))
