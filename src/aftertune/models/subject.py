"""One of the models that are compared, named by its user and not loaded yet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aftertune.errors import CheckpointError
from aftertune.places import path_of

LONGEST_NAME = 100


@dataclass(frozen=True)
class Subject:
    """A checkpoint as `aftertune.load` takes it, and the ``name`` that the report shows instead of the file's.

    With a ``server`` (the address of one of the OpenAI kind, http://host:8000/v1) it is a model that is served there
    under the name ``ref``; an empty one is the server's only model.
    """

    ref: str | Path
    adapter: str | Path | None = None
    revision: str | None = None
    name: str | None = None
    server: str | None = None

    def __post_init__(self) -> None:
        for place in (self.ref, self.adapter):
            if place is not None and self.server is None:
                path_of(str(place), CheckpointError, "Give a folder, a .gguf file, or a hub id (owner/name).")

    @property
    def label(self) -> str:
        """What a person calls it: its name, or that of its file, folder or hub id, and of its adapter."""
        if self.server is not None and not self.ref:
            return self.name or self.server.partition("://")[2].removesuffix("/").removesuffix("/v1")
        model = place_name(self.ref).removesuffix(".gguf")
        adapter = [] if self.adapter is None else [place_name(self.adapter)]
        return self.name or " + ".join([model, *adapter])

    def identity(self) -> dict[str, str | None]:
        """What must be the same for a run to go on; a local place in full, however it was written."""
        adapter = None if self.adapter is None else _place(self.adapter)
        server = {} if self.server is None else {"server": self.server}
        return {"checkpoint": _place(self.ref), "adapter": adapter, "revision": self.revision} | server


def run_name(subjects: Sequence[Subject]) -> str:
    """A folder's name for a run of these checkpoints, in characters that every file system takes."""
    labels = [re.sub(r"[^\w.-]+", "-", one.label).strip("-.") for one in subjects]
    return "-".join(labels)[:LONGEST_NAME].strip("-.")


def place_name(place: str | Path) -> str:
    """The name of a file, folder or hub id; that of a training's checkpoint with the folder that it lies in."""
    path = Path(str(place)).expanduser().resolve()
    return f"{path.parent.name}/{path.name}" if re.fullmatch(r"checkpoint-\d+", path.name) else path.name


def is_place(ref: str) -> bool:
    """Whether a reference can only be a place here, and no hub id (owner/name)."""
    return ref.startswith((".", "/", "~")) or ref.count("/") > 1


def _place(reference: str | Path) -> str:
    path = Path(reference).expanduser()
    return str(path.resolve() if path.exists() else reference)
