"""The table of what answers are like with their instruction and without it."""

from collections.abc import Sequence

from aftertune.explainers.outputs.behaviour import LENGTH
from aftertune.explainers.outputs.instruction.effect import SIDES, InstructedRow
from aftertune.report.table import Column, Table

N_ROWS = 8
CAPTION = (
    "Greedy answers of both models to your prompts whose instruction is marked, and to the same prompts without it. "
    "The excess is how much more the tuned model's answers have a trait with the instruction than without, beyond the "
    "same of the base; of tokens, a share of the longest answer. It is tested by swapping base and tuned within "
    "prompts, for all traits together; beyond swaps is what exceeds any trait in 95% of them."
)


def instructed_table(rows: Sequence[InstructedRow]) -> Table:
    """What answers are like with and without their instruction, the largest difference between the models first."""
    columns = (
        Column("trait", "Trait"),
        Column("what", "Of"),
        Column("base", "Base"),
        Column("base_without", "Base, without"),
        Column("tuned", "Tuned"),
        Column("tuned_without", "Tuned, without"),
        Column("n", "Prompts", "count"),
        Column("excess", "Excess", "change"),
        Column("beyond_swaps", "Beyond swaps", "flag"),
    )
    title = "What of the answers comes with the instruction"
    empty = "No instruction is marked in the prompts, or nothing is left without it."
    shown = [_written(row) for row in rows[:N_ROWS]]
    return Table("output_instructed", title, CAPTION, columns, rows, InstructedRow, shown, empty=empty)


def _written(row: InstructedRow) -> dict[str, object]:
    numbers = {
        side: f"{getattr(row, side):.1f}" if row.what == LENGTH else f"{getattr(row, side):.1%}" for side in SIDES
    }
    return numbers | {name: getattr(row, name) for name in ("trait", "what", "n", "excess", "beyond_swaps")}
