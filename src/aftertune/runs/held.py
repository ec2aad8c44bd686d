"""What a run holds, read once: the readings of each model, however many pairs they are compared in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from aftertune.runs.roles import display_names
from aftertune.runs.run import RunFolder

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Held:
    """A run folder with the names of its models, and a memory of what was read of it."""

    run: RunFolder
    _read: dict[Any, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> dict[str, str]:
        """The name that the report shows, by role, in the order of the roles."""
        return display_names(self.run)

    def once(self, key: Any, read: Callable[[], T]) -> T:
        """What ``read()`` gives, called the first time only that something of this ``key`` is asked for."""
        if key not in self._read:
            self._read[key] = read()
        found: T = self._read[key]
        return found
