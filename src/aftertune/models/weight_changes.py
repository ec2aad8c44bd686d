"""What did tuning change in what layers write into the stream, and in what feed-forward networks read from it?

1. Of each layer, what attention and feed-forward networks write: rows (n, d_model), one for each neuron or dimension
   of a head; all experts of a layer together. The norm after it, where there is one, scales directions afterwards.
2. The change dW of these rows: its first right singular vectors, the directions in the stream that it writes along
   most, from dW'dW in float64.
3. Of each layer, what its feed-forward networks read: rows of gate and up. Their dW'dW, and W'W of the base.
4. The part of dW that writes along one direction u of the stream: what of the input it reads, u' dW, and the change of
   rank one u u' dW.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor, nn
from torch.nn.functional import normalize

from aftertune.errors import CheckpointError
from aftertune.models.description import Description, at, found_at
from aftertune.models.loaded import Checkpoint
from aftertune.models.mapped.computing import in_full
from aftertune.models.norms import norm_of, precise
from aftertune.models.weights import block_of, scaled

ATTENTION, FEED_FORWARD = MODULES = ("attention", "feed-forward")
N_RANKED = 5
SMALL = 64  # dimensions up to which all eigenvectors are computed


@dataclass(frozen=True, eq=False)
class WrittenChange:
    """The directions (n, d_model) that the change of a module writes along most, unit rows, the first the largest.

    ``shares`` (n,) are their shares of ||dW||^2, ``squared`` is ||dW||^2, ``n_rows`` the number of rows of dW.
    """

    directions: Tensor
    shares: list[float]
    squared: float
    n_rows: int


@torch.inference_mode()
def written_change(base: Checkpoint, tuned: Checkpoint, layer: int, module: str, n: int) -> WrittenChange | None:
    """The first ``n`` directions of the change of a layer's module; None where it has none, or nothing changed."""
    gram, n_rows = None, 0
    for before, after in zip(_written(base, layer, module), _written(tuned, layer, module), strict=True):
        change = _on_double(after.to(before.device)) - _on_double(before)
        gram = change.T @ change if gram is None else gram.addmm_(change.T, change)
        n_rows += len(change)
    squared = float(gram.trace()) if gram is not None else 0.0
    if gram is None or not squared:
        return None
    values, vectors = _largest(gram, n)
    return WrittenChange(vectors, [value / squared for value in values], squared, n_rows)


def ranked_direction(base: Checkpoint, tuned: Checkpoint, layer: int, module: str, rank: int) -> Tensor:
    """The direction (d_model,) of a rank, 1 the largest, that the change of a module writes along, in float64.

    Raises `CheckpointError` where nothing of the module changed.
    """
    n = min(max(N_RANKED, rank), base.model.config.hidden_size)  # the same search, however many are asked for
    change = written_change(base, tuned, layer, module, n)
    if change is None:
        raise CheckpointError(f"What the {module} of layer {layer} writes did not change, so it has no direction.")
    return normalize(change.directions[rank - 1].double(), dim=0)


@torch.inference_mode()
def after_norm(checkpoint: Checkpoint, layer: int, module: str, directions: Tensor) -> Tensor:
    """Unit directions (n, d_model) as they arrive in the stream: scaled by the norm after the module, if any."""
    described, block = checkpoint.description, block_of(checkpoint, layer)
    place = described.attended_norm if module == ATTENTION else described.written_norm
    norm = found_at(block, place)
    if norm is None:
        return directions
    found = norm_of(norm, directions.shape[1])
    return normalize(scaled(directions.to(found.gain.device, found.gain.dtype), found), dim=1).to(directions.device)


@dataclass(frozen=True, eq=False)
class Writer:
    """A weight that writes into the stream: ``owner`` holds it as ``leaf``, one matrix or one for each expert.

    ``transposed`` ones are (in, out), others (out, in).
    """

    owner: nn.Module
    leaf: str
    transposed: bool

    @property
    def weight(self) -> Tensor:
        """The weight."""
        found: Tensor = getattr(self.owner, self.leaf)
        return found.detach()

    @property
    def full(self) -> Tensor:
        """The weight as its module takes it."""
        return in_full(self.owner, self.weight)

    def along(self, other: "Writer", direction: Tensor) -> Tensor:
        """What the change to another model's weight reads for a direction u (d_model,): u' dW (..., in), in float64."""
        before, after = _on_double(self.weight), _on_double(other.weight.to(self.weight.device))
        u = direction.to(before.device, torch.float64)
        return (after - before) @ u if self.transposed else torch.einsum("o,...oi->...i", u, after - before)

    def onto(self, direction: Tensor, read: Tensor) -> Tensor:
        """The weight of rank one that reads ``read`` (..., in) and writes it along a direction (d_model,)."""
        u = direction.to(read.device, read.dtype)
        return read[..., :, None] * u if self.transposed else u[:, None] * read[..., None, :]


def writers(checkpoint: Checkpoint, layer: int, module: str) -> list[Writer]:
    """The weights with which a module of a layer writes; none where it has no such module."""
    described, block = checkpoint.description, block_of(checkpoint, layer)
    if module == ATTENTION:
        attention = found_at(block, described.attention)
        out = found_at(attention, described.out) if attention is not None else None
        return [Writer(out, "weight", described.transposed)] if out is not None else []
    experts, shared = found_at(block, described.experts), found_at(block, described.shared)
    if experts is None:
        return [Writer(at(block, described.down), "weight", described.transposed)]
    beside = [Writer(shared.down_proj, "weight", described.transposed)] if shared is not None else []
    return [Writer(experts, "down_proj", described.transposed), *beside]


@torch.inference_mode()
def read_change(
    base: Checkpoint, tuned: Checkpoint, layer: int
) -> tuple[Tensor, Tensor, list[tuple[float, int]]] | None:
    """dW'dW and W'W (d_model, d_model) of what a layer's networks read; None if that is not found.

    With them ||dW||^2 and the number of rows of each weight.
    """
    grams: list[Tensor] | None = None
    sizes = []
    for before, after in zip(_read(base, layer), _read(tuned, layer), strict=True):
        own, change = precise(before), precise(after.to(before.device)) - precise(before)
        found = [change.T @ change, own.T @ own]
        grams = found if grams is None else [gram.add_(one) for gram, one in zip(grams, found, strict=True)]
        sizes.append((float(found[0].double().trace()), len(own)))
    return (grams[0], grams[1], sizes) if grams is not None else None


def _written(checkpoint: Checkpoint, layer: int, module: str) -> Iterator[Tensor]:
    """What each network, or attention, writes for each of its neurons: (n, d_model)."""
    for writer in writers(checkpoint, layer, module):
        for weight in writer.weight if writer.weight.ndim == 3 else [writer.weight]:
            yield precise(weight if writer.transposed else weight.T)


def _read(checkpoint: Checkpoint, layer: int) -> Iterator[Tensor]:
    """The first projections of each network, (n, d_model); none where they are not found."""
    described, block, width = checkpoint.description, block_of(checkpoint, layer), checkpoint.model.config.hidden_size
    experts = found_at(block, described.experts)
    if experts is None:
        for place in described.gates:
            yield _rows(at(block, place).weight, width, described)
        return
    gates = found_at(experts, "gate_up_proj")
    for weight in gates if gates is not None else ():
        yield _rows(weight, width, described)
    shared = found_at(block, described.shared)
    for name in ("gate_proj", "up_proj") if shared is not None else ():
        projection: Any = found_at(shared, name)
        if projection is not None:
            yield _rows(projection.weight, width, described)


def _rows(weight: Tensor, width: int, described: Description) -> Tensor:
    return weight.T if described.transposed or weight.shape[1] != width else weight


def _on_double(weight: Tensor) -> Tensor:
    return (weight.cpu() if weight.device.type == "mps" else weight).double()  # float64 is not known there


def _largest(gram: Tensor, n: int) -> tuple[list[float], Tensor]:
    """The ``n`` largest eigenvalues, and their eigenvectors as float32 rows on the gram's device."""
    whole = gram.cpu().numpy()
    if len(whole) > SMALL:
        start = np.random.default_rng(0).standard_normal(len(whole))
        with suppress(ArpackError):  # Lanczos: ten times as fast as all of them (576 dimensions)
            values, vectors = eigsh(whole, n, v0=start)
            return _ordered(values, vectors, gram)
    values, vectors = np.linalg.eigh(whole)
    return _ordered(values[-n:], vectors[:, -n:], gram)


def _ordered(values: Any, vectors: Any, gram: Tensor) -> tuple[list[float], Tensor]:
    order = np.argsort(-values)
    found = torch.from_numpy(np.ascontiguousarray(vectors[:, order].T)).float().to(gram.device)
    return [max(float(value), 0.0) for value in values[order]], found
