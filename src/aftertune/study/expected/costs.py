"""What does each stage of a comparison cost, in operations and in bytes that are moved?

1. Matrix products are counted: two operations for each weight and position, as often as the stage passes the layers.
2. Everything elementwise is counted in bytes, by constants that were fitted to measured times (docs/performance.md).
3. What neither rate tells (Python's own work, libraries that load) is in seconds.
"""

from dataclasses import dataclass
from math import ceil

from aftertune.explainers.attribution.importance.chunks import MOST_ON_CPU
from aftertune.explainers.attribution.importance.routes import BFLOAT16, FORWARD, REVERSE_COST
from aftertune.models.architectures import is_written_out
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize

NUMBER = 4  # bytes of a number in float32
# Bytes for each attention weight of a tangent, and for each number of a layer's states: of a tangent, and plain.
BYTES_OF_ATTENTION = 750
BYTES_OF_STATE = 500
# The same where forward mode is written out.
BYTES_OF_ATTENTION_WRITTEN_OUT = 60
BYTES_OF_STATE_WRITTEN_OUT = 850
BYTES_OF_PLAIN_STATE = 110
# What forward mode takes with products in bfloat16, where the processor has such products.
COST_OF_BFLOAT16 = 0.6
# What Python and its libraries take around the products of a layer: in a step of generation, in a chunk of directions.
SECONDS_OF_STEP = 1.8e-3
SECONDS_OF_CHUNK = 3e-3
# Reading weights and taking their digest, reading GGUF's blocks and its lists of tokens, importing libraries.
SECONDS_OF_LOADING = 0.5
SECONDS_OF_WEIGHT = 5e-9
SECONDS_OF_GGUF = 8.0
SECONDS_OF_GGUF_WEIGHT = 6e-8
# For each word and neuron: finding the top words; for each pair of top words of a neuron pair: thresholds.
BYTES_OF_ACTIVATION = 230
BYTES_OF_PAIR = 1270
# Eigenvectors take as long as so many operations for each cubed dimension; float64 is half as fast as float32.
OPERATIONS_OF_EIGENVECTORS = 22
OF_FLOAT64 = 2
N_CONTROLS = 2
SECONDS_OF_REPORT = 5.0
SECONDS_OF_REPORTED_NEURON = 1e-4
SECONDS_OF_REPORTED_COMPONENT = 1e-4
SECONDS_OF_REPORTED_PROMPT = 0.05


@dataclass(frozen=True)
class Cost:
    """``operations`` of matrix products, bytes ``moved`` by what is elementwise, ``seconds`` beside."""

    operations: float = 0.0
    moved: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.moved + other.moved, self.seconds + other.seconds)

    def __mul__(self, times: float) -> "Cost":
        return Cost(self.operations * times, self.moved * times, self.seconds * times)

    def on(self, machine: Machine) -> float:
        """The seconds that it takes on a machine."""
        return self.operations / machine.matrix_rate + self.moved / machine.memory_rate + self.seconds


def loading(size: ModelSize) -> Cost:
    """Reading a checkpoint and taking its fingerprint."""
    fixed, each = SECONDS_OF_LOADING, SECONDS_OF_WEIGHT
    if size.is_gguf:
        fixed, each = SECONDS_OF_GGUF, SECONDS_OF_GGUF_WEIGHT
    return Cost(seconds=fixed + each * size.n_parameters)


def responses(size: ModelSize, n_prompts: int, n_prompt: int, n_response: int) -> Cost:
    """Generating so many tokens for a batch of so many prompts of at most ``n_prompt`` tokens, token by token."""
    passed = size.n_active + size.n_vocabulary * size.d_model
    first = Cost(operations=2 * passed * n_prompts * n_prompt)
    step = Cost(2 * passed * n_prompts, NUMBER * passed, SECONDS_OF_STEP * size.n_layers)
    return first + step * n_response


def one_pass(size: ModelSize, n_positions: int, written_out: bool = False) -> Cost:
    """One tangent or cotangent through the layers: four products of attention where a plain pass has two."""
    weights, states = _elements(size, n_positions)
    operations = 2 * size.n_active * n_positions + 8 * weights * size.d_head
    if written_out:
        return Cost(operations, BYTES_OF_ATTENTION_WRITTEN_OUT * weights + BYTES_OF_STATE_WRITTEN_OUT * states)
    return Cost(operations, BYTES_OF_ATTENTION * weights + BYTES_OF_STATE * states)


def passed_again(size: ModelSize, n_positions: int) -> Cost:
    """A sequence of its own through the layers, by fused attention, which keeps no attention weights."""
    weights, states = _elements(size, n_positions)
    return Cost(2 * size.n_active * n_positions + 4 * weights * size.d_head, BYTES_OF_PLAIN_STATE * states)


def _elements(size: ModelSize, n_positions: int) -> tuple[int, int]:
    """Numbers of attention weights, and of numbers of states, in all layers."""
    weights = size.n_layers * size.n_heads * n_positions**2
    return weights, size.n_layers * n_positions * (size.d_model + size.d_inner)


def prediction(size: ModelSize, n_response: int) -> Cost:
    """The probability of every response token: the product with the vocabulary."""
    n = size.n_vocabulary * n_response
    return Cost(2 * n * size.d_model, 4 * NUMBER * n)


def attribution(size: ModelSize, n_prompt: int, n_response: int, route: str, at_once: int = MOST_ON_CPU) -> Cost:
    """One prompt with its response by the route "forward", "reverse" or "removal", ``at_once`` directions at a time."""
    positions, n_directions = n_prompt + n_response - 1, n_response if route == "reverse" else n_prompt
    if not n_response:
        return Cost()
    around = Cost(seconds=SECONDS_OF_CHUNK * size.n_layers * ceil(n_directions / at_once))
    if route == "removal":
        # What stands before the removed token is kept, so half of the prompt on average.
        again = passed_again(size, positions - n_prompt // 2) + prediction(size, n_response)
        return again * n_directions + around
    passes = n_directions * {"reverse": REVERSE_COST, BFLOAT16: COST_OF_BFLOAT16}.get(route, 1.0)
    written_out = route in FORWARD and is_written_out(size.architecture)
    # Written out, what stands before a unit is left out.
    passed = positions - n_prompt // 2 if written_out else positions
    return one_pass(size, passed, written_out) * passes + prediction(size, n_response) * 3 + around


def heads_of_layer(size: ModelSize, n_words: int, d_vector: int, n_top: int, n_draws: int) -> Cost:
    """One layer's heads: top words of every neuron, then word pairs, once for each draw of each control too."""
    n_neurons = (size.n_heads + size.n_key_heads) * size.d_head
    activations, pairs = n_neurons * n_words, size.n_heads * size.d_head * n_top**2
    top = Cost(2 * activations * size.d_model, BYTES_OF_ACTIVATION * activations)
    return top + Cost(2 * pairs * d_vector, BYTES_OF_PAIR * pairs) * (1 + N_CONTROLS * n_draws)


def concepts_of_layer(size: ModelSize, n_words: int, n_components: int) -> Cost:
    """One layer's feed-forward networks: the covariance, its eigenvectors, and the components' top words."""
    networks, d = size.n_networks / size.n_layers, size.d_model
    covariance = 2 * size.n_neurons / size.n_layers * d**2
    eigenvectors = OPERATIONS_OF_EIGENVECTORS * networks * d**3
    activations = networks * min(n_components, d) * n_words
    top = Cost(2 * activations * d, BYTES_OF_ACTIVATION * activations)
    return Cost(OF_FLOAT64 * (covariance + eigenvectors)) + top


def report(size: ModelSize, n_prompts: int, n_head_layers: int, n_concept_layers: int, n_components: int) -> Cost:
    """Comparing what was measured of a model with another's, and writing the report."""
    neurons = n_head_layers * size.n_heads * size.d_head
    components = n_concept_layers * size.n_networks / size.n_layers * min(n_components, size.d_model)
    of_weights = SECONDS_OF_REPORTED_NEURON * neurons + SECONDS_OF_REPORTED_COMPONENT * components
    return Cost(seconds=of_weights + SECONDS_OF_REPORTED_PROMPT * n_prompts)
