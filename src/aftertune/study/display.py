"""What does a result show of itself in a notebook?

1. A reading: for each layer the strongest head with its first word pairs, or the first directions with their words.
2. What changed: the findings as headlines that open, the table behind them, and a figure.
3. Any other: its first rows.

An attribution and a salient map draw themselves (`aftertune.explainers.attribution.view`). Whatever a model or a prompt contains is
shown as text. `Result` finds this module by its name, since a result can't import what is made of results.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import singledispatch
from typing import Any

import polars as pl

from aftertune.explainers.annotation import figures as annotation_figures
from aftertune.explainers.annotation.change import AnnotationChange
from aftertune.explainers.annotation.findings import describe_annotations
from aftertune.explainers.annotation.tables import category_rows
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.attribution.findings import describe
from aftertune.explainers.concepts import figures as concept_figures
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.findings import describe_concepts
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.heads import figures as head_figures
from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.findings import describe_heads
from aftertune.explainers.heads.result import HeadReading
from aftertune.explainers.heads.tables import table3_rows
from aftertune.report import figures
from aftertune.report.captions import TITLES
from aftertune.report.figures import Spec
from aftertune.report.notebook import Table, render, table_of
from aftertune.report.tables import COLUMNS
from aftertune.runs.result import Result
from aftertune.statistics.finding import Finding
from aftertune.study.stage_findings import describe_lineage
from aftertune.study.stages import Lineage

FIRST_ROWS = 10
N_PAIRS, N_RANKS, N_WORDS = 5, 3, 5
LONGEST_CELL = 60
Figures = dict[str, Spec]


@singledispatch
def to_html(result: Result) -> str:
    """A result as HTML for a notebook: by default its facts and the first rows of its data frame."""
    frame = result.to_polars()
    cells = [{name: _short(value) for name, value in row.items()} for row in frame.head(FIRST_ROWS).to_dicts()]
    rows = table_of(f"The first rows of {frame.height:,}", cells, [(name, "text", name) for name in frame.columns])
    return render(type(result).__name__, repr(result), tables=[rows])


@to_html.register
def _heads(result: HeadReading) -> str:
    facts = (
        f"{len(result.layers)} of {result.n_layers} layers, {result.n_heads} heads in each; {len(result.words):,} "
        f"words, {result.has_vector.sum():,} of them with a vector; {result.pairs.height:,} pairs in the heads' lists"
    )
    columns = [
        *(("Layer", "count", "layer"), ("Pairs of its heads", "count", "n_pairs"), ("Strongest head", "count", "head")),
        *(("Neuron pairs with its first pair", "count", "n_neurons"), ("Its first pairs", "text", "pairs")),
    ]
    strongest = result.strongest(result.pairs.height, N_PAIRS).unique("layer", keep="first", maintain_order=True)
    counts = result.pairs.group_by("layer").agg(n_pairs=pl.len())
    rows = strongest.join(counts, on="layer").sort("layer").to_dicts()
    return render(f"Attention heads of {result.model}", facts, tables=[table_of("Layer by layer", rows, columns)])


@to_html.register
def _concepts(result: ConceptReading) -> str:
    facts = (
        f"{len(result.layers)} of {result.n_layers} layers; {result.components.height:,} directions in "
        f"{result.d_model:,} dimensions; {len(result.words):,} words"
    )
    place = ("layer", "expert") if result.components["expert"].n_unique() > 1 else ("layer",)
    columns = [
        *((name.capitalize(), "count", name) for name in place),
        ("Variance of the first, %", "percent", "variance_share"),
        *((f"Words of rank {rank}", "text", f"words_{rank}") for rank in range(1, N_RANKS + 1)),
    ]
    networks = result.components.partition_by("layer", "expert", maintain_order=True)
    tables = [table_of("Layer by layer", [_network(one.head(N_RANKS)) for one in networks], columns)]
    return render(f"Feed-forward layers of {result.model}", facts, tables=tables)


@to_html.register
def _head_change(change: HeadChange) -> str:
    facts = f"{len(change.layers)} layers, {change.n_heads} heads in each; words asked about: {change.asked}"
    title = f"What tuning changed in attention heads: {change.base} → {change.tuned}"
    tables = _tables("table3", table3_rows(change.to_dict()["table3"]), change.asked)
    return render(title, facts, _plain(describe_heads(change)), tables, _head_figures(change))


@to_html.register
def _concept_change(change: ConceptChange) -> str:
    facts = (
        f"{change.n_networks} networks, at most {change.n_components} directions in {change.d_model} dimensions each"
    )
    title = f"What tuning changed in feed-forward layers: {change.base} → {change.tuned}"
    tables = _tables("rotation", change.to_dict()["rotation"])
    return render(title, facts, _plain(describe_concepts(change)), tables, _concept_figures(change))


@to_html.register
def _annotation_change(change: AnnotationChange) -> str:
    facts = f"{change.n_concepts:,} concepts, annotated {change.n_repeats_base} and {change.n_repeats_tuned} times"
    title = f"What tuning changed in what concepts are about: {change.base} → {change.tuned}"
    tables = _tables("categories", category_rows(change.to_dict()))
    return render(title, facts, _plain(describe_annotations(change)), tables, _annotation_figures(change))


@to_html.register
def _comparison(comparison: Comparison) -> str:
    parts = {"heads": comparison.heads, "concepts": comparison.concepts, "annotations": comparison.annotations}
    compared = [f"{len(comparison.instances)} prompts", *(name for name, part in parts.items() if part is not None)]
    title = f"What tuning changed: {comparison.base} → {comparison.tuned}"
    tables = _tables("table2", comparison.to_dict()["table2"])
    drawn = _prompt_figures(comparison)
    drawn |= _head_figures(comparison.heads) if comparison.heads else {}
    drawn |= _concept_figures(comparison.concepts) if comparison.concepts else {}
    return render(title, f"Compared: {', '.join(compared)}", _plain(describe(comparison)), tables, drawn)


@to_html.register
def _lineage(lineage: Lineage) -> str:
    facts = f"{len(lineage.comparisons)} comparisons; comparison(base, tuned) shows one of them"
    return render(f"What tuning changed: {' → '.join(lineage.names)}", facts, _plain(describe_lineage(lineage)))


def _plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def _tables(name: str, rows: Sequence[dict[str, Any]], asked: str = "") -> list[Table]:
    called = asked[:1].upper() + asked[1:]
    columns = [(title.replace("{asked}", called), kind, key) for title, kind, key in COLUMNS[name]]
    return [table_of(TITLES[name], rows, columns)] if rows else []


def _prompt_figures(comparison: Comparison) -> Figures:
    rows = comparison.to_dict()["instances"]
    if not any(row["difference"] is not None for row in rows):
        return {}
    return {TITLES["scores"]: figures.scores_chart(rows, comparison.base, comparison.tuned)}


def _head_figures(change: HeadChange) -> Figures:
    rows = change.to_dict()["figure2"]
    is_known = any(row["distance"]["mean"] is not None for row in rows)
    return {TITLES["figure2"]: head_figures.layers_chart(rows)} if is_known else {}


def _concept_figures(change: ConceptChange) -> Figures:
    rows = change.to_dict()["networks"]
    is_known = any(row["mean_component_angle"] is not None for row in rows)
    return {TITLES["angles"]: concept_figures.angles_chart(rows)} if is_known else {}


def _annotation_figures(change: AnnotationChange) -> Figures:
    rows = change.to_dict()["figure3"]
    is_known = any(row["share"]["mean"] is not None for row in rows)
    models = (change.base, change.tuned)
    return {TITLES["figure3"]: annotation_figures.levels_chart(rows, models)} if is_known else {}


def _network(first: pl.DataFrame) -> dict[str, Any]:
    """One network: how much its first direction explains, and the words of its first ones."""
    row = first.row(0, named=True)
    words = {f"words_{rank}": ", ".join(some[:N_WORDS]) for rank, some in first.select("rank", "words").iter_rows()}
    missing = dict.fromkeys((f"words_{rank}" for rank in range(1, N_RANKS + 1)), None)
    return {name: row[name] for name in ("layer", "expert", "variance_share")} | missing | words


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
