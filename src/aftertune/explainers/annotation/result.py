"""What an annotator says of components: a description, the tasks it may serve, its linguistic level (appendix D.1).

In the run folder each annotator has a folder under ``annotations``, and ``newest.json`` says which of them came last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import fsspec
import polars as pl

from aftertune.errors import RunError
from aftertune.runs.records import record_of
from aftertune.runs.run import RunFolder

SCENARIOS = ("writing", "coding", "math", "translation")
LEVELS = ("phonology", "morphology", "syntax", "semantics")
STEPS = ("description", "tasks", "level")
TUNING_STEP = "tuning"  # asked of a whole comparison, not of components
PLACE = ("layer", "expert", "rank")

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

FOLDER = "annotations"
NEWEST = f"{FOLDER}/newest.json"
# Names that are no model's: an empty one is left of "..".
TAKEN = ("", "words", "people", "newest.json")
LONGEST_NAME = 120

Components = Mapping[str, pl.DataFrame]
"""The components of each model by its role: a row each with ``layer, expert, rank, words``."""


@dataclass(frozen=True)
class Component:
    """A principal component by its place, with its words."""

    role: str
    layer: int
    expert: int
    rank: int
    words: tuple[str, ...]

    def place(self) -> dict[str, Any]:
        """Where it was found: ``role, layer, expert, rank``."""
        return {name: getattr(self, name) for name in ("role", *PLACE)}


def listed(components: Components, n_components: int | None = None) -> list[Component]:
    """The components of all models one after the other, only the first ``n_components`` of each network if given."""
    rows = [(role, *row) for role, own in components.items() for row in own.select(*PLACE, "words").iter_rows()]
    found = [Component(role, layer, expert, rank, tuple(words)) for role, layer, expert, rank, words in rows]
    return [one for one in found if n_components is None or one.rank <= n_components]


def are_copies(annotations: pl.DataFrame) -> bool:
    """Whether all repeats of every component say the same, of more components than one: nothing was drawn at random.

    Such repeats say nothing about how far to trust the annotator. ``annotations`` are those of one model.
    """
    said = annotations.group_by(PLACE).agg(n=pl.len(), differ=pl.struct("description", "unparsed").n_unique())
    return said.height > 1 and bool((said["n"] > 1).all() and (said["differ"] == 1).all())


def write_annotations(run: RunFolder, annotator: str, frame: pl.DataFrame, about: Mapping[str, Any]) -> None:
    """Write annotations (columns `ANNOTATIONS`) and how they were made; from now on they are the newest of the run."""
    run.write_frame(_part(annotator), frame)
    run.remember(_about(annotator), dict(about))
    run.remember(NEWEST, {"annotator": annotator})


def open_annotations(run: RunFolder, annotator: str | None = None) -> pl.DataFrame | None:
    """The annotations of ``annotator``, else the newest, with the columns of `ANNOTATIONS`; None if there are none.

    Raises `RunError` if that annotator has none in the run, or they are damaged.
    """
    chosen = _choose(run, annotator)
    if chosen is None:
        return None
    frame = run.read_frame(_part(chosen))
    if frame.schema != pl.Schema(ANNOTATIONS):
        raise RunError(f"{run.path(*_part(chosen))} is of another version of Aftertune. Annotate the run again.")
    return frame


def recall_annotations(run: RunFolder, annotator: str | None = None) -> dict[str, Any] | None:
    """How the annotations that `open_annotations` gives were made: ``annotator, settings, counts``."""
    chosen = _choose(run, annotator)
    return None if chosen is None else record_of(run, _about(chosen), dict[str, Any])


def annotators(run: RunFolder) -> tuple[str, ...]:
    """Whose annotations lie in the run, sorted."""
    system, path = fsspec.core.url_to_fs(run.path(FOLDER))
    found = (
        [place.rstrip("/").rsplit("/", 1)[-1] for place in system.ls(path, detail=False)] if run.exists(FOLDER) else []
    )
    return tuple(sorted(name for name in found if run.exists(*_part(name))))


def folder_name(annotator: str) -> str:
    """The name of an annotator as that of a folder: the slash of a hub id becomes %2F, a long name ends in a digest."""
    name = quote(annotator, safe=" +@:").lstrip(".")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{sha256(annotator.encode()).hexdigest()[:8]}"


def server_folder(model: str) -> str:
    """The folder of a server's ``model``: its name, after "server" where others of our own are called that."""
    name = folder_name(model)
    ours = name.lower() in TAKEN or name.lower().startswith(("local ", "server "))
    return folder_name(f"server {model}") if ours else name


def _choose(run: RunFolder, annotator: str | None) -> str | None:
    if annotator is None:
        return record_of(run, NEWEST, dict[str, str]).get("annotator") if run.exists(NEWEST) else None
    if not run.exists(*_part(annotator)):
        held = ", ".join(annotators(run)) or "nobody"
        raise RunError(f"{run.address} has no annotations of {annotator!r}. It has those of {held}.")
    return annotator


def _part(annotator: str) -> tuple[str, str, str]:
    return FOLDER, annotator, "annotations.parquet"


def _about(annotator: str) -> str:
    return f"{FOLDER}/{annotator}/annotations.json"
