"""What does comparing outputs cost?  Forward passes, noise, and the base's weights once more beside it."""

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs.probabilities import LOGIT_BYTES
from aftertune.explainers.outputs.result import MOST_PROMPTS
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import GENERIC_TOKENS, own_lines
from aftertune.models.cost import Cost, Remaining, Step, weight_bytes
from aftertune.models.size import ModelSize

PROMPT_TOKENS = 40  # of a prompt of our own with its template
STEPS_OF_SCALE = (2, 5)  # forward passes in search of the scale of the noise
BYTES_OF_NOISE = 60  # moved for each weight: drawn, measured, scaled, added
PASSES_OF_ANSWERS = 2  # either model's answers are read by both


def remaining(settings: OutputSettings, inputs: Inputs, size: ModelSize) -> Remaining:
    """What comparing two models of a size costs; what is there already is not taken off."""
    generic, own, given = _positions(settings, inputs)
    both = _forward(size, generic + own + given) * 2 + _answers(settings, size, own + given)
    passes = [settings.noise_draws + steps * bool(settings.noise_draws) for steps in STEPS_OF_SCALE]
    noise = [(_forward(size, generic + own) + Cost(moved=2 * BYTES_OF_NOISE * size.n_parameters)) * n for n in passes]
    reread = _answers(settings, size, own + given) + _forward(size, 2 * (own + given)) * PASSES_OF_ANSWERS
    free = _answers(settings, size, 2 * settings.n_samples * settings.answer_tokens)
    peak = LOGIT_BYTES + (weight_bytes(size, inputs.dtype) if settings.noise_draws else 0.0)
    steps = {
        "texts": Step(both, both),
        "noise": Step(noise[0], noise[1]),
        "answers": Step(reread, reread),
        "samples": Step(free, free),
    }
    return Remaining(steps, peak, peak, Cost(seconds=1.0))


def _positions(settings: OutputSettings, inputs: Inputs) -> tuple[int, int, int]:
    """Tokens that are read of generic texts, of prompts of our own, and of the user's, with their answers."""
    chosen = (inputs.lengths or [PROMPT_TOKENS] * len(inputs.prompts))[:MOST_PROMPTS]
    own = len(own_lines("chat")) * (PROMPT_TOKENS + settings.answer_tokens)
    given = sum(length + settings.answer_tokens for length in chosen)
    return len(own_lines("generic")) * GENERIC_TOKENS, own, given


def _forward(size: ModelSize, n_positions: float) -> Cost:
    return Cost(operations=2.0 * size.n_parameters * n_positions)


def _answers(settings: OutputSettings, size: ModelSize, n_positions: float) -> Cost:
    """Answers token by token: every step reads all weights."""
    return _forward(size, n_positions) + Cost(moved=4.0 * size.n_parameters * settings.answer_tokens * 2)
