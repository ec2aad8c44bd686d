"""Which subject does a token belong to?  Output embeddings without what tells no subject.

Centred, without the first principal components, at unit length. Those components tell frequent tokens from rare ones
and prose from code. Weight noise raises such groups, and no subject has them.
"""

import torch
from torch import Tensor

from aftertune.explainers.outputs.words import Array

MOST_COMPONENTS, WIDTH_OF_A_COMPONENT = 30, 8


@torch.no_grad()
def subject_directions(embeddings: Tensor) -> Array:
    """Unit rows (n_tokens, d_model) of output embeddings, centred, without their first principal components.

    In float64, where the embeddings lie.
    """
    numbers = embeddings.double()
    centred = numbers - numbers.mean(dim=0)
    n_left_out = min(MOST_COMPONENTS, centred.shape[1] // WIDTH_OF_A_COMPONENT)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = centred @ vectors[:, : centred.shape[1] - n_left_out]  # eigenvalues ascend
    norms = torch.linalg.vector_norm(kept, dim=1, keepdim=True)
    found: Array = (kept / norms.clamp(min=torch.finfo(kept.dtype).tiny)).cpu().numpy()
    return found
