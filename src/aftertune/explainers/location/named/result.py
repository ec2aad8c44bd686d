"""What the swaps of what is named wrote into a run, and how it is read back.

Of one pair of models:
- ``location-named-BASE-TUNED.json``: what was swapped, in the order in which it was named; written last.
- ``location/named``: a part for each, a row for each prompt of the swap, then of each draw of noise.
- ``location/contexts``: a part for each direction, a row for each token that drives it most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import polars as pl
from typing_extensions import TypedDict

from aftertune.explainers.location.result import IN_OUT
from aftertune.explainers.named import Named
from aftertune.runs.records import record_of
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

HEAD, GROUP, DIRECTION = "head", "group", "direction"
Kind = Literal["head", "group", "direction"]
SWAP, NOISE = "swap", "noise"
STEP, N_DRAWS = "named", 2  # of progress; of noise

NAMED: Mapping[str, Any] = {"what": pl.String, "draw": pl.Int32, "prompt": pl.String, **IN_OUT}
CONTEXTS: Mapping[str, Any] = {
    **{"prompt": pl.String, "position": pl.Int32, "before": pl.String, "token": pl.String, "after": pl.String},
    "strength": pl.Float64,
}


@dataclass(frozen=True)
class Unit:
    """What is swapped as one: a head, the ``group`` of heads that share keys and values, or a direction.

    ``number`` is that of the head or the first head of the group, counted from 0, or the rank of the direction;
    ``last`` that of the last head of a group. ``words`` are those of who named it, none of a group.
    """

    kind: Kind
    layer: int
    module: str
    number: int
    last: int
    sign: int
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in a run."""
        if self.kind == DIRECTION:
            side = "plus" if self.sign > 0 else "minus"
            return f"layer-{self.layer:03d}-{self.module}-direction-{self.number}-{side}"
        heads = f"{self.number:03d}" if self.kind == HEAD else f"{self.number:03d}-{self.last:03d}"
        return f"layer-{self.layer:03d}-{self.kind}-{heads}"


def units(named: Sequence[Named], most: int, n_sharing: int) -> list[Unit]:
    """The first heads that are named, at most so many, the groups of these heads, and the first directions.

    ``n_sharing`` heads share keys and values; where none do, a head's own are swapped with it and there are no groups.
    """
    heads, directions = (
        [
            Unit(kind, one.layer, one.module, one.number, one.number, one.sign, one.words)
            for one in [one for one in named if one.kind == kind][:most]
        ]
        for kind in ("head", "direction")
    )
    groups = [_group(one, n_sharing) for one in heads] if n_sharing > 1 else []
    return [*heads, *dict.fromkeys(groups), *directions]


def _group(head: Unit, n_sharing: int) -> Unit:
    first = head.number // n_sharing * n_sharing
    return replace(head, kind="group", number=first, last=first + n_sharing - 1, words=())


def named_part(run: RunFolder, pair: Pair, unit: Unit) -> tuple[str, str, str]:
    """Where the swap of a unit lies."""
    return run.part("location/named", "-".join(pair), unit.key)


def contexts_part(run: RunFolder, pair: Pair, unit: Unit) -> tuple[str, str, str]:
    """Where the texts lie that drive a direction."""
    return run.part("location/contexts", "-".join(pair), unit.key)


def keep_units(run: RunFolder, pair: Pair, found: Sequence[Unit], n_sharing: int) -> None:
    """Keep what was swapped, when all of it lies in the run."""
    run.remember(_record(pair), {"units": [asdict(one) for one in found], "n_sharing": n_sharing})


class Kept(TypedDict):
    """What a run keeps of what was swapped."""

    units: list[Unit]
    n_sharing: int


def kept_units(run: RunFolder, pair: Pair) -> tuple[list[Unit], int] | None:
    """What was swapped, and how many heads share keys and values; None where nothing was tried."""
    if not run.exists(_record(pair)):
        return None
    record = record_of(run, _record(pair), Kept)
    return record["units"], record["n_sharing"]


def _record(pair: Pair) -> str:
    return f"location-named-{'-'.join(pair)}.json"


Frames = tuple[pl.DataFrame, pl.DataFrame | None]
SwappedUnits = Mapping[Unit, Frames]


def read_named(run: RunFolder, pair: Pair) -> SwappedUnits | None:
    """Each unit that was swapped with its swaps and, of a direction, the texts that drive it.

    None where nothing was tried.

    Raises `RunError` if a part is missing or damaged.
    """
    kept = kept_units(run, pair)
    if kept is None:
        return None
    found = dict[Unit, Frames]()
    for one in kept[0]:
        contexts = run.read_frame(contexts_part(run, pair, one)) if one.kind == DIRECTION else None
        found[one] = run.read_frame(named_part(run, pair, one)), contexts
    return found
