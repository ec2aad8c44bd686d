"""How is what was named and swapped shown?  A table of heads and directions, one of texts that drive a direction."""

from collections.abc import Sequence
from dataclasses import dataclass

from aftertune.explainers.location.named.findings import verdict_of
from aftertune.explainers.location.named.result import DIRECTION
from aftertune.explainers.location.named.rows import ContextRow, NamedRow
from aftertune.report.table import Column, Table
from aftertune.runs.readable import visible

N_WORDS = 5
NAMED_CAPTION = (
    "Heads whose word pairs, and directions of the change of weights whose words, are named first on the pages of "
    "heads and concepts. Each is swapped by itself, as modules are. A head is its rows of queries and its columns "
    "of what attention writes, with its keys and values where no other head shares them; where some do, the whole "
    "group with its keys and values is swapped as well. A direction is the part of the change that a module writes "
    "along it. Noise: the most that any of a few draws brings in the same place: for heads, normal noise of the "
    "size of the change; for a direction, the same written along a random one. Module: what the whole module "
    "brings. Confirmed is what brings more than every draw, by a permutation test over texts at 5%, corrected for "
    "all heads, or all directions, that were swapped. Shares are of the change on the tuned model's answers, with "
    "95% intervals over prompts; by KL is of the KL divergence from the tuned model."
)
NAMED_EMPTY = (
    "No head or direction was swapped by itself: none was named, or none was asked for (confirm). Heads and directions "
    "are named where heads and concepts are measured, heads beside noise of the size of the change."
)
NAMED_COLUMNS = (
    Column("text", "Head or direction"),
    Column("words", "Word pairs, or words"),
    Column("row.brings", "Brings, %", "percent_change"),
    Column("row.brings_interval", "95% interval", "percent_interval"),
    Column("row.takes", "Takes away, %", "percent_change"),
    Column("row.takes_interval", "95% interval", "percent_interval"),
    Column("row.noise", "Noise, %", "percent_change"),
    Column("row.module_brings", "Module, %", "percent_change"),
    Column("row.brings_divergence", "Brings by KL, %", "percent_change"),
    Column("row.takes_divergence", "Takes away by KL, %", "percent_change"),
    Column("verdict", "Verdict"),
)
CONTEXTS_CAPTION = (
    "The tokens, ⟦marked⟧, at which the change of weights writes most along a direction, where the tuned model "
    "reads the prompts and its own answers; of each text the strongest one, at most three texts. Strength is in "
    "units of the root mean square over all tokens. Some token is the strongest along any direction, so this "
    "describes and claims nothing."
)
CONTEXTS_EMPTY = "There are no texts: no direction was swapped by itself, or none in a network without experts."
CONTEXTS_COLUMNS = (
    Column("text", "Direction"),
    Column("words", "Words"),
    Column("row.strength", "Strength", "number"),
    Column("excerpt", "Text"),
    Column("row.prompt", "Prompt"),
)


@dataclass(frozen=True)
class ShownUnit:
    """A row of the table of units: its name, words and verdict as texts."""

    row: NamedRow
    text: str
    words: str
    verdict: str


@dataclass(frozen=True)
class ShownContext:
    """A row of the table of texts: the direction, its words and the excerpt as texts."""

    row: ContextRow
    text: str
    words: str
    excerpt: str


def named_table(rows: Sequence[NamedRow]) -> Table:
    """The heads, groups of heads and directions that were swapped by themselves."""
    shown = [ShownUnit(row, row.text, _words(row.words), verdict_of(row)) for row in rows]
    title = "Heads and directions, swapped"
    return Table("location_named", title, NAMED_CAPTION, NAMED_COLUMNS, rows, NamedRow, shown, empty=NAMED_EMPTY)


def contexts_table(rows: Sequence[ContextRow]) -> Table:
    """The texts that drive the directions."""
    shown = [
        ShownContext(row, f"{row.number} of {row.module}, layer {row.layer}", _words(row.words), excerpt_of(row))
        for row in rows
    ]
    title = "Texts that drive a direction"
    return Table(
        "location_contexts", title, CONTEXTS_CAPTION, CONTEXTS_COLUMNS, rows, ContextRow, shown, empty=CONTEXTS_EMPTY
    )


def excerpt_of(row: ContextRow) -> str:
    """The text around a token on one line, the token marked."""
    return visible(f"{row.before}⟦{row.token}⟧{row.after}").replace("\n", "⏎")


def missing(rows: Sequence[NamedRow]) -> str:
    """What was not named and so not swapped, in a sentence; empty where heads and directions were."""
    kinds = {row.kind == DIRECTION for row in rows}
    none = [kind for kind, is_there in (("head", False in kinds), ("direction", True in kinds)) if not is_there]
    return f"No {' and no '.join(none)} was swapped by itself: none was named." if rows and none else ""


def _words(words: Sequence[str]) -> str:
    return visible(", ".join(words[:N_WORDS])).replace("\n", "⏎")
