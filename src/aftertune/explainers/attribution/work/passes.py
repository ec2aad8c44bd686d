"""What does a pass of a model cost: of a sequence, of a tangent through it, of the next token of a batch?

Matrix products are counted: two operations for each weight and position. Elementwise work is counted in bytes that are
moved, by constants that were fitted to measured times (docs/performance.md).
"""

from aftertune.models.cost import FLOAT32_BYTES, Cost
from aftertune.models.size import ModelSize

# Bytes for each attention weight of a tangent, and for each number of a layer's states: of a tangent, and plain.
BYTES_OF_ATTENTION = 750
BYTES_OF_STATE = 500
# The same where forward mode is written out.
BYTES_OF_ATTENTION_WRITTEN_OUT = 60
BYTES_OF_STATE_WRITTEN_OUT = 850
BYTES_OF_PLAIN_STATE = 110
# What Python and its libraries take around the products of a layer in a step of generation.
SECONDS_OF_STEP, SECONDS_OF_STEP_ON_GPU = 1.8e-3, 0.8e-3


def generation(size: ModelSize, n_prompts: int, n_prompt: int, n_response: int, kind: str = "cpu") -> Cost:
    """Generating so many tokens for a batch of so many prompts of at most ``n_prompt`` tokens, token by token."""
    passed = size.n_active + size.n_vocabulary * size.d_model
    first = Cost(operations=2 * passed * n_prompts * n_prompt)
    around = SECONDS_OF_STEP_ON_GPU if kind == "cuda" else SECONDS_OF_STEP
    step = Cost(2 * passed * n_prompts, FLOAT32_BYTES * passed, around * size.n_layers)
    return first + step * n_response


def one_pass(size: ModelSize, n_positions: int, written_out: bool = False) -> Cost:
    """One tangent or cotangent through the layers: four products of attention where a plain pass has two."""
    weights, states = _elements(size, n_positions)
    operations = 2 * size.n_active * n_positions + 8 * weights * size.d_head
    if written_out:
        return Cost(operations, BYTES_OF_ATTENTION_WRITTEN_OUT * weights + BYTES_OF_STATE_WRITTEN_OUT * states)
    return Cost(operations, BYTES_OF_ATTENTION * weights + BYTES_OF_STATE * states)


def plain_pass(size: ModelSize, n_positions: int) -> Cost:
    """A sequence of its own through the layers, by fused attention, which keeps no attention weights."""
    weights, states = _elements(size, n_positions)
    return Cost(2 * size.n_active * n_positions + 4 * weights * size.d_head, BYTES_OF_PLAIN_STATE * states)


def prediction(size: ModelSize, n_response: int) -> Cost:
    """The probability of every response token: the product with the vocabulary."""
    n = size.n_vocabulary * n_response
    return Cost(2 * n * size.d_model, 4 * FLOAT32_BYTES * n)


def _elements(size: ModelSize, n_positions: int) -> tuple[int, int]:
    """Numbers of attention weights, and of numbers of states, in all layers."""
    weights = size.n_layers * size.n_heads * n_positions**2
    return weights, size.n_layers * n_positions * (size.d_model + size.d_inner)
