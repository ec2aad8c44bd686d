"""One thing that a comparison shows, or does not show.

Code chooses findings by ``kind`` and ``verdict``, never by their words.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What became of a question: a difference is shown or not, nothing was tested, or a test was not possible."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    NOT_TESTED = "not tested"
    CANNOT_TELL = "cannot tell"

    @classmethod
    def of(cls, is_shown: bool | None) -> "Verdict":
        """The verdict of a claim that was tested (`is_shown` of its corrected p-value); None was not possible."""
        return cls.CANNOT_TELL if is_shown is None else cls.SHOWN if is_shown else cls.NOT_SHOWN


@dataclass(frozen=True)
class Link:
    """A place in the report: its ``text``, and the ``address`` that opens it ("prompt-3", "head-24-4")."""

    text: str
    address: str


@dataclass(frozen=True)
class Finding:
    """One answer in words and numbers.

    ``kind`` says which question it answers ("attribution.density"), the same in every comparison; ``headline`` is the
    answer in a line, ``sentence`` the answer with its numbers. ``evidence`` holds the numbers by name, ``links`` lead
    to what can be looked at.
    """

    kind: str
    headline: str
    sentence: str
    verdict: Verdict
    evidence: dict[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON data."""
        return asdict(self) | {"verdict": self.verdict.value, "links": [asdict(link) for link in self.links]}
