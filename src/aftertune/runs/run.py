"""The run folder: settings in ``run.json``, one Parquet part for each unit of work.

A unit is done when its part exists; that one rule gives resume, crash safety and several workers at once, of whom each
asks which units are its own (`RunFolder.missing`). A folder belongs to one set of settings and weights: a run with
others refuses to continue in it. Who comes first has the folder; each part says what it was made with (`seal`), and is
held against that when it is read. What is damaged does not count as there while a run is measured: it is made again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from aftertune.errors import RunError
from aftertune.runs.address import must_be_usable
from aftertune.runs.disk import at_home, must_be_there
from aftertune.runs.identity import differences, is_told, plain, read_told, text_of
from aftertune.runs.parts import (
    damage_of,
    is_partial,
    is_there,
    make_run_folder,
    must_be_writable,
    read_frame,
    read_row,
    remove_strays,
    write_first,
    write_frame,
    write_row,
    write_text,
)
from aftertune.runs.seal import Place, digest
from aftertune.runs.turns import AllMine, Part, Parts, Size, Tell, Turns, U, Units, alike, nobody

if TYPE_CHECKING:
    import polars as pl

LONGEST_NAME = 120
LAYOUT = 3  # of the files in a run folder; runs of another layout are refused
INDENT = 2
BEGUN = ""  # among what is known of a run: that it has begun, and is the one that was asked for


@dataclass(frozen=True)
class RunFolder:
    """A folder at any fsspec address that keeps one run.

    ``beginning`` is the text of its ``run.json`` where that is not written yet: a run begins with the first file that
    is written into its folder, so that one which fails before leaves nothing behind. ``_known`` are the identities that
    were read, which never change, and ``_whole`` the files that were found without damage. ``turns`` say which units
    are those of this process, by default all.
    """

    address: str
    beginning: str | None = None
    turns: Turns = field(default_factory=AllMine, repr=False, compare=False)
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _whole: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def start(cls, address: str | Path, identity: Mapping[str, Any], record: Mapping[str, Any]) -> "RunFolder":
        """Begin a run, or go on with the one that lies there; see `claim`.

        Raises `RunError` if the folder holds a run of another identity, or something else, or can't be written.
        """
        must_be_usable(address, writing=True)
        run = cls(str(address).rstrip("/"), text_of(identity, dict(record) | {"layout": LAYOUT}, INDENT))
        must_be_writable(run.path("run.json"))
        if run.exists("run.json"):
            run._must_be_ours()
        elif run._is_occupied() and not is_there(run.path("run.json")):  # in this order: another may begin it now
            raise RunError(f"{address} is not empty and holds no run. Give a new folder, or that of an earlier run.")
        remove_strays(run.address)  # only now: all of a folder is looked through, which may be anybody's
        return run

    def claim(self, name: str, identity: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Keep ``identity`` and ``record`` as a JSON file, or find it there already, put there by whoever came first.

        ``identity`` is what must be the same to go on (settings, fingerprints); ``record`` is only kept (versions,
        names). Raises `RunError` naming what differs if the file holds another identity.
        """
        if not self.exists(name):
            with self.home():
                self._put(name, text_of(identity, record, INDENT))
        self._must_agree(name, identity)

    def remember(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep ``record`` as a JSON file in place of one that is there: what may change from call to call."""
        with self.home():
            write_text(self.path(name), text_of({}, record))

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
        """Whether a file or part of that name is there; while the run is measured, whether it is there undamaged."""
        path = self.path(*names)
        return is_there(path) and (self.beginning is None or self._is_whole(path))

    def is_damaged(self, *names: str) -> bool:
        """Whether a file or part is there, but damaged."""
        return is_there(self.path(*names)) and not self._is_whole(self.path(*names))

    def names(self) -> list[str]:
        """The names of what lies in the folder itself; none where there is no folder."""
        system, path = fsspec.core.url_to_fs(self.address)
        found = system.ls(path, detail=False) if is_there(self.address) else []
        return [place.rstrip("/").rsplit("/", 1)[-1] for place in found]

    def read_json(self, name: str) -> dict[str, Any]:
        """A file that `claim` wrote: ``identity`` and ``record``; raises `RunError` if it is missing or damaged."""
        try:
            return read_told(self.path(name))
        except FileNotFoundError:
            must_be_there(self.address)
            raise RunError(f"There is no {name} in {self.address}. Let the run come to its end first.") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path(name)} is damaged: {error}. {self._remedy()}") from error

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

    def missing(
        self, units: Sequence[U], parts: Parts[U], tell: Tell = nobody, size: Size[U] = alike, *, wait: bool = True
    ) -> Iterator[U]:
        """The units of work of which one of their ``parts`` is not there and that this process is to do, in turn.

        ``tell(done, total)`` is called before each unit, in the units' ``size``, and at the end. Where several workers
        share the run, each gets other units; with ``wait`` the loop ends only where all units are there: otherwise the
        work is left, to be begun again later (`OthersBusyError`).
        """
        return self.turns.missing(Units(self, units, parts, size, tell, wait))

    def trust(self, parts: Iterable[Part]) -> None:
        """Take it from another process that parts are there, without damage."""
        self._whole.update(self.path(*part) for part in parts)

    def has_written(self, parts: Iterable[Part]) -> bool:
        """Whether these parts were written by this process, or found without damage."""
        return all(self.path(*part) in self._whole for part in parts)

    def write(self, part: tuple[str, str, str], row: Mapping[str, Any]) -> None:
        """Write a unit's part whole; raises `RunError` if that fails."""
        with self.home():
            write_row(self.path(*part), row, self.place(part))
        self._whole.add(self.path(*part))

    def write_frame(self, part: tuple[str, str, str], frame: "pl.DataFrame") -> None:
        """Write a data frame as a unit's part, whole; raises `RunError` if that fails."""
        with self.home():
            write_frame(self.path(*part), frame, self.place(part))
        self._whole.add(self.path(*part))

    def read_frame(self, part: tuple[str, str, str]) -> "pl.DataFrame":
        """Read a unit's part that is a data frame; raises `RunError` if it is missing, damaged, or another part."""
        place = self.place(part)
        with self._telling():
            return read_frame(self.path(*part), place)

    def read(self, part: tuple[str, str, str]) -> dict[str, Any]:
        """Read a unit's part; raises `RunError` if it is missing, damaged, or another part."""
        place = self.place(part)
        with self._telling():
            return read_row(self.path(*part), place)

    def place(self, part: tuple[str, str, str], settings: Mapping[str, Any] | None = None) -> Place:
        """What the seal of a part says: where it lies, and a digest of the identities that it depends on.

        These are the run's, those of the roles that it is named after ("base-tuned"), and that of its explainer, after
        which its folder is named, perhaps with a word before or behind ("noise-heads"). ``settings`` stand in for that.
        Where one of them is lost, and will be made again, the digest is empty: nothing is held against it.
        """
        (kind, model, file), begun = part, self._identity("run.json")
        run = json.loads(self.beginning or "{}").get("identity", {}) if begun is None else begun
        roles = [role for role in run if role in model or file == f"{role}.parquet"]
        own = self._settings_of(kind.partition("/")[0]) if settings is None else dict(settings)
        told = [run, own, *(self._identity(f"{role}.json") for role in roles)]
        return Place("/".join(part), "" if None in told else digest(told))

    @contextmanager
    def home(self) -> Iterator[None]:
        """Begin the run if it has not begun, and write into its folder; raises `RunError` if that was moved away."""
        if self.beginning is not None and BEGUN not in self._known:
            if not self.exists("run.json"):
                make_run_folder(self.address)
                self._put("run.json", self.beginning)
            self._must_be_ours()
        with at_home(self.address):
            yield

    def must_be_there(self) -> None:
        """Raise `RunError` if the folder was moved away or deleted since the run began."""
        must_be_there(self.address)

    def _put(self, name: str, text: str) -> None:
        """Write a file that is not there, or is damaged; of several who do so at once, one text stays."""
        (write_text if self.is_damaged(name) else write_first)(self.path(name), text)

    def _is_whole(self, path: str) -> bool:
        """Whether a file that is there can be used; each is looked at once."""
        if path not in self._whole and path.endswith((".json", ".parquet")):
            if not (is_told(path) if path.endswith(".json") else damage_of(path) is None):
                return False
            self._whole.add(path)
        return True

    def _identity(self, name: str) -> Any:
        """The identity that a file of the run holds; None where there is none, or only damage that will be mended."""
        if name not in self._known and self.exists(name):
            self._known[name] = self.read_json(name)["identity"]
        return self._known.get(name)

    def _settings_of(self, folder: str) -> Any:
        """The settings of the explainer after which a folder of parts is named; empty where it keeps none."""
        words = folder.split("-")
        names = [words[:n] for n in range(len(words), 0, -1)] + [words[n:] for n in range(1, len(words))]
        files = [f"{'-'.join(one)}.json" for one in names]
        found: Any = next(filter(None, map(self._identity, files)), {})
        return found or (None if any(map(self.is_damaged, files)) else {})

    def _must_be_ours(self) -> None:
        self._must_have_this_layout()
        self._must_agree("run.json", json.loads(self.beginning or "{}")["identity"])
        self._known[BEGUN] = True

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except RunError as error:
            must_be_there(self.address)
            raise RunError(f"{error} {self._remedy()}") from error

    def _remedy(self) -> str:
        try:
            command = read_told(self.path("made.json"))["record"]["command"]
        except (OSError, ValueError, KeyError):
            return "The command that measured it, given again, makes that file anew."
        return f"The command that measured it, given again, makes that file anew ({command})."

    def _must_agree(self, name: str, identity: Mapping[str, Any]) -> None:
        before, now = self.read_json(name)["identity"], plain(identity)
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
