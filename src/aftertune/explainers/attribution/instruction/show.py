"""The table of how far responses depend on their whole instruction."""

from collections.abc import Sequence

from aftertune.explainers.attribution.instruction.effect import InstructionRow
from aftertune.report.table import Column, Table

CAPTION = (
    "How far log p of each model's own response falls, in nats over the whole response, when all of the instruction "
    "leaves the prompt, and when as many other words of the user do (the mean of eight draws). The share is the "
    "instruction's of both: a response that is longer, or depends more on every word, has the same share. A claim "
    "needs both p, of permutation tests of signs within prompts, in which prompts with the same instruction count once."
)


def instruction_table(rows: Sequence[InstructionRow]) -> Table:
    """How far responses depend on their whole instruction."""
    columns = [
        Column("dataset", "Data set"),
        Column("n_prompts", "Prompts", "count"),
        Column("fall.n_pairs", "Instructions", "count"),
        Column("base", "Base, nats", "number"),
        Column("tuned", "Tuned, nats", "number"),
        Column("base_control", "Base, other words", "number"),
        Column("tuned_control", "Tuned, other words", "number"),
        Column("fall.difference", "Change", "change"),
        Column("fall.difference_interval", "95% interval", "interval"),
        Column("fall.p_value", "p", "p"),
        Column("share.difference", "Change of share", "change"),
        Column("share.difference_interval", "95% interval", "interval"),
        Column("share.p_value", "p", "p"),
    ]
    title = "How far responses depend on their whole instruction"
    return Table("instruction", title, CAPTION, columns, rows, InstructionRow)
