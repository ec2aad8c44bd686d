"""What an annotator made of concepts: a description, the tasks it may serve, its linguistic level (appendix D.1)."""

from typing import Any

import polars as pl

SCENARIOS = ("writing", "coding", "math", "translation")
LEVELS = ("phonology", "morphology", "syntax", "semantics")
STEPS = ("description", "tasks", "level")

ANNOTATIONS: dict[str, Any] = {
    "role": pl.String,
    "layer": pl.Int16,
    "expert": pl.Int16,
    "rank": pl.Int32,
    "repeat": pl.Int16,
    # What the words have in common; null where the annotator could not tell ("Cannot Tell"), or no answer was usable.
    "description": pl.String,
    # Of `SCENARIOS`, each once; empty where none fits, null where there is no description or no usable answer.
    "scenarios": pl.List(pl.String),
    # One of `LEVELS`; null likewise.
    "level": pl.String,
    # The steps whose answer was none of those allowed: counted, never guessed.
    "unparsed": pl.List(pl.String),
}


def are_copies(annotations: pl.DataFrame) -> bool:
    """Whether all repeats of every concept say the same, of more concepts than one: nothing was drawn at random.

    Such repeats say nothing about how far to trust the annotator. ``annotations`` are those of one model.
    """
    said = annotations.group_by("layer", "expert", "rank").agg(
        n=pl.len(), differ=pl.struct("description", "unparsed").n_unique()
    )
    return said.height > 1 and bool((said["n"] > 1).all() and (said["differ"] == 1).all())
