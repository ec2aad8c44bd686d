"""What does reading feed-forward layers cost?

1. For each network: the covariance of the down projection's rows and its eigenvectors, in float64.
2. For each component, and once for each random direction: its nearest words.
3. At the peak: the rows and the same rows centred, what stands beside the covariance while its eigenvectors are
   computed, and one block of word embeddings.
"""

from aftertune.explainers.concepts.layer import COPIES_OF_COVARIANCE, COPIES_OF_ROWS, N_DIRECTIONS
from aftertune.explainers.concepts.result import CONCEPTS, has_chance
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.models.cost import DTYPE_BYTES, Cost, Remaining, Step, top_words
from aftertune.models.size import ModelSize
from aftertune.models.vocabulary import EMBEDDING_BYTES
from aftertune.runs.run import RunFolder

# Eigenvectors take as long as so many operations for each cubed dimension; float64 is half as fast as float32.
OPERATIONS_OF_EIGENVECTORS = 22
OF_FLOAT64 = 2
SECONDS_OF_REPORTED_COMPONENT = 1e-4


def remaining(settings: ConceptSettings, n_words: int, run: RunFolder, role: str, size: ModelSize) -> Remaining:
    """What is left to read of the model of a role, with a vocabulary of so many words, and its part of the report."""
    layers = settings.chosen_layers(size.n_layers)
    n_left = sum(not CONCEPTS.is_written(run, role, layer) for layer in layers)
    cost = layer_cost(size, n_words, settings.n_components) * n_left
    if not has_chance(run, role):
        cost = cost + top_words(size, N_DIRECTIONS, n_words)
    report = Cost(seconds=SECONDS_OF_REPORTED_COMPONENT * len(layers) * _n_components(size, settings.n_components))
    if cost == Cost():
        return Remaining(report=report)
    steps = {CONCEPTS.kind: Step(cost, cost, 1 - n_left / len(layers))}
    needed = peak_bytes(size, n_words)
    return Remaining(steps, least_bytes=needed, most_bytes=needed, report=report)


def layer_cost(size: ModelSize, n_words: int, n_components: int) -> Cost:
    """One layer's feed-forward networks: the covariance, its eigenvectors, and the components' nearest words."""
    covariance = 2 * size.n_neurons / size.n_layers * size.d_model**2
    eigenvectors = OPERATIONS_OF_EIGENVECTORS * size.n_networks / size.n_layers * size.d_model**3
    words = top_words(size, _n_components(size, n_components), n_words)
    return Cost(OF_FLOAT64 * (covariance + eigenvectors)) + words


def peak_bytes(size: ModelSize, n_words: int) -> float:
    """Bytes beside the weights while the components of one network are read."""
    rows = COPIES_OF_ROWS * size.n_neurons / size.n_networks * size.d_model
    covariance = COPIES_OF_COVARIANCE * size.d_model**2
    embeddings = min(EMBEDDING_BYTES, DTYPE_BYTES["float32"] * n_words * size.d_model)
    return DTYPE_BYTES["float64"] * (rows + covariance) + embeddings


def _n_components(size: ModelSize, n_components: int) -> float:
    """How many components a layer has, over all of its networks."""
    return size.n_networks / size.n_layers * min(n_components, size.d_model)
