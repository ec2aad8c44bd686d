"""How much memory does a comparison hold at most?  The model, and beside it what the hungriest stage needs.

1. Loading: the weights in the type asked for; a GGUF file's are held twice for a while.
2. Responses: keys and values of a batch, and its logits.
3. Attribution: as many directions at once as `chunks` takes, and the logits of a block of response tokens.
4. Heads: the blocks that bound them, and each word's vector. Concepts: a covariance and its eigenvectors in float64.
"""

from dataclasses import replace

from aftertune.explainers.attribution.importance.chunks import (
    MOST_ON_CPU,
    MOST_ON_GPU,
    bytes_of_direction,
    bytes_written_out,
    most_at_once,
    scores_of_position,
)
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.head import STATES_AT_ONCE
from aftertune.explainers.attribution.importance.routes import FORWARD
from aftertune.explainers.attribution.measure import RESPONSES_AT_ONCE
from aftertune.models.architectures import is_written_out
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.study.expected.intent import Item, Left, route_of

NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
# Python with torch, transformers and word lists, before any weight is read.
LIBRARY_BYTES = 700e6
HEAD_BLOCKS = 3 * 128 * 2**20
COPIES_OF_LOGITS = 4
COPIES_OF_COVARIANCE = 4


def peak_bytes(left: Left, n_tokens: int, dtype: str, route: str, machine: Machine) -> float:
    """Bytes at the peak, if every response that is not there yet has ``n_tokens``."""
    size, number = left.size, NUMBER_BYTES[dtype]
    answered = (replace(one, n_response=one.n_response or n_tokens) for one in left.items)
    weights = number * size.n_parameters
    needed = [
        weights if size.is_gguf else 0.0,
        _responses(size, max(left.silent, default=0), n_tokens, number) if left.silent else 0.0,
        max((_attribution(size, one, number, route, machine) for one in answered), default=0.0),
        HEAD_BLOCKS if left.head_layers else 0.0,
        COPIES_OF_COVARIANCE * 8.0 * size.d_model**2 + HEAD_BLOCKS / 3 if left.concept_layers else 0.0,
    ]
    library = LIBRARY_BYTES if machine.kind == "cpu" else 0.0
    return library + weights + max(needed)


def _responses(size: ModelSize, n_prompt: int, n_tokens: int, number: int) -> float:
    kept = 2 * size.n_layers * size.n_key_heads * size.d_head * (n_prompt + n_tokens)
    return float(RESPONSES_AT_ONCE * number * (kept + size.n_vocabulary))


def _attribution(size: ModelSize, item: Item, number: int, route: str, machine: Machine) -> float:
    n_prompt, n_response = item.n_prompt, item.n_response or 0
    positions = n_prompt + n_response - 1
    fixed, most = 0, MOST_ON_GPU if machine.kind == "cuda" else MOST_ON_CPU
    chosen = route_of(route, item, size)
    scores = scores_of_position(FUSED if chosen in FORWARD else "sdpa", positions, size.n_heads)
    each = bytes_of_direction(1, positions, size.d_inner, size.d_model, scores, number)
    if is_written_out(size.architecture) and chosen in FORWARD:
        most = n_prompt
        fixed, each = bytes_written_out(1, positions, size.d_inner, size.d_model, size.n_heads, number)
    logits = COPIES_OF_LOGITS * 4 * min(n_response, STATES_AT_ONCE) * size.n_vocabulary
    at_once = most_at_once(each, machine.free_bytes, most)
    return float(logits + fixed + each * min(at_once, max(n_prompt, n_response)))
