"""How near do words lie to a direction that has nothing to do with them?  (Ours; a control of the paper's 5.2.)

Among thousands of words some lie along every direction, so the |cosine| of a component's words says little by itself.
1. Draw directions from the whole space of the model, each as likely as any other.
2. Of each, the |cosine| of its nearest word, found as that of a component is found.

The directions come from the whole space, not from what the neurons of a layer write. Draws from a layer's own
covariance are mixtures of its first components: what these have to do with words would count as chance, and every layer
would need draws of its own. They would answer whether a component is plainer than its layer, which is another question.
"""

import numpy as np
import torch
from torch.nn.functional import normalize

from aftertune.explainers.concepts.chance import Sample
from aftertune.models.checkpoint import Checkpoint
from aftertune.models.top_words import top_words
from aftertune.models.vocabulary import WordEmbeddings, embedding_matrix

N_DIRECTIONS = 1_000
SEED = 0


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
