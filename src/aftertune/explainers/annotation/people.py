"""A person as an annotator: a table of lists of words goes out with empty columns, and comes back as one repeat.

The table is blind: a row is a list of words under an id that says nothing of model, layer or rank, rows stand in no
order, and a list that several components have, in whichever model, stands there once. An answer counts for all of them.

1. ``description``: what the words have in common, or "Cannot Tell". A row whose three columns are all empty was not
   annotated.
2. ``scenarios``: tasks or scenarios, in CSV separated by semicolons; empty where none fits. ``level``: one of `LEVELS`.
3. One rater is one repeat; raters are counted in the order of their names.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from aftertune.errors import AnnotationError, translated
from aftertune.explainers.annotation.parse import CANNOT_TELL, PARSERS, TASKS, UnusableError
from aftertune.explainers.annotation.request import Reply
from aftertune.explainers.annotation.result import (
    ANNOTATIONS,
    FOLDER,
    LEVELS,
    SCENARIOS,
    Component,
    Components,
    folder_name,
    listed,
    write_annotations,
)
from aftertune.places import read_bytes
from aftertune.report.spreadsheet import to_csv
from aftertune.runs.parts import write_text
from aftertune.runs.run import RunFolder

NAME = "people"
ID = "id"
ID_DIGITS = 12
ANSWERS = ("description", "scenarios", "level")
SUFFIXES = (".csv", ".jsonl")
REMEDY = "Correct the row; nothing was kept."

Row = Mapping[str, Any]


def export_words(components: Components, file: str | Path, n_components: int | None = None) -> int:
    """Write the lists of words of components for a person to annotate, to .csv or .jsonl; returns how many.

    Raises `AnnotationError` for another kind of file.
    """
    kind, lists = _suffix(file), _by_id(listed(components, n_components))
    words = {id: own[0].words for id, own in sorted(lists.items())}  # by digest: an order that nobody can read
    shown = {id: ", ".join(own) if kind == ".csv" else list(own) for id, own in words.items()}
    frame = pl.DataFrame([{ID: id, "words": own} | dict.fromkeys(ANSWERS, "") for id, own in shown.items()])
    write_text(file, to_csv(frame) if kind == ".csv" else frame.write_ndjson())
    return len(lists)


def import_annotations(run: RunFolder, components: Components, file: str | Path, rater: str) -> pl.DataFrame:
    """Read back what `export_words` wrote, filled in by ``rater``; what the same rater gave before is replaced.

    Returns the rows of all raters. Raises `AnnotationError` naming the row for anything that is not allowed.
    """
    if not rater.strip():
        raise AnnotationError("The rater has no name. Give one; it tells the raters apart.")
    rows, lists = _read(file), _by_id(listed(components))
    filled = [(number, row) for number, row in rows if any(_text(row, name) for name in ANSWERS)]
    found = _read_rows(filled, lists)
    if not found:
        raise AnnotationError(f"No row of {file} is filled in. Fill in {', '.join(ANSWERS)}, then import it again.")
    schema = {name: kind for name, kind in ANNOTATIONS.items() if name != "repeat"}
    run.write_frame(_part(folder_name(rater.strip())), pl.DataFrame(found, schema))
    return _combine(run)


def _part(rater: str) -> tuple[str, str, str]:
    return f"{FOLDER}/{NAME}", "raters", f"{rater}.parquet"


def _by_id(components: Sequence[Component]) -> dict[str, list[Component]]:
    """The components of each list of words, by its id."""
    found: dict[str, list[Component]] = {}
    for one in components:
        words = json.dumps(one.words, ensure_ascii=False).encode("utf-8", "surrogatepass")
        found.setdefault(hashlib.sha256(words).hexdigest()[:ID_DIGITS], []).append(one)
    return found


def _read_rows(rows: Sequence[tuple[int, Row]], lists: Mapping[str, Sequence[Component]]) -> list[dict[str, Any]]:
    """A row for each component that a list of words is of, in the order of the run."""
    answers: dict[str, dict[str, Any]] = {}
    for number, row in rows:
        id = _text(row, ID)
        if id not in lists:
            raise AnnotationError(f"Row {number} has the id {id or '(empty)'}, which the run does not have. {REMEDY}")
        if id in answers:
            raise AnnotationError(f"Row {number} has the id {id}, as has one before. {REMEDY}")
        answers[id] = _annotation(number, row) | {"unparsed": []}
    return [one.place() | answers[id] for id, own in lists.items() if id in answers for one in own]


def _annotation(number: int, row: Row) -> dict[str, Any]:
    description = _answer(number, row, "description", f"a short text, or {CANNOT_TELL}")
    if description is None:
        if _text(row, "scenarios") or _text(row, "level"):
            raise AnnotationError(
                f"Row {number} has the description {CANNOT_TELL!r}, so its scenarios and level must be empty. {REMEDY}"
            )
        return dict.fromkeys(ANSWERS)
    tasks = _answer(number, row, "scenarios", "; ".join((*SCENARIOS, *TASKS))) if _text(row, "scenarios") else []
    return {"description": description, "scenarios": tasks, "level": _answer(number, row, "level", ", ".join(LEVELS))}


def _answer(number: int, row: Row, name: str, allowed: str) -> Any:
    step, text = "tasks" if name == "scenarios" else name, _text(row, name)
    try:
        return PARSERS[step](Reply(text if step == "tasks" else json.dumps({step: text})))
    except UnusableError:
        given = repr(text[:60]) if text else "nothing"
        raise AnnotationError(f"Row {number} has {given} as {name}. Allowed: {allowed}. {REMEDY}") from None


def _combine(run: RunFolder) -> pl.DataFrame:
    system, path = fsspec.core.url_to_fs(run.path(FOLDER, NAME, "raters"))
    files = sorted(name for name in system.ls(path, detail=False) if name.endswith(".parquet"))
    raters = [place.rsplit("/", 1)[-1].removesuffix(".parquet") for place in files]
    frames = [run.read_frame(_part(rater)) for rater in raters]
    numbered = [frame.with_columns(repeat=pl.lit(number)) for number, frame in enumerate(frames)]
    found = pl.concat([frame.select(*ANNOTATIONS).cast(pl.Schema(ANNOTATIONS)) for frame in numbered])
    about = {
        "annotator": {"name": NAME, "kind": "people", "weak": False, "raters": raters},
        "settings": {"repeats": len(raters)},
    }
    write_annotations(
        run, NAME, found, about | {"counts": {rater: frame.height for rater, frame in zip(raters, frames, strict=True)}}
    )
    return found


def _read(file: str | Path) -> list[tuple[int, Row]]:
    kind = _suffix(file)
    content = read_bytes(str(file), AnnotationError, "Give one that was exported, filled in.")
    with translated(AnnotationError, f"{file} could not be read", f"Save it as {kind[1:]}, in UTF-8."):
        text = content.decode("utf-8-sig")
        rows = _of_csv(text) if kind == ".csv" else _of_lines(text)
    missing = [name for name in (ID, *ANSWERS) if any(name not in row for _, row in rows)]
    if missing:
        raise AnnotationError(f"{file} lacks {', '.join(missing)}. Keep the columns that were exported.")
    return rows


def _of_csv(text: str) -> list[tuple[int, Row]]:
    frame = pl.read_csv(StringIO(text), infer_schema=False)
    return list(enumerate(frame.iter_rows(named=True), 2))  # as a spreadsheet counts, whose first row has the names


def _of_lines(text: str) -> list[tuple[int, Row]]:
    lines = [(number, json.loads(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    wrong = next((number for number, row in lines if not isinstance(row, dict)), None)
    if wrong is not None:
        raise ValueError(f"line {wrong} is no JSON object")
    return lines


def _suffix(file: str | Path) -> str:
    suffix = Path(str(file)).suffix.lower()
    if suffix not in SUFFIXES:
        raise AnnotationError(f"{file} is of no kind that people annotate in. Name it .csv or .jsonl.")
    return suffix


def _text(row: Row, name: str) -> str:
    value = row[name]
    if isinstance(value, list):
        return "; ".join(str(one) for one in value)
    return "" if value is None else str(value).strip()
