"""One flipped bit anywhere in a run is seen; a part of another place, half of its rows or all of them twice too.

Every kind of part of a tiny run, and every JSON file that says what it is: read as a report reads them.
"""

import random
import shutil
from pathlib import Path

import polars as pl

from aftertune.errors import RunError
from aftertune.runs.run import RunFolder
from bench.reliability.children import Children
from bench.reliability.counts import Counts
from bench.reliability.tiny_run import arguments, save_models
from head_files import save_head_files


def count(folder: Path, short: bool) -> list[Counts]:
    flips, told, moved = (
        Counts("flipped bit in a part"),
        Counts("flipped bit in a JSON file"),
        Counts("part of elsewhere"),
    )
    rows = Counts("half of the rows, or all twice")
    run, draw = _make(folder, short), random.Random(0)
    parts = sorted(path.relative_to(run) for path in run.rglob("*.parquet") if path.parent != run)
    kinds = {str(path.parent.parent): path for path in parts}
    for path in kinds.values():
        _flip(run / path, lambda path=path: _read(run, path), 20 if short else 2000, draw, flips)
        _replace_rows(run, path, rows)
    for path in sorted(run.glob("*.json")):
        if path.name != "comparison.json":
            _flip(path, lambda path=path: RunFolder.open(run).read_json(path.name), 5 if short else 200, draw, told)
    for path in parts:
        _exchange(run, path, draw.choice([one for one in parts if one != path]), moved)
    return [flips, told, moved, rows]


def _make(folder: Path, short: bool) -> Path:
    """A run; a short one of attribution alone."""
    save_models(folder)
    words = [str(one) for one in save_head_files(folder / "words").options]
    command = arguments(folder, folder / "run")
    if not short:
        command = [*command[: command.index("--skip")], *words]
    with Children(folder) as children:
        ended = children.run(command, patience=600)
    if ended.code != 0:
        raise SystemExit(f"The run failed: {ended.said}")
    return folder / "run"


def _read(run: Path, path: Path) -> pl.DataFrame:
    return RunFolder.open(run).read_frame((str(path.parent.parent), path.parent.name, path.name))


def _flip(path: Path, read, n: int, draw: random.Random, found: Counts) -> None:
    whole, undamaged = path.read_bytes(), read()
    for _ in range(n):
        bit = draw.randrange(8 * len(whole))
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(content))
        found.tried += 1
        _must_be_refused(read, undamaged, f"bit {bit} of {path.name}", found)
    path.write_bytes(whole)


def _must_be_refused(read, undamaged, what: str, found: Counts) -> None:
    try:
        now = read()
    except RunError:
        return
    except BaseException as error:  # a panic of a decoder is no Exception
        found.fail("crashes", f"{what}: {type(error).__name__}: {error}")
        return
    if not (now.equals(undamaged) if isinstance(now, pl.DataFrame) else now == undamaged):
        found.fail("false", f"{what}: read as other data")


def _exchange(run: Path, path: Path, other: Path, found: Counts) -> None:
    whole, undamaged = (run / path).read_bytes(), _read(run, path)
    shutil.copy(run / other, run / path)
    found.tried += 1
    _must_be_refused(lambda: _read(run, path), undamaged, f"{other} in place of {path}", found)
    (run / path).write_bytes(whole)


def _replace_rows(run: Path, path: Path, found: Counts) -> None:
    whole, undamaged = (run / path).read_bytes(), _read(run, path)
    for changed in (undamaged.head(undamaged.height // 2), pl.concat([undamaged, undamaged])):
        changed.write_parquet(run / path)
        found.tried += 1
        _must_be_refused(lambda: _read(run, path), undamaged, f"{changed.height} rows of {path}", found)
    (run / path).write_bytes(whole)
