"""What became of the tries of one kind of fault?"""

from dataclasses import dataclass, field

KINDS = ("lost", "doubled", "crashes", "hangs", "false")


@dataclass
class Counts:
    """A line of the table: ``what`` was tried how often, and every try that did not end as it should.

    ``lost``: work or labels that were said to be saved; ``doubled``: units that were made twice, or stand twice;
    ``crashes``: tracebacks, signals and exit codes that are no message; ``hangs``: no end within the stated time;
    ``false``: other numbers than those of an undisturbed run, or a success that is none.
    """

    what: str
    tried: int = 0
    lost: int = 0
    doubled: int = 0
    crashes: int = 0
    hangs: int = 0
    false: int = 0
    told: list[str] = field(default_factory=list)

    def fail(self, kind: str, told: str) -> None:
        """Count one failure of a kind of `KINDS`, and keep in one line what happened."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.told.append(f"{self.what}, {kind}: {told}")

    @property
    def failures(self) -> int:
        """How many tries did not end as they should."""
        return sum(getattr(self, kind) for kind in KINDS)
