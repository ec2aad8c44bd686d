"""Which words does the change of weights itself write and read?  Both models in, data frames out.

1. What is written: of the change of what feed-forward networks and attention of each layer write, the first directions
   (`models.weight_changes`), read as vocabulary tokens (`token_readout`).
2. Random directions: how far a token stands out along a single one, and along as many as noise of the same size has.
   The first directions of normal noise are random ones, each as likely as any other, so noise is drawn as such: five
   orthogonal ones for each module, scaled by the norm after it, in each draw.
3. What is read: for a word's unit input embedding x, x' dW' dW x of all first projections of feed-forward networks
   together, over x' W' W x of the base's; and over ||dW||^2 / d_model, which noise of the same size gives any word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import normalize

from aftertune.explainers.concepts.cost import CHANGE_STEP, N_DRAWS, N_RANDOM, N_TOP
from aftertune.explainers.concepts.pair_parts import CHANCE_OF_CHANGE, READ_WORDS, WRITTEN
from aftertune.explainers.concepts.token_readout import TokenReadout, readable_tokens, word_tokens
from aftertune.models.loaded import Checkpoint
from aftertune.models.vocabulary import embedding_matrix
from aftertune.models.weight_changes import MODULES, WrittenChange, after_norm, read_change, written_change
from aftertune.runs.stage import StepProgress

N_WORDS, N_READ = 8, 100
ROWS_AT_ONCE = 16_384
Frames = dict[str, pl.DataFrame]
Place = tuple[int, str]


@dataclass(frozen=True, eq=False)
class ChangedWeights:
    """The change between two models in the layers that are read."""

    base: Checkpoint
    tuned: Checkpoint
    layers: Sequence[int]
    seed: int = 0

    @torch.inference_mode()
    def frames(self, progress: StepProgress) -> Frames:
        """``written``, ``chance`` and ``read``; without rows where nothing changed."""
        found: dict[Place, WrittenChange] = {}
        read = _Reading(self.base.model.config.hidden_size)
        for done, layer in enumerate(self.layers):
            progress(CHANGE_STEP, done, len(self.layers))
            for module in MODULES:
                change = written_change(self.base, self.tuned, layer, module, min(N_TOP, self._width))
                if change is not None:
                    found[layer, module] = change
            read.add(self.base, self.tuned, layer)
        written = self._written(found) if found else {"written": _empty(WRITTEN), "chance": _empty(CHANCE_OF_CHANGE)}
        progress(CHANGE_STEP, len(self.layers), len(self.layers))
        return written | {"read": read.words(self.base)}

    @property
    def _width(self) -> int:
        width: int = self.base.model.config.hidden_size
        return width

    def _written(self, found: dict[Place, WrittenChange]) -> Frames:
        own = torch.cat([after_norm(self.base, *place, one.directions) for place, one in found.items()])
        sizes = [len(one.directions) for one in found.values()]
        generator = torch.Generator().manual_seed(self.seed)
        alone = normalize(torch.randn(N_RANDOM, self._width, generator=generator), dim=1).to(own.device)
        draws = [self._noise(found, generator).to(own.device) for _ in range(N_DRAWS)]
        readout = self._readout(torch.cat([own, alone, *draws]), len(own), N_WORDS)
        largest = np.split(readout.largest, np.cumsum([len(own), len(alone)]))
        rows, row = [], 0
        for (place, one), size in zip(found.items(), sizes, strict=True):
            common = (*place, sum(one.shares), noise_top_share(one.n_rows, self._width, size), one.squared)
            for rank in range(size):
                for side, sign in enumerate((1, -1)):
                    named = readout.words[row][side], readout.z[row][side]
                    rows.append((*common, rank + 1, sign, one.shares[rank], *named))
                row += 1
        noise = largest[2].reshape(N_DRAWS, len(own)).max(axis=1)
        chance = [("direction", float(one)) for one in largest[1]] + [("noise", float(one)) for one in noise]
        return {
            "written": pl.DataFrame(rows, schema=WRITTEN, orient="row"),
            "chance": pl.DataFrame(chance, schema=CHANCE_OF_CHANGE, orient="row"),
        }

    def _noise(self, found: dict[Place, WrittenChange], generator: torch.Generator) -> Tensor:
        """One draw: random orthonormal directions, as many for each module as were found."""
        drawn = []
        for (layer, module), one in found.items():
            some = torch.randn(self._width, len(one.directions), generator=generator)
            drawn.append(after_norm(self.base, layer, module, torch.linalg.qr(some).Q.T.contiguous()))
        return torch.cat(drawn)

    @cached_property
    def _readout(self) -> TokenReadout:
        return TokenReadout(self.base)


class _Reading:
    """Sums over layers of what feed-forward networks read: of the change, of the base, of noise of the same size."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._grams: tuple[Tensor, Tensor] | None = None
        self._sizes: list[tuple[float, int]] = []

    def add(self, base: Checkpoint, tuned: Checkpoint, layer: int) -> None:
        """Add a layer."""
        found = read_change(base, tuned, layer)
        if found is None:
            return
        change, own, sizes = found
        self._sizes += sizes
        if self._grams is None:
            self._grams = change, own
        else:
            for gram, one in zip(self._grams, (change, own), strict=True):
                gram.add_(one.to(gram.device))

    def words(self, base: Checkpoint) -> pl.DataFrame:
        """The words whose reading changed most, the first the most."""
        squared = sum(one for one, _ in self._sizes)
        if self._grams is None or not squared:
            return _empty(READ_WORDS)
        matrix = embedding_matrix(base, "input")
        ids, words = word_tokens(base.tokenizer, readable_tokens(base.tokenizer, len(matrix)))
        changed, own = self._energies(matrix, ids)
        ratio, times = changed / own.clamp(min=1e-30), changed / (squared / self._width)
        order = ratio.argsort(descending=True, stable=True)[:N_READ].tolist()
        degrees = squared**2 / sum(one**2 / n for one, n in self._sizes if one)
        about = (len(ids), degrees)
        rows = [(words[place], float(ratio[place]), float(times[place]), *about) for place in order]
        return pl.DataFrame(rows, schema=READ_WORDS, orient="row")

    def _energies(self, matrix: Tensor, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        assert self._grams is not None
        parts = []
        for some in torch.split(torch.tensor(ids, device=matrix.device), ROWS_AT_ONCE):
            x = normalize(matrix[some].to(self._grams[0].dtype), dim=1).to(self._grams[0].device)
            parts.append(torch.stack([((x @ gram) * x).sum(1) for gram in self._grams]))
        changed, own = torch.cat(parts, dim=1).double().cpu()
        return changed, own


def noise_top_share(n_rows: int, n_columns: int, n: int) -> float:
    """The most of ||dW||^2 that normal noise of this shape has in its ``n`` first directions.

    Its largest singular values end at sqrt(n_rows) + sqrt(n_columns) (Marchenko and Pastur, 1967).
    """
    return min(1.0, n * float(n_rows**0.5 + n_columns**0.5) ** 2 / (n_rows * n_columns))


def _empty(schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)
