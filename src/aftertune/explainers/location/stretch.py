"""Which neighbouring layers bring at least half of the change, as few modules as possible?

1. Candidates are one module alone (embeddings, norms, output head), and neighbouring layers: their attention, their
   feed-forward networks, or both.
2. Of those whose single shares add up to half or more, the one of fewest modules, then of the largest sum. It is a
   proposal: the stretch is then swapped as one, and that share is told.
3. Where that is less than half, since shares need not add up, a larger sum is asked for in proportion, a few times.
4. All layers up to one, or from one, whose cumulative share is half or more, are a proposal as well (`shortest_range`):
   they show what single shares hide where layers work together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aftertune.explainers.location.result import ATTENTION, FEED_FORWARD, Module

HALF = 0.5
BOTH = "layers"


@dataclass(frozen=True)
class Stretch:
    """``kind`` of the layers ``first`` to ``last``, both None outside the layers; the kind "layers" is both."""

    kind: str
    first: int | None
    last: int | None

    @property
    def modules(self) -> tuple[Module, ...]:
        """What it consists of."""
        if self.first is None or self.last is None:
            return (Module(None, self.kind),)
        kinds = (ATTENTION, FEED_FORWARD) if self.kind == BOTH else (self.kind,)
        return tuple(Module(layer, kind) for layer in range(self.first, self.last + 1) for kind in kinds)

    @property
    def text(self) -> str:
        """Its name in a sentence: "the feed-forward layers 24 to 29"."""
        if self.first is None:
            return f"the {self.kind}"
        kind = "" if self.kind == BOTH else f"{self.kind} "
        if self.first == self.last:
            return f"layer {self.first}" if not kind else f"the {self.kind} of layer {self.first}"
        return f"the {kind}layers {self.first} to {self.last}"


def chosen_stretch(shares: Mapping[Module, float], n_layers: int, wanted: float = HALF) -> Stretch | None:
    """The stretch that is proposed; None where the shares of no neighbours add up to ``wanted``.

    ``shares`` are those of the modules that were swapped; others count as nothing.
    """
    found = [(one, sum(shares.get(module, 0.0) for module in one.modules)) for one in _candidates(shares, n_layers)]
    enough = [(one, share) for one, share in found if share >= wanted]
    return min(enough, key=lambda each: (len(each[0].modules), -each[1]))[0] if enough else None


def shortest_range(up_to: Sequence[float], onward: Sequence[float], kind: str = BOTH) -> Stretch | None:
    """All layers up to one, or from one, that bring half of the change with the fewest layers.

    ``up_to`` and ``onward`` (n_layers,) are cumulative shares, both with the layer itself, ``kind`` is what changed in
    the layers. None where only all layers together bring half.
    """
    last = len(up_to) - 1
    few = [(Stretch(kind, 0, layer), layer + 1, share) for layer, share in enumerate(up_to[:-1])]
    few += [(Stretch(kind, layer, last), last - layer + 1, share) for layer, share in enumerate(onward) if layer]
    enough = [each for each in few if each[2] >= HALF]
    return min(enough, key=lambda each: (each[1], -each[2]))[0] if enough else None


def _candidates(shares: Mapping[Module, float], n_layers: int) -> Iterator[Stretch]:
    for module in shares:
        if module.layer is None:
            yield Stretch(module.kind, None, None)
    for kind in (ATTENTION, FEED_FORWARD, BOTH):
        for first in range(n_layers):
            for last in range(first, n_layers):
                yield Stretch(kind, first, last)
