"""What does a piece of work cost: operations of matrix products, bytes that are moved, seconds beside?

1. Matrix products are counted: two operations for each weight and position, as often as a step passes the layers.
2. Everything elementwise is counted in bytes, by constants that were fitted to measured times (docs/performance.md).
3. What neither rate tells (Python's own work, libraries that load) is in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize

FLOAT32_BYTES = 4
DTYPE_BYTES = {"float32": 4, "tf32": 4, "bfloat16": 2, "float16": 2, "float64": 8, "int8": 2, "int4": 2}  # of states
NARROW_BYTES = {"int8": 1.0, "int4": 0.5625}  # of a weight of the layers, with its part of a scale
# Reading weights and taking their digest, reading GGUF's blocks and its lists of tokens, importing libraries.
SECONDS_OF_LOADING = 0.5
SECONDS_OF_WEIGHT = 5e-9
SECONDS_OF_WEIGHT_ON_DISK = 8e-9
# Of a model on disk the largest module is there once in full, and once more where it is subtracted or drawn.
MODULES_IN_FULL = 2
SECONDS_OF_GGUF = 8.0
SECONDS_OF_GGUF_WEIGHT = 6e-8
# For each word and direction: finding the top words.
BYTES_OF_ACTIVATION = 230


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


@dataclass(frozen=True)
class Step:
    """What is left of one step of an explainer, at ``least`` and at ``most``; ``already`` is the share that is done."""

    least: Cost
    most: Cost
    already: float = 0.0


@dataclass(frozen=True)
class Remaining:
    """What is left for one model: ``steps`` by name in their order, bytes beside weights, its part of a report."""

    steps: Mapping[str, Step] = field(default_factory=dict)
    least_bytes: float = 0.0
    most_bytes: float = 0.0
    report: Cost = Cost()


def weight_bytes(size: ModelSize, dtype: str, on_disk: bool = False) -> float:
    """The bytes of a model's weights in memory; of one on disk, those of the module that runs."""
    if on_disk:
        return float(MODULES_IN_FULL * DTYPE_BYTES[dtype] * size.n_largest)
    if dtype in NARROW_BYTES:
        outside = min(size.n_parameters, 2 * size.n_vocabulary * size.d_model)
        return DTYPE_BYTES[dtype] * outside + NARROW_BYTES[dtype] * (size.n_parameters - outside)
    return float(DTYPE_BYTES[dtype] * size.n_parameters)


def noise_bytes(size: ModelSize) -> float:
    """The bytes of noise beside two models: of both embeddings, and of one layer."""
    return FLOAT32_BYTES * (2 * size.n_vocabulary * size.d_model + size.n_parameters / size.n_layers)


def loading(size: ModelSize, on_disk: bool = False) -> Cost:
    """Reading a checkpoint and taking its fingerprint."""
    fixed, each = SECONDS_OF_LOADING, SECONDS_OF_WEIGHT_ON_DISK if on_disk else SECONDS_OF_WEIGHT
    if size.is_gguf:
        fixed, each = SECONDS_OF_GGUF, SECONDS_OF_GGUF_WEIGHT
    return Cost(seconds=fixed + each * size.n_parameters)


def top_words(size: ModelSize, n_directions: float, n_words: int) -> Cost:
    """The words of largest activation along each of so many directions."""
    activations = n_directions * n_words
    return Cost(2 * activations * size.d_model, BYTES_OF_ACTIVATION * activations)
