"""What does reading feed-forward layers cost?

1. For each network: the covariance of the down projection's rows and its eigenvectors, in float64.
2. For each component, and once for each random direction: its nearest words.
3. Of a pair: products of the change of weights, random directions through all output embeddings, and the networks once
   more with noise.
4. At the peak: the rows and the same rows centred, what stands beside the covariance while its eigenvectors are
   computed, and one block of word embeddings.
"""

from aftertune.explainers.concepts.layer import COPIES_OF_COVARIANCE, COPIES_OF_ROWS, N_DIRECTIONS
from aftertune.explainers.concepts.pair_parts import NOISE_PARTS, is_change_of, noise_role, without_noise
from aftertune.explainers.concepts.result import CONCEPTS, has_chance
from aftertune.explainers.concepts.settings import ConceptSettings
from aftertune.models.cost import DTYPE_BYTES, Cost, Remaining, Step, noise_bytes, top_words
from aftertune.models.size import ModelSize
from aftertune.models.vocabulary import EMBEDDING_BYTES
from aftertune.models.weight_changes import MODULES
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

# Eigenvectors take as long as so many operations for each cubed dimension; float64 is half as fast as float32.
OPERATIONS_OF_EIGENVECTORS = 22
OF_FLOAT64 = 2
N_TOP, N_RANDOM, N_DRAWS = 5, 1_000, 19  # directions of a change's module, random ones, draws of noise
SECONDS_OF_REPORTED_COMPONENT = 1e-4
CHANGE_STEP, NOISE_STEP = "change", "noise"
BYTES_OF_NOISE = 60  # moved for each weight: drawn, measured, added, put back
BYTES_OF_READ_TOKEN = 30  # moved for each direction and token: sums, least and largest


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


def remaining_pair(settings: ConceptSettings, n_words: int, run: RunFolder, pair: Pair, size: ModelSize) -> Remaining:
    """What is left of a pair: what the change of its weights writes and reads, and noise of its size."""
    layers, steps = settings.chosen_layers(size.n_layers), {}
    if not is_change_of(run, pair, layers):
        cost = change_cost(size, len(layers))
        steps[CHANGE_STEP] = Step(cost, cost)
    roles = [noise_role(pair, draw) for draw in range(settings.noise_models)]
    left = sum(not NOISE_PARTS.is_written(run, role, layer) for role in roles for layer in layers)
    if left and not run.exists(without_noise(pair)):
        drawn = Cost(moved=BYTES_OF_NOISE * size.n_parameters) * len(roles)
        cost = layer_cost(size, n_words, settings.n_components) * left + drawn
        steps[NOISE_STEP] = Step(cost, cost, 1 - left / (len(layers) * len(roles)))
    peak = peak_bytes(size, n_words) + noise_bytes(size) if steps else 0.0
    return Remaining(steps, peak, peak)


def change_cost(size: ModelSize, n_layers: int) -> Cost:
    """What the change writes (dW'dW in float64, directions through the output embeddings) and reads (twice as many)."""
    written = size.n_neurons / size.n_layers + size.d_model  # rows of a layer: of the networks, of attention
    read = 2 * 2 * size.n_neurons / size.n_layers  # gate and up, of the change and of the base
    products = 2 * (OF_FLOAT64 * written + read) * size.d_model**2 * n_layers
    n_directions = N_RANDOM + N_TOP * len(MODULES) * n_layers * (1 + N_DRAWS)
    activations = n_directions * size.n_vocabulary
    return Cost(products + 2 * activations * size.d_model, BYTES_OF_READ_TOKEN * activations)


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
