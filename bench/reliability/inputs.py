"""Bad inputs to the command line: each must end with exit code 2 and one line that names what was given and what to do.

They stand in ``inputs.jsonl``, one a line: the ``command``, in which BASE, TUNED, PROMPTS and RUN are valid, NEW is a
folder that is not there yet and FILE is the bad one; its ``name`` and what it ``holds``; a part of the line that is
``expected``. What a file holds is written out, or made:

- a text; {"hex": ...}; {"repeat": [text, times, ...]}, one after the other; {"like": FILE, "set": {...}}, JSON with
  other fields; {"link": place}; {"folder": true}; {"pipe": true}; null for no file.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from bench.reliability.counts import Counts
from bench.reliability.tiny_run import Tiny, tiny_run

PATIENCE_SECONDS = 10.0
FILE = Path(__file__).with_name("inputs.jsonl")
EACH_IN_SHORT = 20  # of so many rows one is tried


def count(folder: Path, short: bool) -> list[Counts]:
    """All rows of the table, or some of them."""
    found = Counts("bad inputs")
    rows = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    tiny = tiny_run()
    for number, row in enumerate(rows):
        if not short or number % EACH_IN_SHORT == 0:
            _try(row, number, folder, tiny, found)
    return [found]


def _try(row: dict[str, Any], number: int, folder: Path, tiny: Tiny, found: Counts) -> None:
    own = folder / f"input-{number}"
    own.mkdir()
    file = own / row.get("name", "file")
    make(row.get("holds"), file, tiny.folder)
    words = {"BASE": tiny.folder / "base", "TUNED": tiny.folder / "tuned", "PROMPTS": tiny.folder / "prompts.jsonl"}
    words |= {"RUN": tiny.folder / "whole", "NEW": own / "new", "FILE": file, "OWN": own}
    ended = tiny.children.run([str(words.get(word, word)) for word in row["command"]], patience=PATIENCE_SECONDS)
    found.tried += 1
    told = f"{' '.join(row['command'])} with {row.get('name', 'no file')}"
    if ended.code is None:
        found.fail("hangs", told)
    elif ended.code != 2 or ended.is_traceback:
        found.fail("crashes", f"{told}: exit code {ended.code}: {ended.last_line[:200]}")
    elif row["expected"].replace("FILE", str(file)) not in ended.last_line:
        found.fail("false", f"{told}: {ended.last_line[:300]}")
    shutil.rmtree(own)


def make(holds: Any, file: Path, folder: Path) -> None:
    """The file that a row describes."""
    if isinstance(holds, str):
        file.write_text(holds, encoding="utf-8")
    elif holds is not None:
        (kind,) = holds.keys() - {"set"}
        MAKERS[kind](holds, file, folder)


def _like(holds: Any, file: Path, folder: Path) -> None:
    """A copy of a folder, with fields of one of its JSON files set."""
    place, _, name = holds["like"].partition("/")
    shutil.copytree(folder / place, file)
    content = json.loads((file / name).read_text("utf-8"))
    (file / name).write_text(json.dumps(content | holds["set"]), encoding="utf-8")


def _repeat(holds: Any, file: Path, _: Path) -> None:
    texts, times = holds["repeat"][::2], holds["repeat"][1::2]
    file.write_text("".join(text * n for text, n in zip(texts, times, strict=True)))


MAKERS = {
    "hex": lambda holds, file, _: file.write_bytes(bytes.fromhex(holds["hex"])),
    "repeat": _repeat,
    "link": lambda holds, file, _: file.symlink_to(holds["link"]),
    "folder": lambda _holds, file, _: file.mkdir(),
    "pipe": lambda _holds, file, _: os.mkfifo(file),
    "like": _like,
}
