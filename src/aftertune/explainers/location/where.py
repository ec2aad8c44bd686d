"""Which few layers bring most of the change, in one phrase with its share and that of noise?

1. The stretch that was swapped as one, with weight noise of the same size in the same place.
2. Where there is none: all layers up to one, or from one, that bring half by the cumulative swaps.
3. Where those are none: the module of the largest share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aftertune.explainers.location.rows import Claim, CumulativeRow, ModuleRow
from aftertune.explainers.location.stretch import BOTH, shortest_range
from aftertune.statistics.spread import Interval

LEAST_WHOLE = 0.01  # smaller shares are told with a decimal


@dataclass(frozen=True)
class Where:
    """A part of the tuned model, and the share of the change that it brings when it is put into the base.

    ``name`` is its name in a sentence, ``module`` and ``layers`` ("24 to 29") say the same as data, ``n_layers`` are
    all layers of the model. ``noise`` is the share that weight noise of the same size brings in the same place; both
    have 95 % bootstrap intervals over prompts. ``is_beyond_noise`` is that of its `ModuleRow`. What was not measured is
    None.
    """

    name: str
    module: str
    layers: str
    n_layers: int
    brings: float
    brings_interval: Interval | None = None
    noise: float | None = None
    noise_interval: Interval | None = None
    is_beyond_noise: bool | None = None

    @property
    def text(self) -> str:
        """All of it as a clause: "52% [40, 59] of the change comes with the layers 0 to 7 of 30 (...)"."""
        beside = ""
        if self.noise is not None:
            beside = f" (weight noise of the same size: {percent(self.noise, self.noise_interval)})"
        return f"{percent(self.brings, self.brings_interval)} of the change comes with {self.name}{beside}"


def find_where(modules: Sequence[ModuleRow], cumulative: Sequence[CumulativeRow], claim: Claim | None) -> Where | None:
    """The part that is told of a change; None where no share is defined."""
    n_layers = len(cumulative)
    if claim is not None and claim.stretch.brings is not None:
        return _of_rows(claim.name, claim.stretch, claim.noise, n_layers)
    found = _cumulative(cumulative)
    if found is not None:
        return found
    swapped = [row for row in modules if row.swapped == "module" and row.brings is not None and row.relative_change]
    if not swapped:
        return None
    most = max(swapped, key=lambda row: row.brings or 0.0)
    controls = [row for row in modules if row.is_control and (row.layers, row.module) == (most.layers, most.module)]
    return _of_rows(f"the {most.text}", most, next(iter(controls), None), n_layers)


def percent(share: float | None, interval: Interval | None) -> str:
    """A share with its interval in per cent: "52% [40, 59]", and "0.2% [0.1, 0.3]" below 1%."""
    if share is None:
        return "a share that is not defined"
    digits = 0 if abs(share) >= LEAST_WHOLE else 1
    between = f" [{per_cent(interval[0], digits)}, {per_cent(interval[1], digits)}]" if interval else ""
    return f"{per_cent(share, digits)}%{between}"


def per_cent(share: float, digits: int = 0) -> str:
    """A share as a number of per cent, never minus zero."""
    return f"{round(100 * share, digits) + 0.0:.{digits}f}"


def _of_rows(name: str, row: ModuleRow, noise: ModuleRow | None, n_layers: int) -> Where:
    return Where(
        name=f"{name} of {n_layers}" if row.layers else name,
        module=row.module,
        layers=row.layers,
        n_layers=n_layers,
        brings=row.brings or 0.0,
        brings_interval=row.brings_interval,
        noise=noise.brings if noise else None,
        noise_interval=noise.brings_interval if noise else None,
        is_beyond_noise=row.is_beyond_noise,
    )


def _cumulative(rows: Sequence[CumulativeRow]) -> Where | None:
    """The shortest range of layers with half of the change by cumulative swaps, all else of these layers included."""
    found = shortest_range([row.up_to or 0.0 for row in rows], [row.onward or 0.0 for row in rows])
    if found is None or found.first is None or found.last is None:
        return None
    layers, n_layers = f"{found.first} to {found.last}", len(rows)
    if found.first == 0:
        row = rows[found.last]
        name, share, interval = f"everything up to layer {row.layer} of {n_layers}", row.up_to, row.up_to_interval
    else:
        row = rows[found.first]
        name, share, interval = f"everything from layer {row.layer} of {n_layers} on", row.onward, row.onward_interval
    return Where(name, BOTH, layers, n_layers, share or 0.0, interval)
