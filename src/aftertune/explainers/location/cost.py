"""What does locating a change cost?  Products of changed weights, and forward passes from the first layer that differs.

1. Sizes: dW'dW in float64 and its eigenvalues; of large weights a few products with thin matrices.
2. Answers: each token reads all weights once.
3. Swaps: two passes for each module, two for each layer cumulatively, eight for the stretch and the noise. A pass that
   begins at a layer leaves out those before, on average half of them; all of it ends in logits of the answers.
4. What is named: two passes and one for each draw of noise, for each head, group of heads and direction. Which layers
   they are of is not known yet; directions are mostly of the last ones.
"""

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.location.named.result import N_DRAWS, kept_units
from aftertune.explainers.location.named.result import STEP as NAMED
from aftertune.explainers.location.result import sizes_part, texts_part, together_part
from aftertune.explainers.location.settings import LocationSettings
from aftertune.explainers.location.sizes import EXACT, ITERATIONS, N_PROBES, N_TOP, OVERSAMPLING
from aftertune.models.cost import DTYPE_BYTES, FLOAT32_BYTES, Cost, Remaining, Step
from aftertune.models.size import ModelSize
from aftertune.runs.roles import Pair
from aftertune.runs.run import RunFolder

SIZES, ANSWERS, SWAPS = "sizes", "answers", "swaps"
OF_FLOAT64 = 2  # times the operations of float32
OPERATIONS_OF_EIGENVALUES = 12  # for each number of dW'dW and dimension, measured
FLOAT64_BYTES = 8
MODULES_OF_LAYER, MODULES_OUTSIDE, OTHER_PASSES = 2, 3, 8
PASSES_OVER_LOGITS = 8
KINDS_NAMED = 3  # heads, their groups, directions
PROMPT_TOKENS = 50  # where they are not counted yet


def remaining(settings: LocationSettings, inputs: Inputs, run: RunFolder, pair: Pair, size: ModelSize) -> Remaining:
    """What is left to measure of a pair."""
    if run.exists(*together_part(run, pair)):
        return Remaining()
    steps = {}
    if not run.exists(*sizes_part(run, pair)):
        steps[SIZES] = Step(sizes_cost(size), sizes_cost(size))
    if not run.exists(*texts_part(run, pair)):
        answers = answers_cost(settings, inputs, size)
        steps[ANSWERS] = Step(answers * (1 / settings.answer_tokens), answers)
    steps[SWAPS] = Step(
        swaps_cost(settings, inputs, size, 1), swaps_cost(settings, inputs, size, settings.answer_tokens)
    )
    peak = peak_bytes(settings, inputs, size)
    return Remaining(steps, peak, peak)


def remaining_named(
    settings: LocationSettings, inputs: Inputs, run: RunFolder, pair: Pair, size: ModelSize
) -> Remaining:
    """What is left to swap of what will be named: at least one of each kind, at most as many as may be."""
    if not settings.confirm or kept_units(run, pair) is not None:
        return Remaining()
    passes = KINDS_NAMED * (2 + N_DRAWS)
    costs = (
        passes_cost(settings, inputs, size, 1, passes),
        passes_cost(settings, inputs, size, settings.answer_tokens, settings.confirm * passes),
    )
    peak = peak_bytes(settings, inputs, size)
    return Remaining({NAMED: Step(*costs)}, peak, peak)


def sizes_cost(size: ModelSize) -> Cost:
    """The norms and ranks of the change of all weights."""
    short, moved = size.d_model, 4.0 * FLOAT64_BYTES * size.n_parameters
    if short > EXACT:
        products = (N_TOP + OVERSAMPLING) * (2 * ITERATIONS + 2) + 3 * N_PROBES
        return Cost(2.0 * size.n_parameters * products, moved)
    n_matrices = size.n_parameters / (short * short)
    operations = 2.0 * size.n_parameters * short + OPERATIONS_OF_EIGENVALUES * n_matrices * short**3
    return Cost(OF_FLOAT64 * operations, moved)


def answers_cost(settings: LocationSettings, inputs: Inputs, size: ModelSize) -> Cost:
    """The greedy answers, as long as they may be: all weights are read for each token."""
    n_tokens = sum(_lengths(settings, inputs))
    weights = DTYPE_BYTES[inputs.dtype] * float(size.n_parameters)
    return Cost(2.0 * size.n_active * n_tokens, settings.answer_tokens * weights)


def swaps_cost(settings: LocationSettings, inputs: Inputs, size: ModelSize, n_answer: int) -> Cost:
    """All swaps with answers of so many tokens."""
    return passes_cost(settings, inputs, size, n_answer, n_passes(settings, size))


def passes_cost(settings: LocationSettings, inputs: Inputs, size: ModelSize, n_answer: int, passes: int) -> Cost:
    """So many passes from some layer on over answers of so many tokens, after both plain models are read."""
    lengths = _lengths(settings, inputs)
    layers = 2.0 * size.n_active * (sum(lengths) + len(lengths) * n_answer)
    logits = float(len(lengths) * n_answer * size.n_vocabulary)
    each = Cost(2.0 * logits * size.d_model, PASSES_OVER_LOGITS * FLOAT32_BYTES * logits)
    return each * passes + Cost(layers) * (passes / 2 + 2)


def n_passes(settings: LocationSettings, size: ModelSize) -> int:
    """Forward passes from some layer to the end."""
    modules = min(settings.swaps, MODULES_OF_LAYER * size.n_layers + MODULES_OUTSIDE)
    return 2 * modules + 2 * size.n_layers + OTHER_PASSES


def peak_bytes(settings: LocationSettings, inputs: Inputs, size: ModelSize) -> float:
    """Beside both models: the outputs of all layers of both, the tuned model's logits and those of a pass."""
    lengths, each = _lengths(settings, inputs), DTYPE_BYTES[inputs.dtype]
    n_answer = len(lengths) * settings.answer_tokens
    states = 2 * size.n_layers * size.d_model * (sum(lengths) + n_answer) * each
    return float(states + 4 * FLOAT32_BYTES * n_answer * size.n_vocabulary)


def _lengths(settings: LocationSettings, inputs: Inputs) -> list[int]:
    """The lengths of the prompts, as many of them as are answered, of mean length."""
    n = min(settings.texts, len(inputs.prompts))
    mean = round(sum(inputs.lengths) / len(inputs.lengths)) if inputs.lengths else PROMPT_TOKENS
    return [mean] * n
