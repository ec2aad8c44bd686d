"""What is swapped, and what each swap says of every text: the rows of a part."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from torch import Tensor

from aftertune.explainers.location import result
from aftertune.explainers.location.bench import Bench, Outcome, noise_like
from aftertune.explainers.location.modules import Place, Slot
from aftertune.explainers.location.result import EMBEDDINGS, HEAD, Module
from aftertune.explainers.location.stretch import HALF, Stretch, chosen_stretch
from aftertune.models.mapped.computing import in_full
from aftertune.models.mapped.files import spilled
from aftertune.models.mapped.memory import is_mapped

SEED = 0
TRIES = 4  # of stretches that are swapped as one


@dataclass(frozen=True, eq=False)
class Swaps:
    """The swaps between two models of ``n_layers`` layers; ``prompts`` (n_texts,) name the texts.

    ``whole`` is the log-ratio of the whole change, summed over texts.
    """

    bench: Bench
    places: Sequence[Place]
    n_layers: int
    prompts: Sequence[str]
    whole: float

    def both_ways(self, modules: Sequence[Module], noise: Mapping[str, Tensor] | None = None) -> pl.DataFrame:
        """Modules of the tuned model put into the base, and those of the base into the tuned model.

        With ``noise`` (by the names of weights) the modules keep their own weights, and it is added to them.
        """
        changed = self._changed(modules)
        into_base, into_tuned = dict[Slot, Tensor](), dict[Slot, Tensor]()
        for place in changed:
            base, tuned = place.base[0].weight, place.tuned[0].weight
            if noise is not None:
                base, tuned = (_added(one, noise[place.name]) for one in (place.tuned[0], place.base[0]))
            into_base |= dict.fromkeys(place.base, tuned)
            into_tuned |= dict.fromkeys(place.tuned, base)
        start = min((self._start(one) for one in modules), default=0)
        return self._frame(self.bench.base_with(into_base, start), self.bench.tuned_with(into_tuned, start))

    def cumulative(self, layer: int) -> pl.DataFrame:
        """The base with all of the tuned model up to a layer, and with all of it from that layer on."""
        bench = self.bench
        up_to = bench.outcome(bench.base, bench.tuned_layers, layer + 1)
        rest = bench.outcome(bench.tuned, bench.base_layers, layer) if layer else bench.tuned_with(self._read_by_base())
        frames = [
            pl.DataFrame({"prompt": self.prompts, "direction": direction, **_columns(one)})
            for direction, one in ((result.UP_TO, up_to), (result.FROM, rest))
        ]
        return pl.concat(frames).select(*result.CUMULATIVE).cast(pl.Schema(result.CUMULATIVE))

    def together(self, shares: Mapping[Module, float], shortest: Stretch | None = None) -> pl.DataFrame:
        """The stretch that brings half of the change, and weight noise there and in the module of the largest share.

        ``shares`` are those that single modules bring, ``shortest`` the fewest layers by cumulative shares.
        """
        found = list[pl.DataFrame]()
        for stretch, swap in self._halves(shares, shortest):
            found.append(self._named(result.STRETCH, stretch, swap))
            found.append(self._named(result.STRETCH_NOISE, stretch, self._noise(stretch.modules)))
        if shares:
            most = max(shares, key=lambda one: shares[one])
            alone = Stretch(most.kind, most.layer, most.layer)
            found.append(self._named(result.MODULE_NOISE, alone, self._noise([most])))
        return pl.concat(found) if found else pl.DataFrame(schema=result.TOGETHER)

    def _halves(
        self, shares: Mapping[Module, float], shortest: Stretch | None = None
    ) -> list[tuple[Stretch, pl.DataFrame]]:
        """The stretch that brings half when it is swapped as one, with its swap; the nearest of a few tries.

        ``shortest`` is tried as well where it is shorter, or nothing else brings half.
        """
        found = self._tried(shares)
        brought = max((self._brought(swap) for _, swap in found), default=0.0)
        if shortest is None or (brought >= HALF and len(shortest.modules) >= len(found[0][0].modules)):
            return found
        swap = self.both_ways(shortest.modules)
        return [(shortest, swap)] if self._brought(swap) >= min(brought, HALF) else found

    def _brought(self, swap: pl.DataFrame) -> float:
        found = float(swap["in_log_ratio"].to_numpy().sum() / self.whole)
        return found if math.isfinite(found) else 0.0

    def _tried(self, shares: Mapping[Module, float]) -> list[tuple[Stretch, pl.DataFrame]]:
        """Stretches by the sum of their single shares, widened until one brings half; the last one."""
        found, wanted = list[tuple[Stretch, pl.DataFrame]](), HALF
        for _ in range(TRIES):
            stretch = chosen_stretch(shares, self.n_layers, wanted)
            if stretch is None:
                break
            found = [(stretch, self.both_ways(stretch.modules))]
            brought = self._brought(found[0][1])
            if brought >= HALF or brought <= 0:
                break
            wanted = sum(shares.get(one, 0.0) for one in stretch.modules) * HALF / brought
        return found

    def _noise(self, modules: Sequence[Module]) -> pl.DataFrame:
        return self.both_ways(modules, noise_like(self._changed(modules), SEED))

    def _changed(self, modules: Sequence[Module]) -> list[Place]:
        return [one for one in self.places if one.module in modules and not one.is_equal]

    def _start(self, module: Module) -> int:
        """The first layer whose output depends on a module."""
        if module.layer is not None:
            return module.layer
        return self.n_layers if module.kind == HEAD else 0

    def _read_by_base(self) -> dict[Slot, Tensor]:
        """The base's input embeddings in the tuned model, whose output head stays its own even where they are tied."""
        return {one.tuned[0]: one.base[0].weight for one in self.places if one.module.kind == EMBEDDINGS}

    def _frame(self, into_base: Outcome, into_tuned: Outcome) -> pl.DataFrame:
        ways = {"in": into_base, "out": into_tuned}
        named = {f"{way}_{name}": each for way, one in ways.items() for name, each in _columns(one).items()}
        return pl.DataFrame({"prompt": self.prompts, **named}, schema=pl.Schema(result.SWAP))

    def _named(self, what: str, stretch: Stretch, frame: pl.DataFrame) -> pl.DataFrame:
        about = {"what": what, "module": stretch.kind, "first": stretch.first, "last": stretch.last}
        named = frame.with_columns(**{name: pl.lit(value) for name, value in about.items()})
        return named.select(*result.TOGETHER).cast(pl.Schema(result.TOGETHER))


def _columns(outcome: Outcome) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in result.OUTCOME}


def _added(slot: Slot, noise: Tensor) -> Tensor:
    """A weight with noise on the rows that noise was drawn for."""
    found = in_full(slot.owner, slot.weight).clone()
    part = found[: len(noise)] if noise.ndim else found
    part += noise.to(found.device, found.dtype)
    return spilled(found) if is_mapped(slot.weight) else found  # of a long stretch they are many
