"""Every action of a rater on disk at once: ``labels/RATER.jsonl`` in the run, one JSON object a line, never rewritten.

1. A line is a rating (null takes it back), the spans of a prompt (none takes them back), or an undo, which cancels the
   last action that is not cancelled yet. What holds is what the lines say when they are read from the first on.
2. A line is written with one call and forced to the disk before anyone is told that it is saved. A process that is
   killed leaves at most one line without its end; it was never told to be saved, and is cut off.
3. One process at a time writes for a rater, so that none cuts off what another is writing. A symbolic link among the
   labels is refused: whoever could put it there would have other files read or written.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

import fsspec
import polars as pl
from filelock import FileLock, Timeout
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from aftertune.errors import AnnotationError, RunError, translated
from aftertune.labelling.labels import Labels, RaterLabels
from aftertune.places import read_bytes
from aftertune.runs.disk import keep, keep_names, local_path
from aftertune.runs.run import RunFolder
from aftertune.written import fault_in

FOLDER = "labels"
SUFFIX = ".jsonl"
PATIENCE_SECONDS = 10.0
LONGEST_NAME = 20  # a sign may take twelve in the file name, which may have 255
MOST_CHARACTERS = 10**7  # of a message, beyond what is read of a prompt
Place = Annotated[int, Field(ge=0, le=MOST_CHARACTERS)]


class Undo(TypedDict):
    """Cancels the last action that holds."""

    undo: bool


class Marking(TypedDict):
    """The spans of a prompt: start, end, message."""

    prompt: str
    spans: list[tuple[Place, Place, Place]]


class Rating(TypedDict):
    """What a rater said of the response of a role; None takes it back."""

    prompt: str
    role: str
    helpfulness: Literal[1, 2, 3, 4] | None


KINDS: Mapping[str, Any] = {"undo": Undo, "spans": Marking}
LABELS: dict[str, Any] = {
    "rater": pl.String,
    "id": pl.String,
    "role": pl.String,
    "helpfulness": pl.Int8,
    "spans": pl.List(pl.List(pl.Int64)),
}

Action = Mapping[str, Any]


def open_labels(run: str | Path) -> pl.DataFrame:
    """The labels that people gave in a run: what each rater said of each response, and of each prompt.

    Columns ``rater, id, role, helpfulness, spans``. A row with a ``role`` ("base", "tuned", ...) has the rating 1 to 4
    of its response; a row without one has the ``spans`` [start, end, message] of the prompt's instruction, in
    characters. Raises `RunError` if there is no run, nobody labelled it, or a file is damaged.
    """
    labels = read_labels(RunFolder.open(run))
    if not labels.raters:
        raise RunError(f"Nobody labelled {run} yet. Do so first: aftertune label {run}.")
    rows: list[tuple[Any, ...]] = []
    for rater, one in labels.raters.items():
        rows += [(rater, id, role, rating, None) for (id, role), rating in one.ratings.items()]
        rows += [(rater, id, None, None, [list(span) for span in spans]) for id, spans in one.spans.items()]
    return pl.DataFrame(rows, LABELS, orient="row")


def append(run: RunFolder, rater: str, actions: Sequence[Action]) -> None:
    """Write actions to the end of a rater's file, all or none of them, and wait until the disk has them.

    Raises `RunError` if they can't be written, or another process is writing for this rater all the time.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = "".join(json.dumps({"at": now, **action}, ensure_ascii=False) + "\n" for action in actions)
    place = local_file(run, rater)
    try:
        place.parent.mkdir(exist_ok=True)
        with FileLock(_lock(place), timeout=PATIENCE_SECONDS):
            _append(place, lines.encode("utf-8"))
    except Timeout:
        raise RunError(
            f"{place} has been in use by another process for {PATIENCE_SECONDS:.0f} s. End it, and label again."
        ) from None
    except OSError as error:
        run.must_be_there()
        raise RunError(f"{place} could not be written: {error.strerror or error}. Make room there.") from error


def read_actions(run: RunFolder, rater: str) -> list[dict[str, Any]]:
    """The actions of a rater that hold, those cancelled by an undo left out; raises `RunError` for a damaged file."""
    held: list[dict[str, Any]] = []
    for action in _read_lines(run, rater):
        if "undo" not in action:
            held.append(action)
        elif held:
            held.pop()
    return held


def read_rater(run: RunFolder, rater: str) -> RaterLabels:
    """What holds of one rater's labels; empty for one who did nothing yet."""
    return labels_of(read_actions(run, rater))


def labels_of(actions: Sequence[Action]) -> RaterLabels:
    """What actions that hold, the earliest first, come to."""
    ratings: dict[tuple[str, str], int] = {}
    spans: dict[str, tuple[tuple[int, int, int], ...]] = {}
    for action in actions:
        if "spans" in action:
            spans[action["prompt"]] = tuple((start, end, message) for start, end, message in action["spans"])
        else:
            ratings[action["prompt"], action["role"]] = action["helpfulness"]
    return RaterLabels({key: one for key, one in ratings.items() if one}, {id: one for id, one in spans.items() if one})


def read_labels(run: RunFolder) -> Labels:
    """The labels of every rater who gave any; raises `RunError` for a damaged file."""
    found = {rater: read_rater(run, rater) for rater in raters(run)}
    return Labels({rater: one for rater, one in found.items() if one.ratings or one.spans})


def raters(run: RunFolder) -> tuple[str, ...]:
    """Who has a file of labels in the run, sorted by name."""
    if not run.exists(FOLDER):
        return ()
    system, path = fsspec.core.url_to_fs(run.path(FOLDER))
    names = [place.rstrip("/").rsplit("/", 1)[-1] for place in system.ls(path, detail=False)]
    return tuple(sorted(unquote(name.removesuffix(SUFFIX)) for name in names if name.endswith(SUFFIX)))


def must_be_named(rater: str) -> str:
    """The rater's name without white space around it; raises `AnnotationError` for one that can't be a file's."""
    name = rater.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name.startswith("."):
        raise AnnotationError(
            f"The rater's name is {rater[:80]!r}. Give one of 1 to {LONGEST_NAME} printable signs that does not begin "
            "with a dot."
        )
    return name


def local_file(run: RunFolder, rater: str) -> Path:
    """Where a rater's actions lie; raises `RunError` for a symbolic link, or a run that is not on a local disk."""
    path = local_path(run.address)
    if path is None:
        raise RunError(f"{run.address} is not on a local disk. Copy the run to one, and label it there.")
    found = path / FOLDER / _file_name(rater)
    _must_be_no_link(found)
    return found


def _must_be_no_link(place: Path) -> None:
    for one in (place.parent, place, _lock(place)):
        if one.is_symlink():
            raise RunError(f"{one} is a symbolic link, which is not followed. Put the labels themselves there.")


def _lock(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _append(place: Path, content: bytes) -> None:
    is_new = not place.exists()
    with open(place, "a+b", buffering=0, opener=_open_no_link) as file:
        _cut_unfinished(file)
        file.write(content)
        keep(file)
    if is_new:
        keep_names(place.parent)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _cut_unfinished(file: Any) -> None:
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


def _read_lines(run: RunFolder, rater: str) -> Iterator[dict[str, Any]]:
    address = run.path(FOLDER, _file_name(rater))
    if (local := local_path(address)) is not None:
        _must_be_no_link(local)
    if not run.exists(FOLDER, _file_name(rater)):
        return
    finished = read_bytes(address, RunError).split(b"\n")[:-1]
    for number, line in enumerate(finished, 1):
        what, remedy = f"{address}, line {number} is damaged", "Take that line out, or restore the file."
        with translated(RunError, what, remedy):
            action = json.loads(line)
            try:
                kind = next((one for name, one in KINDS.items() if name in action), Rating)
                yield dict(TypeAdapter(kind).validate_json(line))
            except ValidationError as error:
                raise RunError(f"{what}: {fault_in(error)}. {remedy}") from error


def _file_name(rater: str) -> str:
    return quote(rater, safe=" ") + SUFFIX
