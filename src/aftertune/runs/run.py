"""The run folder: settings in ``run.json``, one Parquet part for each unit of work.

A unit is done when its part exists; that one rule gives resume, crash safety and several workers at once. A folder
belongs to one set of settings and weights: a run with others refuses to continue in it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from aftertune.errors import RunError, translated
from aftertune.places import read_bytes
from aftertune.runs.address import must_be_usable
from aftertune.runs.parts import (
    is_partial,
    is_there,
    must_be_writable,
    read_frame,
    read_row,
    remove_strays,
    write_frame,
    write_row,
    write_text,
)

if TYPE_CHECKING:
    import polars as pl

LONGEST_NAME = 120
LAYOUT = 2  # of the files in a run folder; runs of another layout are refused
HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RunFolder:
    """A folder at any fsspec address that keeps one run.

    ``beginning`` is the text of its ``run.json`` where that is not written yet: a run begins with the first file that
    is written into its folder, so that one which fails before leaves nothing behind.
    """

    address: str
    beginning: str | None = None

    @classmethod
    def start(cls, address: str | Path, identity: Mapping[str, Any], record: Mapping[str, Any]) -> "RunFolder":
        """Begin a run, or go on with the one that lies there; see `claim`.

        Raises `RunError` if the folder holds a run of another identity, or something else, or can't be written.
        """
        must_be_usable(address, writing=True)
        run = cls(str(address).rstrip("/"), _as_text(identity, dict(record) | {"layout": LAYOUT}))
        must_be_writable(run.path("run.json"))
        if run.exists("run.json"):
            run._must_have_this_layout()
            run._must_agree("run.json", identity)
        elif run._is_occupied():
            raise RunError(f"{address} is not empty and holds no run. Give a new folder, or that of an earlier run.")
        remove_strays(run.address)  # only now: all of a folder is looked through, which may be anybody's
        return run

    def claim(self, name: str, identity: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Keep ``identity`` and ``record`` as a JSON file, or find it there already.

        ``identity`` is what must be the same to go on (settings, fingerprints); ``record`` is only kept (versions,
        names). Raises `RunError` naming what differs if the file holds another identity.
        """
        if self.exists(name):
            self._must_agree(name, identity)
        else:
            self._begin()
            write_text(self.path(name), _as_text(identity, record))

    def remember(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep ``record`` as a JSON file in place of one that is there: what may change from call to call."""
        self._begin()
        write_text(self.path(name), json.dumps({"identity": {}, "record": record}, ensure_ascii=False) + "\n")

    @classmethod
    def open(cls, address: str | Path) -> "RunFolder":
        """An existing run; raises `RunError` if there is none, or it is of another version."""
        must_be_usable(address)
        run = cls(str(address).rstrip("/"))
        if not run.exists("run.json"):
            raise RunError(f"There is no run at {address} (no run.json). Give the folder of an earlier run.")
        run._must_have_this_layout()
        return run

    def path(self, *names: str) -> str:
        """The address of a file in the folder."""
        return "/".join((self.address, *names))

    def exists(self, *names: str) -> bool:
        """Whether a file or part of that name is there."""
        return is_there(self.path(*names))

    def names(self) -> list[str]:
        """The names of what lies in the folder itself; none where there is no folder."""
        system, path = fsspec.core.url_to_fs(self.address)
        found = system.ls(path, detail=False) if is_there(self.address) else []
        return [place.rstrip("/").rsplit("/", 1)[-1] for place in found]

    def read_json(self, name: str) -> dict[str, Any]:
        """A file that `claim` wrote: ``identity`` and ``record``; raises `RunError` if it is missing or damaged."""
        if not self.exists(name):
            raise RunError(f"There is no {name} in {self.address}. Let the run come to its end first.")
        with translated(RunError, f"{self.path(name)} is damaged", "Start again in a new folder."):
            found = json.loads(read_bytes(self.path(name), RunError))
            halves = {half: found[half] for half in ("identity", "record")}
            if not all(isinstance(one, dict) for one in halves.values()):
                raise ValueError("identity and record must be objects")
            return halves

    @contextmanager
    def local(self) -> Iterator[Path]:
        """A local folder whose files end up here: this folder itself, or one that is copied to a remote address."""
        system, path = fsspec.core.url_to_fs(self.address)
        if isinstance(system, LocalFileSystem):
            yield Path(path)
            return
        with TemporaryDirectory() as folder:
            yield Path(folder)
            system.put(f"{folder}/", f"{path}/", recursive=True)

    def part(self, kind: str, model: str, id: str) -> tuple[str, str, str]:
        """The names (folder, folder, file) of one unit's part."""
        name = quote(id, safe=" ")
        if len(name) > LONGEST_NAME or name.startswith("."):
            name = f"{name[:LONGEST_NAME].strip('.')}-{hashlib.sha256(id.encode()).hexdigest()[:12]}"
        return kind, model, f"{name}.parquet"

    def write(self, part: tuple[str, str, str], row: Mapping[str, Any]) -> None:
        """Write a unit's part whole; raises `RunError` if that fails."""
        self._begin()
        write_row(self.path(*part), row)

    def write_frame(self, part: tuple[str, str, str], frame: "pl.DataFrame") -> None:
        """Write a data frame as a unit's part, whole; raises `RunError` if that fails."""
        self._begin()
        write_frame(self.path(*part), frame)

    def read_frame(self, part: tuple[str, str, str]) -> "pl.DataFrame":
        """Read a unit's part that is a data frame; raises `RunError` if it is missing or damaged."""
        with _remedy():
            return read_frame(self.path(*part))

    def read(self, part: tuple[str, str, str]) -> dict[str, Any]:
        """Read a unit's part; raises `RunError` if it is missing or damaged."""
        with _remedy():
            return read_row(self.path(*part))

    def _begin(self) -> None:
        if self.beginning is not None and not self.exists("run.json"):
            write_text(self.path("run.json"), self.beginning)

    def _must_agree(self, name: str, identity: Mapping[str, Any]) -> None:
        before, now = self.read_json(name)["identity"], json.loads(json.dumps(identity))
        differing = list(differences(before, now, "" if name == "run.json" else name.removesuffix(".json")))
        if differing:
            raise RunError(
                f"{self.address} holds a run with other settings: {'; '.join(differing)}. "
                "Repeat it with its own settings to continue it, or give another folder."
            )

    def _must_have_this_layout(self) -> None:
        layout = self.read_json("run.json")["record"].get("layout", 1)
        if not isinstance(layout, int):
            raise RunError(f"{self.path('run.json')} is damaged: record.layout is {layout!r:.60}. Give another folder.")
        if layout != LAYOUT:
            other, mend = ("a newer", "Update Aftertune") if layout > LAYOUT else ("an earlier", "Measure it again")
            raise RunError(
                f"{self.address} holds a run of {other} version of Aftertune, which this one can't read. {mend}, or "
                "give another folder."
            )

    def _is_occupied(self) -> bool:
        return any(not is_partial(self.path(name)) for name in self.names())


@contextmanager
def _remedy() -> Iterator[None]:
    try:
        yield
    except RunError as error:
        raise RunError(f"{error} Delete that file; the same command, given again, makes it anew.") from error


def _as_text(identity: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    return json.dumps({"identity": identity, "record": record}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two identities, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield f"{name} was {_show(before)}, is now {_show(now)}"


def _show(value: Any) -> str:
    if value is None:
        return "not set"
    # The first twelve digits of a fingerprint tell it from any other.
    return HEXADECIMAL.sub(lambda digits: f"{digits[0][:12]}...", json.dumps(value, ensure_ascii=False))
