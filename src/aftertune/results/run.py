"""The run folder: settings in ``run.json``, one Parquet part for each unit of work.

A unit is done when its part exists; that one rule gives resume, crash safety and several workers at once. A folder
belongs to one set of settings and weights: a run with others refuses to continue in it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec

from aftertune.errors import RunError
from aftertune.results.parts import read_row, write_row, write_text

LONGEST_NAME = 120


@dataclass(frozen=True)
class RunFolder:
    """A folder at any fsspec address that keeps one run."""

    address: str

    @classmethod
    def start(cls, address: str | Path, identity: Mapping[str, Any], record: Mapping[str, Any]) -> "RunFolder":
        """Begin a run, or go on with the one that lies there.

        ``identity`` is what must be the same to go on (settings, fingerprints); ``record`` is kept beside it
        (versions, names). Raises `RunError` if the folder holds a run of another identity, or something else.
        """
        run, plain = cls(str(address).rstrip("/")), json.loads(json.dumps(identity))
        if run.exists("run.json"):
            run._must_equal(plain)
        elif run._is_occupied():
            raise RunError(f"{address} is not empty and holds no run. Give a new folder, or that of an earlier run.")
        else:
            text = json.dumps({"identity": plain, "record": record}, indent=2, sort_keys=True)
            write_text(run.path("run.json"), text + "\n")
        return run

    @classmethod
    def open(cls, address: str | Path) -> "RunFolder":
        """An existing run; raises `RunError` if there is none."""
        run = cls(str(address).rstrip("/"))
        if not run.exists("run.json"):
            raise RunError(f"There is no run at {address} (no run.json). Give the folder of an earlier run.")
        return run

    def path(self, *names: str) -> str:
        """The address of a file in the folder."""
        return "/".join((self.address, *names))

    def exists(self, *names: str) -> bool:
        """Whether a file or part of that name is there."""
        system, path = fsspec.core.url_to_fs(self.path(*names))
        return bool(system.exists(path))

    def settings(self) -> dict[str, Any]:
        """What ``run.json`` says: ``identity`` and ``record``; raises `RunError` if it is damaged."""
        try:
            with fsspec.open(self.path("run.json"), "r", encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
            found["identity"], found["record"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.path('run.json')} is damaged ({error}). Start again in a new folder.") from error
        return found

    def part(self, kind: str, model: str, id: str) -> tuple[str, str, str]:
        """The names (folder, folder, file) of one unit's part."""
        name = quote(id, safe=" ")
        if len(name) > LONGEST_NAME or name.startswith("."):
            name = f"{name[:LONGEST_NAME].strip('.')}-{hashlib.sha256(id.encode()).hexdigest()[:12]}"
        return kind, model, f"{name}.parquet"

    def write(self, part: tuple[str, str, str], row: Mapping[str, Any]) -> None:
        """Write a unit's part whole; raises `RunError` if that fails."""
        write_row(self.path(*part), row)

    def read(self, part: tuple[str, str, str]) -> dict[str, Any]:
        """Read a unit's part; raises `RunError` if it is missing or damaged."""
        return read_row(self.path(*part))

    def _is_occupied(self) -> bool:
        system, path = fsspec.core.url_to_fs(self.address)
        if system.isfile(path):
            raise RunError(f"{self.address} is a file. Give a folder for the run.")
        return bool(system.exists(path) and system.ls(path))

    def _must_equal(self, identity: Mapping[str, Any]) -> None:
        before = self.settings()["identity"]
        differing = list(_differences(before, identity))
        if differing:
            raise RunError(
                f"{self.address} holds a run with other settings: {'; '.join(differing)}. "
                "Repeat it with its own settings to continue it, or give another folder."
            )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield f"{name} was {json.dumps(before)}, is now {json.dumps(now)}"
