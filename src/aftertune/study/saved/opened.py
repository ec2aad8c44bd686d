"""What lies in a run folder, opened one by one."""

from pathlib import Path

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation import parts as annotation_parts
from aftertune.explainers.attribution.change import Comparison
from aftertune.explainers.concepts import parts as concept_parts
from aftertune.explainers.concepts.result import ConceptReading
from aftertune.explainers.heads import parts as head_parts
from aftertune.explainers.heads.result import HeadReading
from aftertune.runs.run import RunFolder
from aftertune.study.saved.asked import Verbs, last_asked, read_asked
from aftertune.study.saved.measured import compare_all, joined, open_several, read_measured
from aftertune.study.stages import Lineage


def open_comparison(run: str | Path, verbs: Verbs = None) -> Comparison | Lineage:
    """Compare what lies in the folder of a finished run, as its report does, and write nothing; needs no torch.

    ``verbs`` are the words to ask about in heads, by default those of the last report. Returns the comparison of two
    models, or the lineage of more.

    Raises `RunError` if there is no run of several models, or not all of it is measured, and `WordError` for words
    that can't be used.
    """
    folder = open_several(run)
    return joined(compare_all(read_measured(folder), last_asked(folder) if verbs is None else read_asked(verbs)))


def open_heads(run: str | Path, role: str = "model") -> HeadReading:
    """The heads that lie in a run folder.

    ``role`` is "model" after ``aftertune heads``; after ``aftertune compare`` it is "base", "tuned", and "tuned-2" and
    so on where there are more.

    Raises `RunError` if there is no run, or its heads are not read, not complete, or damaged.
    """
    folder = RunFolder.open(run)
    head_parts.HEADS.must_be_of(folder, role)
    return head_parts.open_heads(folder, role)


def open_concepts(run: str | Path, role: str = "model") -> ConceptReading:
    """The concepts that lie in a run folder; ``role`` as for `open_heads`.

    Raises `RunError` if there is no run, or its concepts are not read, not complete, or damaged.
    """
    folder = RunFolder.open(run)
    concept_parts.CONCEPTS.must_be_of(folder, role)
    return concept_parts.open_concepts(folder, role)


def open_annotations(run: str | Path, annotator: str | None = None) -> pl.DataFrame:
    """The annotations that lie in a run folder: those of ``annotator``, else the newest.

    Columns ``role, layer, expert, rank, repeat, description, scenarios, level, unparsed``. Raises `RunError` if there
    is no run, nobody annotated it, or they are damaged.
    """
    found = annotation_parts.open_annotations(RunFolder.open(run), annotator)
    if found is None:
        raise RunError(f"Nobody annotated the concepts of {run} yet. Do so first: aftertune annotate.")
    return found
