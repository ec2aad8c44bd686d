"""A number that says how much changed between two models, to be set beside the same number of other pairs."""

from dataclasses import dataclass

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
