"""How is the location of a change shown: its tables and figures, its page, and a notebook's output?"""

from pathlib import Path

from aftertune.explainers.location.change import LocationChange
from aftertune.explainers.location.figures import cumulative_chart, grid_chart
from aftertune.explainers.location.findings import left_out, questions
from aftertune.explainers.location.named.show import contexts_table, missing, named_table
from aftertune.explainers.location.rows import CumulativeRow, ModuleRow
from aftertune.report import notebook
from aftertune.report.environment import render
from aftertune.report.figure import Figure
from aftertune.report.numbers import read_labels
from aftertune.report.section import Section
from aftertune.report.table import Column, Table
from aftertune.statistics.questions import answer

NAME, TITLE = "location", "Location"
TEMPLATES = Path(__file__).parent / "templates"
N_SHOWN = 12

MODULES_TITLE = "How much each module changed, and what its swap brings"
MODULES_CAPTION = (
    "Change is the norm of a module's change of weights over the norm of the base's weights. In 5 directions is the "
    "share of the squared change in the five largest singular values of each matrix; noise is the most that weight "
    "noise of the same shapes has there. Brings is the share of the whole change that comes with the tuned model's "
    "module in the base, takes away the share that goes with the base's module in the tuned model, with 95% intervals "
    "over prompts; by KL is the same of the KL divergence from the tuned model. Shown are the modules that bring most, "
    "the stretch of layers that was swapped as one, and, pale, weight noise of the size of the change; the CSV has all."
)
MODULES_EMPTY = "There are no modules: no weight was read."
MODULES_COLUMNS = (
    Column("layers", "Layer"),
    Column("module", "Module"),
    Column("swapped", "Swapped"),
    Column("relative_change", "Change, %", "percent"),
    Column("top5_share", "In 5 directions, %", "percent"),
    Column("noise_top5_share", "Noise, %", "percent"),
    Column("brings", "Brings, %", "percent_change"),
    Column("brings_interval", "95% interval", "percent_interval"),
    Column("takes", "Takes away, %", "percent_change"),
    Column("takes_interval", "95% interval", "percent_interval"),
    Column("brings_divergence", "Brings by KL, %", "percent_change"),
    Column("takes_divergence", "Takes away by KL, %", "percent_change"),
)
CUMULATIVE_TITLE = "How much of the change is there by each layer"
CUMULATIVE_CAPTION = (
    "The share of the whole change that is there where the base has all of the tuned model's weights up to a layer "
    "(embeddings included), or all of them from a layer on (output head included), with 95% intervals over prompts. "
    "Layers count from 0."
)
CUMULATIVE_EMPTY = "Nothing was swapped layer by layer: there is no change of the answers to share out."
CUMULATIVE_COLUMNS = (
    Column("layer", "Layer", "count"),
    Column("up_to", "Up to it, %", "percent_change"),
    Column("up_to_interval", "95% interval", "percent_interval"),
    Column("onward", "From it on, %", "percent_change"),
    Column("onward_interval", "95% interval", "percent_interval"),
    Column("up_to_divergence", "Up to it by KL, %", "percent_change"),
    Column("onward_divergence", "From it on by KL, %", "percent_change"),
)
GRID_TITLE = "What each module brings and takes away"
GRID_CAPTION = (
    "Share of the whole change, in per cent. Left: the tuned model's module alone is put into the base. Right: the "
    "base's module alone is put into the tuned model. A module without a number was not swapped; one of which no "
    "weight differs has 0."
)
GRID_EMPTY = "There is no grid: no module was swapped."
WEIGHTS_TITLE, ANSWERS_TITLE = "Every weight", "The answers"


def tables(change: LocationChange) -> tuple[Table, ...]:
    """Modules, cumulative shares, what is named and, as CSV alone, every weight and the answers."""
    weights = Table("location_weights", WEIGHTS_TITLE, "", (), change.weights)
    answers = Table("location_answers", ANSWERS_TITLE, "", (), change.answers)
    named = named_table(change.named), contexts_table(change.contexts)
    return modules_table(change), cumulative_table(change), *named, weights, answers


def modules_table(change: LocationChange) -> Table:
    """All modules; shown are those that bring most, and what was swapped as one."""
    ranked = sorted(change.singles, key=lambda row: (-(row.brings or 0.0), -row.relative_change))
    shown = [*ranked[:N_SHOWN], *(row for row in change.modules if row.swapped != "module")]
    return Table(
        "location_modules",
        MODULES_TITLE,
        MODULES_CAPTION,
        MODULES_COLUMNS,
        change.modules,
        ModuleRow,
        shown,
        "is_control",
        MODULES_EMPTY,
    )


def cumulative_table(change: LocationChange) -> Table:
    """Cumulative shares, a row for each layer."""
    return Table(
        "location_cumulative",
        CUMULATIVE_TITLE,
        CUMULATIVE_CAPTION,
        CUMULATIVE_COLUMNS,
        change.cumulative,
        CumulativeRow,
        empty=CUMULATIVE_EMPTY,
    )


def figures(change: LocationChange) -> tuple[Figure, ...]:
    """The grid of modules, and the lines of cumulative shares."""
    grid, lines = grid_chart(change.singles), cumulative_chart(change.cumulative)
    return (
        Figure("location_grid", GRID_TITLE, GRID_CAPTION, grid, "location_modules", GRID_EMPTY),
        Figure("location_depth", CUMULATIVE_TITLE, CUMULATIVE_CAPTION, lines, "location_cumulative", CUMULATIVE_EMPTY),
    )


def section(change: LocationChange) -> Section:
    """The part of a report on where a change sits."""
    own, drawn = tables(change), figures(change)
    shown = {"modules": own[0], "named": own[2], "contexts": own[3], "grid": drawn[0], "depth": drawn[1]}
    body = {"change": change, "where": change.where(), "left_out": left_out(change.total)} | shown
    body["missing"] = missing(change.named)
    return Section(
        name=NAME,
        title=TITLE,
        tables=own,
        figures=drawn,
        body=render("section.html", TEMPLATES, **body),
        methods=render("methods.html", TEMPLATES, change=change),
        settings=change.settings,
        labels=read_labels(TEMPLATES),
    )


def to_html(change: LocationChange) -> str:
    """The findings, the modules that bring most, and both figures."""
    total = change.total
    facts = f"{total.n_weights:,} weights, {total.n_changed:,} of them changed; {total.n_texts} answers"
    title = f"Where the change sits: {change.base} → {change.tuned}"
    return notebook.to_html(title, facts, answer(questions(change)), [modules_table(change)], figures(change))
