"""What does reading heads cost?  The time of a layer, and the memory of the blocks in which it is read.

1. The top words of every query and key neuron (`top_words`).
2. The cosines of the top words of every neuron pair, once, and once more for each draw of each control.
3. Beside a pair of models, for each draw of noise: the same once more without controls.
4. At most one block of embeddings, one of activations and one of pairs is in memory beside the model.
"""

from aftertune.explainers.heads.cooccurrence import CONTROLS, Lexicon
from aftertune.explainers.heads.result import HEADS, NOISE_PARTS, noise_role, without_noise
from aftertune.explainers.heads.word_pairs import PAIR_BYTES
from aftertune.models.cost import Cost, Remaining, Step, noise_bytes, top_words
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.models.top_words import ACTIVATION_BYTES_ON_CPU, ACTIVATION_BYTES_ON_GPU
from aftertune.models.vocabulary import EMBEDDING_BYTES
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

# Bytes moved for each pair of top words of a neuron pair: cosines and thresholds (docs/performance.md).
BYTES_OF_PAIR = 1270
SECONDS_OF_REPORTED_NEURON = 1e-4
STEP = "noise"
BYTES_OF_NOISE = 60  # moved for each weight: drawn, measured, added, put back


def remaining(lexicon: Lexicon, run: RunFolder, role: str, size: ModelSize, machine: Machine) -> Remaining:
    """What is left to read of the model of a role."""
    layers = lexicon.settings.chosen_layers(size.n_layers)
    left = sum(not HEADS.is_written(run, role, layer) for layer in layers)
    report = Cost(seconds=SECONDS_OF_REPORTED_NEURON * len(layers) * size.n_heads * size.d_head)
    if not left:
        return Remaining(report=report)
    cost, peak = layer_cost(lexicon, size) * left, block_bytes(machine.kind)
    return Remaining({HEADS.kind: Step(cost, cost, 1 - left / len(layers))}, peak, peak, report)


def remaining_noise(lexicon: Lexicon, run: RunFolder, pair: Pair, size: ModelSize, machine: Machine) -> Remaining:
    """What is left to read of the noise of a pair: the lists without controls, and the noise itself."""
    settings, layers = lexicon.settings, lexicon.settings.chosen_layers(size.n_layers)
    roles = [noise_role(pair, draw) for draw in range(settings.noise_models)]
    left = sum(not NOISE_PARTS.is_written(run, role, layer) for role in roles for layer in layers)
    if not left or run.exists(without_noise(pair)):
        return Remaining()
    drawn = Cost(moved=BYTES_OF_NOISE * size.n_parameters)
    cost = layer_cost(lexicon, size, with_controls=False) * left + drawn * settings.noise_models
    peak = block_bytes(machine.kind) + noise_bytes(size)
    return Remaining({STEP: Step(cost, cost, 1 - left / (len(layers) * len(roles)))}, peak, peak)


def layer_cost(lexicon: Lexicon, size: ModelSize, with_controls: bool = True) -> Cost:
    """The heads of one layer."""
    settings, d_vector = lexicon.settings, lexicon.vectors.vectors.shape[1]
    top = top_words(size, (size.n_heads + size.n_key_heads) * size.d_head, len(lexicon.words))
    n_lists = 1 + len(CONTROLS) * settings.n_draws * with_controls
    pairs = size.n_heads * size.d_head * settings.n_top**2 * n_lists
    return top + Cost(2 * pairs * d_vector, BYTES_OF_PAIR * pairs)


def block_bytes(device: str) -> float:
    """The bytes of the blocks that are in memory at once on a kind of device."""
    activations = ACTIVATION_BYTES_ON_CPU if device == "cpu" else ACTIVATION_BYTES_ON_GPU
    return float(EMBEDDING_BYTES + activations + PAIR_BYTES)
