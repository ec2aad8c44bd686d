"""One layer of one model, read whole: the unit of work.  (Paper 5.2.)

For each feed-forward network of the layer (one, or one for each expert):
1. The principal components of its down projection, and the share of variance that each explains.
2. The words of a component: those whose output embeddings have the largest |cosine| with it. Its sign is set such that
   the first of them is on the positive side.

Beside the layers of a model, once (ours; a control): how near do words lie to a direction that has nothing to do with
them?  Among thousands of words some lie along every direction, so the |cosine| of a component's words says little by
itself.
3. Draw directions from the whole space of the model, each as likely as any other.
4. Of each, the |cosine| of its nearest word, found as that of a component is found.

The directions come from the whole space, not from what the neurons of a layer write. Draws from a layer's own
covariance are mixtures of its first components: what these have to do with words would count as chance, and every layer
would need draws of its own. They would answer whether a component is plainer than its layer, which is another question.

Along which directions do the rows of a feed-forward network's down projection spread?  (Paper 5.2, Eq. 3.)

1. Centre the columns of W_p (n_neurons, d_model).
2. The eigenvectors of the covariance of its rows, those of largest eigenvalue first, in float64: eigenvectors of like
   eigenvalues mix by rounding errors over the gap between them.

On the CPU, where n is a small part of a large d_model, step 2 takes about half of the time that a product and `eigh`
take, since half of the covariance is enough (it is symmetric), and Q is applied to the n first eigenvectors only:
a. The covariance C, one triangle of it.
b. Reflections Q that leave C tridiagonal: C = Q T Q'.
c. The eigenvalues of T are those of C, its eigenvectors those of C once Q is applied to them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from scipy import linalg
from scipy.linalg import blas, lapack
from torch import Tensor
from torch.nn.functional import normalize

from aftertune.explainers.concepts.chance import Sample
from aftertune.explainers.concepts.result import COMPONENTS, SPECTRA
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.models.loaded import Checkpoint
from aftertune.models.top_words import top_words
from aftertune.models.vocabulary import WordEmbeddings, embedding_matrix
from aftertune.models.weights import down_weights

N_DIRECTIONS = 1_000
SEED = 0


@torch.inference_mode()
def read_layer(
    checkpoint: Checkpoint, layer: int, settings: ConceptSettings, spelled: pl.Series, embeddings: WordEmbeddings
) -> dict[str, pl.DataFrame]:
    """The frames of one layer: ``components`` with their ``direction``, and ``spectra``.

    ``spelled`` are the words, ``embeddings`` their output embeddings, of unit length.
    """
    found = [_network(weights, settings, spelled, embeddings) for weights in down_weights(checkpoint, layer)]
    marks = [{"layer": pl.lit(layer), "expert": pl.lit(expert)} for expert in range(len(found))]
    frames = {
        name: pl.concat([one[name].with_columns(**mark) for one, mark in zip(found, marks, strict=True)])
        for name in ("components", "spectra")
    }
    return {
        "components": frames["components"].select(*COMPONENTS, "direction").cast(pl.Schema(COMPONENTS)),
        "spectra": frames["spectra"].select(*SPECTRA).cast(pl.Schema(SPECTRA)),
    }


@torch.inference_mode()
def nearest_by_chance(checkpoint: Checkpoint, embeddings: WordEmbeddings, n: int = N_DIRECTIONS) -> Sample:
    """The |cosine| (n,) of the nearest word of each of ``n`` random directions, ascending; always the same ones.

    ``embeddings`` are the words' output embeddings, of unit length.
    """
    matrix = embedding_matrix(checkpoint, "output")
    drawn = np.random.default_rng(SEED).standard_normal((n, matrix.shape[1]), dtype=np.float32)
    directions = normalize(torch.from_numpy(drawn).to(matrix.device), dim=1)
    nearest = top_words(directions, embeddings, 1).activations[:, 0].abs()
    return np.asarray(nearest.sort().values.cpu().numpy())


def _network(
    weights: Tensor, settings: ConceptSettings, spelled: pl.Series, embeddings: WordEmbeddings
) -> dict[str, pl.DataFrame]:
    directions, variances = principal_components(weights, settings.n_components)
    words, cosines = _words(directions, embeddings, settings.n_words)
    directions = directions * torch.where(cosines[:, :1] < 0, -1, 1)
    cosines = cosines * torch.where(cosines[:, :1] < 0, -1, 1)
    variance = variances.cpu().numpy()
    n = len(directions)
    components = {
        "rank": np.arange(1, n + 1),
        "variance_share": variance[:n] / max(variance.sum(), np.finfo(np.float64).tiny),
        "words": _gathered(spelled, words.cpu().numpy()),
        "cosines": pl.Series(cosines.cpu().float().numpy()),
        "direction": pl.Series(directions.cpu().numpy()),
    }
    spectrum = {"rank": np.arange(1, len(variance) + 1), "variance": variance}
    return {"components": pl.DataFrame(components), "spectra": pl.DataFrame(spectrum)}


def _words(directions: Tensor, embeddings: WordEmbeddings, n: int) -> tuple[Tensor, Tensor]:
    """Places of the ``n`` words of each direction, and their cosines, the largest |cosine| first."""
    found = top_words(directions, embeddings, n)
    order = found.activations.abs().argsort(dim=1, descending=True, stable=True)
    return found.words.gather(1, order), found.activations.gather(1, order)


def _gathered(spelled: pl.Series, places: npt.NDArray[np.int64]) -> pl.Series:
    """The words at places (n, k), as n lists."""
    return spelled.gather(places.reshape(-1)).reshape(places.shape).cast(pl.List(pl.String))


BLOCK = 64  # columns that LAPACK reflects together
COPIES_OF_ROWS, COPIES_OF_COVARIANCE = 2, 4  # what is held at once, in float64
LARGE = 1024  # below, the threads that SciPy leaves waiting cost more time than is saved (NOTES.md)

Found = tuple[Tensor, Tensor]


def principal_components(weights: Tensor, n: int) -> Found:
    """The ``n`` first components (n, d_model), and the variance (d_model,) along all of them, largest first.

    ``weights`` is (n_neurons, d_model); components are unit vectors of its precision, orthogonal to one another, at
    most d_model of them, and fewer than neurons: no more directions have any variance. Their sign is arbitrary.
    """
    rows = weights.to("cpu" if weights.device.type == "mps" else weights.device, torch.float64)
    is_large = rows.device.type == "cpu" and rows.shape[1] >= LARGE
    spread: Callable[[Tensor, int], Found] = _on_cpu if is_large else _on_device
    values, vectors = spread(rows - rows.mean(dim=0), min(n, max(1, len(rows) - 1), rows.shape[1]))
    return vectors.flip(1).T.to(weights.dtype), values.flip(0).clamp(min=0)


def _on_device(rows: Tensor, n: int) -> Found:
    """All eigenvalues (d_model,), ascending, and the eigenvectors (d_model, n) of the ``n`` largest."""
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    return values, vectors[:, -n:]


def _on_cpu(rows: Tensor, n: int) -> Found:
    """As `_on_device`."""
    covariance = blas.dsyrk(1 / len(rows), rows.numpy().T, lower=1)
    reflections, diagonal, beside, scales, _ = lapack.dsytrd(
        covariance, lower=1, lwork=BLOCK * len(covariance), overwrite_a=1
    )
    values, vectors = linalg.eigh_tridiagonal(diagonal, beside)
    found = np.asfortranarray(vectors[:, -n:])
    # The reflections leave the first axis alone.
    found[1:], _, _ = lapack.dormqr("L", "N", reflections[1:, :-1], scales, found[1:], lwork=BLOCK * n)
    return torch.from_numpy(values), torch.from_numpy(found)
