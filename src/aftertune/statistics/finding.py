"""One thing that a comparison shows, or does not show; and a number that says how much changed.

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


class Part(StrEnum):
    """What a finding is to the verdict on the whole tuning, if anything."""

    NAME = "says what was tuned"
    CHANGE = "says that something changed"
    PLACE = "says where it sits"
    EXAMPLE = "shows an answer"
    TOLD = "is a name that an annotator gave"


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
    to what can be looked at. ``part`` is what it is to the verdict, which then tells ``clause``, a sentence.
    """

    kind: str
    headline: str
    sentence: str
    verdict: Verdict
    evidence: dict[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    part: Part | None = None
    clause: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON data."""
        plain = {"verdict": self.verdict.value, "links": [asdict(link) for link in self.links]}
        return asdict(self) | plain | {"part": self.part.value if self.part else None}


Interval = tuple[float, float]


@dataclass(frozen=True)
class Measure:
    """``value`` with its 95 % ``interval`` and that of a ``control``, each None where it is not defined.

    ``name`` is the same in every comparison; ``title`` heads its column, ``kind`` is that of a table's column.
    ``what`` names what changed by it ("the word pairs of attention heads"), ``phrase`` tells the value in a sentence,
    with ``{value}`` in its place, formatted by Python ("{value:.1%} of the pairs differ"). It is empty where the
    step of the largest value is not to be told.
    """

    name: str
    title: str
    kind: str
    value: float | None
    what: str
    phrase: str
    interval: Interval | None = None
    control: float | None = None
