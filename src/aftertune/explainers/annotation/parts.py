"""What annotators made of the concepts of a run: a folder for each annotator, and which of them came last."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import fsspec
import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.result import ANNOTATIONS
from aftertune.runs.run import RunFolder

FOLDER = "annotations"
NEWEST = f"{FOLDER}/newest.json"
# Names that are no model's: an empty one is left of "..".
TAKEN = ("", "words", "people", "newest.json")
LONGEST_NAME = 120


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
    return None if chosen is None else run.read_json(_about(chosen))["record"]


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
        return str(run.read_json(NEWEST)["record"]["annotator"]) if run.exists(NEWEST) else None
    if not run.exists(*_part(annotator)):
        held = ", ".join(annotators(run)) or "nobody"
        raise RunError(f"{run.address} has no annotations of {annotator!r}. It has those of {held}.")
    return annotator


def _part(annotator: str) -> tuple[str, str, str]:
    return FOLDER, annotator, "annotations.parquet"


def _about(annotator: str) -> str:
    return f"{FOLDER}/{annotator}/annotations.json"
