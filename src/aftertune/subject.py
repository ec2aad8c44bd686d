"""One of the checkpoints that are compared, named by its user and not loaded yet."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """A checkpoint as `aftertune.load` takes it, and the ``name`` that the report shows instead of the file's."""

    ref: str | Path
    adapter: str | Path | None = None
    revision: str | None = None
    name: str | None = None

    def identity(self) -> dict[str, str | None]:
        """What must be the same for a run to go on; a local place in full, however it was written."""
        adapter = None if self.adapter is None else _place(self.adapter)
        return {"checkpoint": _place(self.ref), "adapter": adapter, "revision": self.revision}


def _place(reference: str | Path) -> str:
    path = Path(reference).expanduser()
    return str(path.resolve() if path.exists() else reference)
