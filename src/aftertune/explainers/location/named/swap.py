"""One head, one group of heads or one direction of the change is swapped: which weights are put where?

1. A head: its rows of queries and its columns of what attention writes; its rows of keys and values too, unless other
   heads share them. Nothing that another head uses is touched.
2. A group of heads that share keys and values (grouped-query attention): all of these, and the keys and values. Where
   tuning changed those, no head alone shows it.
3. A direction u: the part of the change that writes along it, u u' dW, of the module's last weights.
4. The null, ``N_DRAWS`` draws put into the base: for heads, normal noise in the same slices, each of the norm of its
   change; for a direction, what reads the input as it does and writes as much along a random direction.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from aftertune.explainers.location.bench import Bench, Outcome
from aftertune.explainers.location.modules import Slot
from aftertune.explainers.location.named.result import DIRECTION, GROUP, N_DRAWS, NAMED, NOISE, SWAP, Unit
from aftertune.explainers.location.result import IN_OUT, OUTCOME
from aftertune.models.head_slices import WeightSlice, head_slices
from aftertune.models.loaded import Checkpoint
from aftertune.models.weight_changes import Writer, ranked_direction, writers
from aftertune.models.weights import attention_shape

Weights = dict[Slot, Tensor]


@dataclass(frozen=True, eq=False)
class Exchange:
    """The weights that put a unit of the tuned model into the base, the base's into the tuned one, and noise."""

    into_base: Weights
    into_tuned: Weights
    noise: Callable[[torch.Generator], Weights]


@torch.inference_mode()
def swap_unit(bench: Bench, prompts: Sequence[str], unit: Unit) -> pl.DataFrame:
    """The rows of `NAMED` of a unit: ``prompts`` (n_texts,) swapped both ways, then of each draw of noise in the base.

    Raises `CheckpointError` where the heads of the layer can't be told apart.
    """
    exchange = (of_direction if unit.kind == DIRECTION else of_heads)(bench.base, bench.tuned, unit)
    outcomes = [bench.base_with(exchange.into_base, unit.layer), bench.tuned_with(exchange.into_tuned, unit.layer)]
    frames = [_frame(SWAP, None, prompts, *outcomes)]
    for draw in range(N_DRAWS):
        noise = exchange.noise(_generator(unit, draw))
        frames.append(_frame(NOISE, draw, prompts, bench.base_with(noise, unit.layer)))
    return pl.concat(frames)


def of_heads(base: Checkpoint, tuned: Checkpoint, unit: Unit) -> Exchange:
    """The exchange of one head, or of all heads of a group with their keys and values."""
    n_sharing = attention_shape(base).n_sharing
    heads = range(unit.number, unit.last + 1)
    has_keys = unit.kind == GROUP or n_sharing == 1
    keys = (unit.number // n_sharing,) if has_keys else ()
    own, other = (head_slices(one, unit.layer, heads, keys) for one in (base, tuned))

    def noise(generator: torch.Generator) -> Weights:
        return _replaced(
            (one, one.values + _like(after.values.to(one.weight.device) - one.values, generator))
            for one, after in zip(own, other, strict=True)
        )

    return Exchange(_replaced(_crossed(own, other)), _replaced(_crossed(other, own)), noise)


def of_direction(base: Checkpoint, tuned: Checkpoint, unit: Unit) -> Exchange:
    """The exchange of the part of a module's change that writes along one direction."""
    u = ranked_direction(base, tuned, unit.layer, unit.module, unit.number)
    own, other = (writers(one, unit.layer, unit.module) for one in (base, tuned))
    read = [before.along(after, u) for before, after in zip(own, other, strict=True)]

    def noise(generator: torch.Generator) -> Weights:
        drawn = normalize(torch.randn(len(u), generator=generator, dtype=torch.float64), dim=0)
        return _added(own, drawn, read, 1)

    return Exchange(_added(own, u, read, 1), _added(other, u, read, -1), noise)


def _crossed(own: Sequence[WeightSlice], other: Sequence[WeightSlice]) -> Iterator[tuple[WeightSlice, Tensor]]:
    """The slices of one model with the values of the other."""
    return ((one, after.values) for one, after in zip(own, other, strict=True))


def _replaced(slices: Iterable[tuple[WeightSlice, Tensor]]) -> Weights:
    """Whole weights with other values in slices; several slices may be of one weight."""
    found = dict[tuple[int, str], tuple[Slot, Tensor]]()
    for one, values in slices:
        place = id(one.owner), one.leaf
        _, weight = found.setdefault(place, (Slot(one.owner, one.leaf), one.full.clone()))
        weight.index_copy_(one.dim, one.index.to(weight.device), values.to(weight.device, weight.dtype))
    return dict(found.values())


def _added(places: Sequence[Writer], direction: Tensor, read: Sequence[Tensor], sign: int) -> Weights:
    """Weights with the part added that reads ``read`` and writes it along a direction."""
    return {
        Slot(one.owner, one.leaf): one.full + (sign * one.onto(direction, part)).to(one.full.device, one.full.dtype)
        for one, part in zip(places, read, strict=True)
    }


def _like(change: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise of the norm of a change."""
    drawn = torch.randn(change.shape, generator=generator).to(change.device)
    size = float(torch.linalg.vector_norm(change.float())) / float(torch.linalg.vector_norm(drawn))
    return drawn * size


def _generator(unit: Unit, draw: int) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{unit.key}/{draw}".encode()))


def _frame(
    what: str, draw: int | None, prompts: Sequence[str], into_base: Outcome, into_tuned: Outcome | None = None
) -> pl.DataFrame:
    ways = {"in": into_base, "out": into_tuned}
    columns = {
        f"{way}_{name}": None if one is None else getattr(one, name) for way, one in ways.items() for name in OUTCOME
    }
    known = pl.DataFrame({"prompt": prompts} | {name: one for name, one in columns.items() if one is not None})
    empty = [pl.lit(None, pl.Float64).alias(name) for name in IN_OUT if name not in known.columns]
    named = known.with_columns(*empty, what=pl.lit(what), draw=pl.lit(draw))
    return named.select(*NAMED).cast(pl.Schema(NAMED))
