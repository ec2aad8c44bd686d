"""How is what the change of weights writes and reads shown?  One table each."""

from collections.abc import Sequence
from dataclasses import dataclass

from aftertune.explainers.concepts.written import ReadRow, WrittenRow
from aftertune.explainers.concepts.written_findings import spelled
from aftertune.report.table import Column, Table

N_SHOWN = 16


@dataclass(frozen=True)
class ShownDirection:
    """A row of the table of directions: the words as one text."""

    row: WrittenRow
    words: str


def written_table(rows: Sequence[WrittenRow]) -> Table:
    """The directions that the change of weights writes along, with their words."""
    return Table(
        name="concept_written",
        title="What the change of weights writes",
        caption=(
            "The change of what each layer's feed-forward network and attention write, in its five largest directions, "
            "either side of each. Words: the vocabulary tokens furthest along, the last tenth of the layers first. "
            "z: how far the first of them stands out, in standard deviations over the vocabulary. Limit: further than "
            "along 99 of 100 random directions. Noise: further than along any direction of noise of the same size; "
            "only these are claimed. In 5 directions: how much of the module's squared change lies there, and the "
            "most that noise has there. Brings: the share of the change of the outputs that the module brings when it "
            "alone is put into the base (location). Directions of middle layers often give fragments of words. Shown "
            "are those beyond the limit, at most 16; the CSV has all."
        ),
        columns=(
            Column("row.layer", "Layer", "count"),
            Column("row.module", "Module"),
            Column("words", "Words"),
            Column("row.z", "z", "number"),
            Column("row.is_beyond_limit", "Beyond limit", "flag"),
            Column("row.is_beyond_noise", "Beyond noise", "flag"),
            Column("row.share", "Share, %", "percent"),
            Column("row.top_share", "In 5 directions, %", "percent"),
            Column("row.noise_top_share", "Noise, %", "percent"),
            Column("row.brings", "Brings, %", "percent_change"),
        ),
        rows=rows,
        row=WrittenRow,
        shown=[ShownDirection(row, spelled(row.words)) for row in rows if row.is_beyond_limit][:N_SHOWN],
        empty="No direction of the change of weights has a word beyond the limit, or this was not measured.",
    )


def read_table(rows: Sequence[ReadRow]) -> Table:
    """The words of which the change of weights reads most."""
    return Table(
        name="concept_read",
        title="What the change of weights reads",
        caption=(
            "Words by how much the change of the first projections of all feed-forward networks makes of their input "
            "embedding, over what the base's weights make of it. Times noise: over what noise of the same size makes "
            "of any word; noise: the most that it makes of any of all words, in 19 of 20 draws. Any training exceeds "
            "that, so this describes and claims nothing. Shown are the first; the CSV has 100."
        ),
        columns=(
            Column("word", "Word"),
            Column("ratio", "Change over base", "p"),
            Column("times_noise", "Times noise", "number"),
            Column("noise_limit", "Noise", "number"),
        ),
        rows=rows,
        row=ReadRow,
        shown=rows[:N_SHOWN],
        empty="The first projections of the feed-forward networks did not change, or this was not measured.",
    )
