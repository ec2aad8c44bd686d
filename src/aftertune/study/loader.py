"""Which checkpoints are in memory?  One at a time, two where they are small."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aftertune.models.subject import Subject
from aftertune.runs.roles import Pair
from aftertune.study.study import Study

if TYPE_CHECKING:
    from aftertune.models.loaded import Checkpoint


class Loader:
    """Loads the checkpoint of a role; it stays until another is asked for, and beside that where two are small."""

    def __init__(self, load: Callable[[str], "Checkpoint"]) -> None:
        self._load = load
        self._held: dict[str, Checkpoint] = {}  # in the order in which they were asked for

    def __call__(self, role: str) -> "Checkpoint":
        """The checkpoint of a role, loaded unless it is held."""
        if role not in self._held:
            self._make_room()
            self._held[role] = self._load(role)
        self._held[role] = self._held.pop(role)
        return self._held[role]

    def _make_room(self) -> None:
        """Let go of all but the last, and of that too unless a second of its size fits many times into free memory."""
        from aftertune.models.machine import is_small

        held = list(self._held)
        kept = held[-1:] if held and is_small(self._held[held[-1]].model) else []
        self._held = {role: self._held[role] for role in kept}

    def both(self, pair: Pair) -> tuple["Checkpoint", "Checkpoint"]:
        """The checkpoints of a pair, loaded beside each other; the one that is held is not loaded again.

        Where the embeddings of only one are one tensor they are parted, so that both have the same weights.
        """
        from aftertune.models.adapters.tying import is_tied, untie

        first, second = sorted(pair, key=lambda role: role not in self._held)
        found = {first: self(first)}
        found[second] = self(second)
        base, tuned = (found[role] for role in pair)
        if is_tied(base.model) != is_tied(tuned.model):
            untie(base.model)
            untie(tuned.model)
        return base, tuned


def load_subject(study: Study, subject: Subject) -> "Checkpoint":
    """Load a checkpoint as the study says."""
    from aftertune.models import load

    given = (subject.ref, subject.adapter, study.device, study.dtype, subject.revision)
    how: dict[str, Any] = {"trust_remote_code": study.trust_remote_code, "architecture": study.architecture}
    return load(*given, tokenizer=study.tokenizer, **how)
