"""What would a random change of the weights, of the same size, look like to a reading of weights?

1. Every tensor of the base becomes W + ||dW|| e / ||e||, where dW is what tuning changed in it and e is normal noise.
2. Noise is put in for as long as a context lasts: outside the layers (embeddings, last norm), then layer by layer, so
   that no second model is kept in memory. The weights themselves are kept, and nothing is written into them: those that
   are maps of a file stay maps.
3. The noise of a tensor depends on the seed, the draw and the tensor's name alone: whichever layers are read, in
   whichever order, they are those of one noisy model.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from aftertune.models.loaded import Checkpoint
from aftertune.models.mapped.computing import dtype_of
from aftertune.models.mapped.files import WORTH_WRITING, spilled
from aftertune.models.mapped.memory import is_mapped
from aftertune.models.norms import precise

EXACT = (torch.float32, torch.float64)
NUMBERS_AT_ONCE = 2**26
Norms = Mapping[str, float]


def change_norms(base: Checkpoint, tuned: Checkpoint) -> dict[str, float] | None:
    """||dW|| of every weight tensor by name; None where the models have not the same tensors.

    Of an embedding with more rows in one of the models, the rows that both have.
    """
    before, after = dict(base.model.named_parameters()), dict(tuned.model.named_parameters())
    if before.keys() != after.keys() or any(before[name].shape[1:] != after[name].shape[1:] for name in before):
        return None
    return {name: _norm_of_change(weight, after[name]) for name, weight in before.items()}


@torch.no_grad()
def _norm_of_change(before: Tensor, after: Tensor) -> float:
    if before.ndim:
        n_rows = min(len(before), len(after))
        before, after = before[:n_rows], after[:n_rows]
    pairs = zip(_blocks(before), _blocks(after), strict=True)
    # In half precision the difference would be rounded.
    changes = (precise(other.to(one.device)) - precise(one) for one, other in pairs)
    return _norm(changes)


def _norm(blocks: Iterable[Tensor]) -> float:
    return math.hypot(*(float(torch.linalg.vector_norm(one, dtype=torch.float64)) for one in blocks))


def _blocks(weight: Tensor) -> tuple[Tensor, ...]:
    if weight.numel() <= NUMBERS_AT_ONCE:
        return (weight,)
    return torch.split(weight, max(1, NUMBERS_AT_ONCE * len(weight) // weight.numel()))


def noise_dtype(kind: torch.dtype) -> torch.dtype:
    """That of the noise for weights of a dtype: the same, or float32 for half precision."""
    return kind if kind in EXACT else torch.float32


def normal_like(weight: Tensor, seed: str, kind: torch.dtype) -> Tensor:
    """Standard normal numbers of a weight's shape and device, and of a dtype; the same where ``seed`` is."""
    generator = torch.Generator(weight.device).manual_seed(zlib.crc32(seed.encode()))
    return torch.randn(weight.shape, generator=generator, device=weight.device, dtype=kind)


class WeightNoise:
    """Noise of the size of a change, one draw of it, for the weights of the base."""

    def __init__(self, base: Checkpoint, norms: Norms, draw: int = 0, seed: int = 0) -> None:
        described = base.description
        self._layers = f"{described.backbone}.{described.layers}."
        self._weights = {name: one for name, one in base.model.named_parameters() if norms[name] > 0}
        self._norms, self._start = norms, f"{seed}/{draw}/"
        self._model = base.model

    @contextmanager
    def outside_layers(self) -> Iterator[None]:
        """All weights but those of layers have noise, for as long as the context lasts."""
        with self._in([name for name in self._weights if not name.startswith(self._layers)]):
            yield

    @contextmanager
    def in_layer(self, layer: int) -> Iterator[None]:
        """The weights of a layer have noise, for as long as the context lasts."""
        with self._in([name for name in self._weights if name.startswith(f"{self._layers}{layer}.")]):
            yield

    @contextmanager
    def _in(self, names: list[str]) -> Iterator[None]:
        kept = {name: self._weights[name].data for name in names}
        try:
            for name in names:
                self._weights[name].data = self._noisy(name)
            yield
        finally:
            for name, weight in kept.items():
                self._weights[name].data = weight

    @torch.no_grad()
    def _noisy(self, name: str) -> Tensor:
        weight = self._weights[name]
        kind = dtype_of(self._model.get_submodule(name.rpartition(".")[0]), weight)
        noise = normal_like(weight, f"{self._start}{name}", noise_dtype(kind))
        noise *= self._norms[name] / _norm(_blocks(noise))
        noisy = noise.add_(weight).to(kind)
        return spilled(noisy) if is_mapped(weight) and weight.numel() >= WORTH_WRITING else noisy
