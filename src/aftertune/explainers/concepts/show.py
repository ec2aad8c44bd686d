"""How is what was found of feed-forward layers shown: tables, figures, a page of the report, a notebook's output?

1. `tables`, `section`: of two models; the figures are in `figures`.
2. `section_of_stages`: of several models, each once, and of their pairs.
3. `to_html`: of a reading, and of what changed, in a notebook.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import polars as pl

from aftertune.explainers.concepts.chance import ChanceRow
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.charts import angles_figure, figure8_figure, figures, rotation_figure
from aftertune.explainers.concepts.explained_variance import Figure8Row
from aftertune.explainers.concepts.findings import describe_concepts
from aftertune.explainers.concepts.network_rotation import RotationRow
from aftertune.explainers.concepts.page_data import blocks_of, strip_of
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.concepts.written_tables import read_table, written_table
from aftertune.report import notebook
from aftertune.report.environment import render
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section, joined_tables
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible
from aftertune.runs.result import Result

NAME, TITLE = "concepts", "Concepts"
TEMPLATES = Path(__file__).parent / "templates"
N_UNMATCHED = 10
N_RANKS, N_WORDS = 3, 5


def tables(change: ConceptChange) -> tuple[Table, ...]:
    """All tables on two models; the last two become a CSV alone."""
    return (
        written_table(change.written),
        read_table(change.read),
        rotation_table([*change.rotation, *change.rotation_noise]),
        chance_table(change.chance),
        unmatched_table(change),
        figure8_table(change.figure8),
        Table("networks", "Every feed-forward network", "", (), change.networks),
    )


def section(change: ConceptChange) -> Section:
    """The part of a report on the feed-forward layers of two models."""
    made, drawn = tables(change), figures(change)
    named = {"tables": {one.name: one for one in made}, "figures": {one.name: one for one in drawn}}
    return Section(
        name=NAME,
        title=TITLE,
        tables=made,
        figures=drawn,
        body=render("section.html", TEMPLATES, **named),
        methods=render("methods.html", TEMPLATES, change=change),
        data={"concept-strip": strip_of(change)},
        blocks=blocks_of(change),
        scripts=(TEMPLATES / "concepts.js",),
        styles=(TEMPLATES / "concepts.css",),
        settings=change.settings,
        labels=read_labels(TEMPLATES),
    )


def section_of_stages(changes: Sequence[ConceptChange], models: Sequence[str]) -> Section:
    """The part of a report on several models: what each of them has once, and the rows of each pair."""
    pairs = {f"{one.base} → {one.tuned}": one for one in changes}
    spectra, n_components = _of_each(models, changes, "figure8"), max(one.n_components for one in changes)
    return Section(
        name=NAME,
        title=TITLE,
        tables=(
            joined_tables({pair: written_table(one.written) for pair, one in pairs.items()}),
            joined_tables({pair: rotation_table([*one.rotation, *one.rotation_noise]) for pair, one in pairs.items()}),
            chance_table(_of_each(models, changes, "chance")),
            joined_tables({pair: unmatched_table(one) for pair, one in pairs.items()}),
            figure8_table(spectra),
            joined_tables({pair: tables(one)[-1] for pair, one in pairs.items()}),
        ),
        figures=(
            figure8_figure(spectra, models, n_components),
            rotation_figure({pair: one.rotation for pair, one in pairs.items()}),
        ),
        methods=render("methods.html", TEMPLATES, change=changes[0]),
        settings=changes[0].settings,
        labels=read_labels(TEMPLATES),
    )


def rotation_table(rows: Sequence[RotationRow]) -> Table:
    """How far components rotated, by group of layers."""
    return Table(
        name="rotation",
        title="How far the components of the feed-forward layers rotated, by depth",
        caption=(
            "A network is the feed-forward network of one layer, or of one expert of it; a row is the mean over the "
            "networks of neighbouring layers, counted from 0, ± its standard deviation over them. An angle of 0° is "
            "the same direction, 90° one that has nothing in common with it. Angle of spaces: between the two spaces "
            "that all components that were read span; it stays at 0° where components only mixed among themselves. "
            "Largest: the angle of the direction that rotated most. Angle of components: between a component of the "
            "base and the tuned component closest to it, its best match. Components of about equal variance mix at "
            "the least change, so rely on the n well separated ones, whose variance lies at least 1% from any "
            "other's. Same rank: the share of base components whose best match has the same rank. Variance kept: the "
            "share of the tuned components' variance that lies in the space of the base components. Words kept: the "
            "share of a component's words that its best match has too. A 95% interval is the range that would hold "
            "the mean 19 times out of 20 if other networks of the same kind were drawn. None of this is a test: any "
            "change of weights rotates components; pale rows are those of noise of the same size: the base with every "
            "weight changed at random as much as tuning changed it."
        ),
        columns=(
            Column("layers", "Layers"),
            Column("component_angle.n", "Networks", "count"),
            Column("subspace_angle", "Angle of spaces, °", "degrees_spread"),
            Column("largest_angle", "Largest, °", "degrees_spread"),
            Column("component_angle", "Angle of components, °", "degrees_spread"),
            Column("component_angle_interval", "95% interval", "degrees_interval"),
            Column("separated_angle", "Well separated ones, °", "degrees_spread"),
            Column("n_separated", "n", "count"),
            Column("kept_in_order", "Same rank, %", "share_spread"),
            Column("variance_kept", "Variance kept, %", "share_spread"),
            Column("words_kept", "Words kept, %", "share_spread"),
            Column("words_kept_interval", "95% interval", "percent_interval"),
        ),
        rows=rows,
        row=RotationRow,
        pale="is_noise",
        empty="There is no table of rotation: no network has components in both models.",
    )


def chance_table(rows: Sequence[ChanceRow]) -> Table:
    """Of how many components the words are nearer than chance would give."""
    return Table(
        name="chance",
        title="Are the words nearer than chance would give?",
        caption=(
            "Some of many words lie along every direction. So the nearest word of each component is compared with "
            "those of random directions, by the median of their |cosine|. Ranks: 1 is the component of most variance "
            "of each network. p ≤ 0.05: the share of components with a word as near as only one random direction in "
            "twenty has; chance alone gives 5%. Beyond chance: those that also pass a correction for testing all "
            "components of the model (Benjamini and Hochberg; one in twenty of them may be chance). The words of the "
            "others may be those that any direction has: do not read a concept into them. Only the nearest word is "
            "tested; those after it may be chance even where it is not."
        ),
        columns=(
            Column("model", "Model"),
            Column("ranks", "Ranks"),
            Column("n", "Components", "count"),
            Column("nearest", "Nearest word, |cosine|", "number"),
            Column("nearest_by_chance", "Random direction", "number"),
            Column("near", "p ≤ 0.05, %", "percent"),
            Column("n_beyond", "Beyond chance", "count"),
            Column("beyond", "Beyond chance, %", "percent"),
        ),
        rows=rows,
        row=ChanceRow,
        empty=(
            "This was not measured: the run is of an earlier version of Aftertune. Repeat its command, and it is; what "
            "was read already is not read again."
        ),
    )


@dataclass(frozen=True)
class UnmatchedRow:
    """A component of ``model`` that is the best match of none of the other model; ``words`` are its first ones."""

    model: str
    layer: int
    expert: int
    rank: int
    match_rank: int
    angle: float
    variance_share: float
    words: str


def unmatched_table(change: ConceptChange) -> Table:
    """The new components, then the lost ones, most variance first."""
    new = _unmatched(change.new_components(), "tuned", change.tuned)
    lost = _unmatched(change.lost_components(), "base", change.base)
    return Table(
        name="unmatched",
        title="Components without a counterpart in the other model",
        caption=(
            "Components that are the best match of no component of the other model: those of the tuned model are new, "
            "those of the base model are gone. Beside each stand the nearest component of the other model, by its "
            "rank, and the angle to it: a small angle says that two components came to share one match, a large one "
            "that the direction is nowhere else. Shown are the ten of each model that explain most of their network's "
            "variance; the CSV has all."
        ),
        columns=(
            Column("model", "Model"),
            Column("layer", "Layer", "count"),
            Column("expert", "Expert", "count"),
            Column("rank", "Rank", "count"),
            Column("variance_share", "Variance, %", "percent"),
            Column("match_rank", "Nearest, rank", "count"),
            Column("angle", "Angle to it, °", "number"),
            Column("words", "First words"),
        ),
        rows=[*new, *lost],
        row=UnmatchedRow,
        shown=[*new[:N_UNMATCHED], *lost[:N_UNMATCHED]],
        empty="Every component is the best match of one of the other model.",
    )


def _unmatched(frame: pl.DataFrame, role: str, model: str) -> list[UnmatchedRow]:
    numbers = ("layer", "expert", "rank", "match_rank", "angle")
    found = frame.select(*numbers, variance_share=f"variance_share_{role}", words=f"words_{role}")
    ordered = found.sort("variance_share", descending=True, nulls_last=True, maintain_order=True)
    return [
        UnmatchedRow(model=model, **row | {"words": visible(", ".join((row["words"] or [])[:N_WORDS]))})
        for row in ordered.iter_rows(named=True)
    ]


def figure8_table(rows: Sequence[Figure8Row]) -> Table:
    """The numbers of figure 8, as CSV alone."""
    return Table("figure8", "Figure 8. Accumulated variance", "", (), rows, Figure8Row)


def _of_each(models: Sequence[str], changes: Sequence[ConceptChange], name: str) -> list[Any]:
    """The rows of each model in a table of all changes, once: a model of several pairs has the same rows in each."""
    found: dict[str, list[Any]] = {}
    for one in changes:
        for model in (one.base, one.tuned):
            found.setdefault(model, [row for row in getattr(one, name) if row.model == model])
    return [row for model in models for row in found.get(model, [])]


@singledispatch
def to_html(result: Result) -> str:
    """A result of this explainer as the output of a notebook's cell."""
    raise TypeError(f"{type(result).__name__} is no result of concepts")


@to_html.register
def _reading(reading: ConceptReading) -> str:
    facts = (
        f"{len(reading.layers)} of {reading.n_layers} layers; {reading.components.height:,} components in "
        f"{reading.d_model:,} dimensions; {len(reading.words):,} words"
    )
    place = ("layer", "expert") if reading.components["expert"].n_unique() > 1 else ("layer",)
    columns = [
        *(Column(name, name.capitalize(), "count") for name in place),
        Column("variance_share", "Variance of the first, %", "percent"),
        *(Column(f"words_{rank}", f"Words of rank {rank}") for rank in range(1, N_RANKS + 1)),
    ]
    networks = reading.components.partition_by("layer", "expert", maintain_order=True)
    rows = pl.DataFrame([_first_words(one.head(N_RANKS)) for one in networks], infer_schema_length=None)
    table = Table("layers", "Layer by layer", "", columns, rows)
    return notebook.to_html(f"Feed-forward layers of {reading.model}", facts, tables=[table])


@to_html.register
def _change(change: ConceptChange) -> str:
    facts = (
        f"{change.n_networks} networks, at most {change.n_components} components in {change.d_model} dimensions each"
    )
    title = f"What tuning changed in feed-forward layers: {change.base} → {change.tuned}"
    return notebook.to_html(
        title,
        facts,
        describe_concepts(change),
        [written_table(change.written), rotation_table(change.rotation)],
        [angles_figure(change)],
    )


def _first_words(first: pl.DataFrame) -> dict[str, Any]:
    """One network: how much its first component explains, and the words of its first ones."""
    row = first.row(0, named=True)
    words = {f"words_{rank}": ", ".join(some[:N_WORDS]) for rank, some in first.select("rank", "words").iter_rows()}
    missing = dict.fromkeys((f"words_{rank}" for rank in range(1, N_RANKS + 1)), None)
    return {name: row[name] for name in ("layer", "expert", "variance_share")} | missing | words
