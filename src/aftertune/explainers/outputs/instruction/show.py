"""The table of what answers are like with their instruction and without it."""

from collections.abc import Sequence

from aftertune.explainers.outputs.instruction.effect import InstructedRow
from aftertune.report.table import Column, Table

N_ROWS = 8
CAPTION = (
    "Greedy answers of both models to your prompts whose instruction is marked, and to the same prompts without it. "
    "The excess is how much more the tuned model's answers have a trait with the instruction than without, less the "
    "same of the base's answers. It is tested by swapping base and tuned within prompts, for all traits together; "
    "beyond swaps is what exceeds any trait in 95% of them."
)


def instructed_table(rows: Sequence[InstructedRow]) -> Table:
    """What answers are like with and without their instruction, the largest difference between the models first."""
    columns = (
        Column("trait", "Answers that are, or come"),
        Column("base", "Base, %", "percent"),
        Column("base_without", "Base, without, %", "percent"),
        Column("tuned", "Tuned, %", "percent"),
        Column("tuned_without", "Tuned, without, %", "percent"),
        Column("n_prompts", "Prompts", "count"),
        Column("excess", "Excess", "change"),
        Column("beyond_swaps", "Beyond swaps", "flag"),
    )
    title = "What of the answers comes with the instruction"
    return Table("output_instructed", title, CAPTION, columns, rows, InstructedRow, rows[:N_ROWS])
