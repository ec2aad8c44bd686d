"""Which words are asked about in the heads of a run (table 3), and what texts call them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune.errors import WordError
from aftertune.runs.run import RunFolder

FILE = "verbs.json"
Verbs = Sequence[str] | str | Path | None
Asked = Mapping[str, Any]


def read_asked(verbs: Verbs) -> Asked:
    """The ``verbs`` that are asked about in heads, and what texts call them; both None for the instruction verbs.

    Raises `WordError` for a file or a list that can't be used.
    """
    if verbs is None:
        return {"asked": None, "verbs": None}
    if isinstance(verbs, str | Path):
        from aftertune.explainers.heads.verbs import read_verbs

        return {"asked": f"the words of {Path(verbs).name}", "verbs": read_verbs(str(verbs))}
    if not verbs or not all(isinstance(verb, str) for verb in verbs):
        raise WordError(f"The verbs are given as {repr(verbs)[:60]}. Give a list of words, or a file of them.")
    return {"asked": None, "verbs": list(verbs)}


def last_asked(folder: RunFolder) -> Asked:
    """What was asked about the last time; the instruction verbs where nothing was."""
    return folder.read_json(FILE)["record"] if folder.exists(FILE) else read_asked(None)


def remember_asked(folder: RunFolder, asked: Asked) -> None:
    """Keep what is asked about from now on."""
    folder.remember(FILE, asked)
