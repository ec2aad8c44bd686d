"""Were some of the checkpoints stored in fewer bits than others?  Then rounding may look like tuning.

1. Where the weights of a tuned checkpoint and of the base are stored in different ways, it is told before the run.
2. The base (or the tuned, where only the base is rounded) is rounded in the other's way, and how far that moves its
   weights stands in the report, beside how far the checkpoints lie apart.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from aftertune.errors import CheckpointError
from aftertune.models.subject import Subject
from aftertune.runs.records import record_of
from aftertune.runs.roles import BASE
from aftertune.runs.run import RunFolder

if TYPE_CHECKING:
    from aftertune.models.files.rounding import Storage
    from aftertune.models.loaded import Checkpoint

FILE = "rounding.json"
Found = tuple["Rounding", "Storage"]


@dataclass(frozen=True)
class Rounding:
    """``role`` was stored as ``how``, and ``other`` was not; ``share`` of its norm rounding alone moves the other's
    weights (None where that can't be made here, or before it is measured).
    """

    tuned: str
    role: str
    other: str
    how: str
    share: float | None = None

    def announced(self, names: Mapping[str, str]) -> str:
        """What to know of it before it is measured, with the models' ``names`` by role."""
        return f"{names[self.role]} is stored as {self.how}, {names[self.other]} is not: rounding may look like tuning"

    def said(self, names: Mapping[str, str]) -> str:
        """What to know of it, with the models' ``names`` by role."""
        stored = f"{names[self.role]} was stored as {self.how}, {names[self.other]} was not"
        start = f"{stored}: rounding may look like tuning"
        if self.share is None:
            return f"{start}, and how much it does can't be told for this kind. Compare two that are stored alike"
        return (
            f"{start}. To round {names[self.other]} in that way moves its weights by {self.share:.2%} of their norm: "
            "compare that with the size of the change under Location"
        )


class Roundings(TypedDict):
    """What a run keeps."""

    roundings: list[Rounding]


def find_roundings(subjects: Mapping[str, Subject], configs: Mapping[str, Any]) -> list[tuple[Rounding, "Storage"]]:
    """Where a tuned checkpoint and the base are stored in different ways, and how the rounded one of the two is."""
    if len({(str(one.ref), one.revision) for one in subjects.values()}) < 2:
        return []
    stored = {role: _storage(subjects[role], config) for role, config in configs.items()}
    found = []
    for role, own in stored.items():
        base = stored.get(BASE)
        if role == BASE or BASE not in stored or own == base:
            continue
        rounded, other, how = (role, BASE, own) if own is not None else (BASE, role, base)
        if how is not None:
            found.append((Rounding(role, rounded, other, str(how)), how))
    return found


def measure_roundings(found: Collection[Found], load: Callable[[str], "Checkpoint"], run: RunFolder) -> None:
    """Measure how much rounding alone does, and write it into the run."""
    from aftertune.models.files.rounding import rounding_of

    rows = [asdict(one) | {"share": rounding_of(load(one.other), how)} for one, how in found]
    if rows:
        run.remember(FILE, {"roundings": rows})


def saved_roundings(run: RunFolder, roles: Collection[str]) -> list[Rounding]:
    """Those of a run, between these roles."""
    found = record_of(run, FILE, Roundings)["roundings"] if run.exists(FILE) else []
    return [one for one in found if {one.role, one.other} <= set(roles)]


def _storage(subject: Subject, config: Any) -> "Storage | None":
    from aftertune.models.files.rounding import storage_of

    try:
        return storage_of(subject.ref, config, subject.revision)
    except CheckpointError:
        raise
    except Exception:  # a damaged header is told where it is read for the model's size
        return None
