"""Commands that read the weights of one model: its heads as word pairs, its feed-forward layers as concepts."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

import aftertune
from aftertune.cli.app import app
from aftertune.cli.options import (
    Adapter,
    Components,
    Coverage,
    Device,
    Dtype,
    Json,
    Layers,
    Model,
    Remote,
    Revision,
    RunOfOne,
    Vectors,
    Words,
)

if TYPE_CHECKING:
    import polars as pl

    from aftertune.explainers.heads.result import HeadReading
    from aftertune.study.layerwise import Layerwise


@app.command(short_help="Read a model's heads as word pairs.")
def heads(
    model: Model,
    run: RunOfOne,
    words: Words = None,
    vectors: Vectors = None,
    layers: Layers = None,
    min_coverage: Coverage = 0.5,
    find: Annotated[str | None, typer.Option(help="Show the heads whose list holds this word.")] = None,
    adapter: Adapter = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Revision = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Read every attention head of MODEL as word pairs: which words does it connect?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.study.layerwise import make_lexicon_of, read_heads_of

    plan = aftertune.HeadPlan(layers=layers, min_coverage=min_coverage)
    reader = read_heads_of(make_lexicon_of(aftertune.HeadStudy(words, vectors, plan=plan)))
    _read(aftertune.Subject(model, adapter, revision), run, reader, device, dtype, trust_remote_code)
    found = aftertune.open_heads(run)
    if as_json:
        shown = replace(found, pairs=found.heads_with(find)) if find else found
        typer.echo(json.dumps(shown.to_dict(), ensure_ascii=False))
    else:
        _show_heads(found, run, find)


@app.command(short_help="Read a model's layers as directions with words.")
def concepts(
    model: Model,
    run: RunOfOne,
    words: Words = None,
    components: Components = 300,
    n_words: Annotated[int, typer.Option(min=1, help="Words of each component.")] = 15,
    layers: Layers = None,
    find: Annotated[str | None, typer.Option(help="Show the components among whose words this one is.")] = None,
    adapter: Adapter = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
    revision: Revision = None,
    trust_remote_code: Remote = False,
    as_json: Json = False,
) -> None:
    """Read every feed-forward layer of MODEL as directions with words: what does it write?

    An interrupted reading goes on where it stopped when the same command is given again.
    """
    from aftertune.study.layerwise import read_concepts_of

    reader = read_concepts_of(aftertune.ConceptStudy(words, aftertune.ConceptPlan(components, n_words, layers)))
    _read(aftertune.Subject(model, adapter, revision), run, reader, device, dtype, trust_remote_code)
    found = aftertune.open_concepts(run)
    rows = found.components if find is None else found.concepts_with(find)
    if as_json:
        typer.echo(json.dumps(found.to_dict() | {"components": rows.to_dicts()}, ensure_ascii=False))
    else:
        _show_concepts(rows, run, find)


def _read(subject: "aftertune.Subject", run: str, reader: "Layerwise", device: str, dtype: str, trust: bool) -> None:
    from aftertune.cli.progress import shown_progress
    from aftertune.study.study import read_into_run

    with shown_progress() as progress:
        read_into_run(subject, run, reader, device=device, dtype=dtype, trust_remote_code=trust, progress=progress)


def _show_heads(found: "HeadReading", run: str, word: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
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
    console.print(Text(f"Read: {run.rstrip('/')}/heads/pairs/model/*.parquet, and neurons beside it"))


def _show_concepts(rows: "pl.DataFrame", run: str, word: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
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
    console.print(Text(f"Read: {run.rstrip('/')}/concepts/components/model/*.parquet, and spectra beside it"))
