"""What does comparing outputs cost?  Forward passes, noise, and the base's weights once more beside it.

What has its part in the run already is not counted.
"""

from collections.abc import Mapping, Sequence

from aftertune.explainers.explainer import Inputs
from aftertune.explainers.outputs.noise.like_effect import AT_ONCE as NOISE_AT_ONCE
from aftertune.explainers.outputs.probabilities import LOGIT_BYTES
from aftertune.explainers.outputs.result import (
    ABOUT,
    ANSWERED,
    ANSWERS,
    GENERIC,
    MOST_PROMPTS,
    PROMPTS,
    SAMPLES,
    SCALES,
    SIDES,
    UNINSTRUCTED,
    WITH_NOISE,
    OutputParts,
    answers_name,
    draw_name,
    sampled_name,
)
from aftertune.explainers.outputs.settings import OutputSettings
from aftertune.explainers.outputs.texts import AT_ONCE, GENERIC_TOKENS, own_lines, uninstructed
from aftertune.models.cost import DTYPE_BYTES, FLOAT32_BYTES, Cost, Remaining, Step, weight_bytes
from aftertune.models.size import ModelSize

PROMPT_TOKENS = 40  # of a prompt of our own with its template
STEPS_OF_SCALE = (1, 4)  # readings in search of the scale of the noise, beside the last, which is the first draw
LOGITS_AT_ONCE = 5  # as they come, in float32, random numbers, with noise, and beside those of greedy answers
BYTES_OF_NOISE = 40  # moved for each weight: drawn, measured, scaled, added
Read = Mapping[str, float]  # tokens that are read of each context, with their answers


def remaining(settings: OutputSettings, inputs: Inputs, parts: OutputParts, size: ModelSize) -> Remaining:
    """What is left of comparing two models of a size."""
    read = _tokens(settings.answer_tokens, inputs)
    steps = {
        "texts": _texts(settings, inputs, parts, size),
        "noise": _noise(settings, read, parts, size),
        "answers": _own_answers(settings, inputs, parts, size),
        "free samples": _samples(settings, parts, size),
    }
    left = {name: step for name, step in steps.items() if step.most != Cost()}
    drawn = NOISE_AT_ONCE * FLOAT32_BYTES * size.n_largest
    reading = LOGIT_BYTES + (weight_bytes(size, inputs.dtype) + drawn if "noise" in left else 0.0)
    peak = max(reading, _answer_bytes(settings, inputs, size) if {"texts", "answers"} & set(left) else 0.0)
    return Remaining(left, peak, peak, Cost(seconds=1.0))


def _tokens(n_answer: int, inputs: Inputs) -> Read:
    """Generic texts, prompts of our own, and the user's, with answers of so many tokens."""
    return {
        GENERIC: len(own_lines("generic")) * GENERIC_TOKENS,
        ANSWERS: len(own_lines("chat")) * (PROMPT_TOKENS + n_answer),
        PROMPTS: sum(length + n_answer for length in _lengths(inputs)),
    }


def _lengths(inputs: Inputs) -> list[int]:
    """The tokens of the user's prompts that are read."""
    return (inputs.lengths or [PROMPT_TOKENS] * len(inputs.prompts))[:MOST_PROMPTS]


def _texts(settings: OutputSettings, inputs: Inputs, parts: OutputParts, size: ModelSize) -> Step:
    """The base's answers, and both models' reading of all texts."""
    read = _tokens(settings.answer_tokens, inputs)
    units = [(context, side) for context, n in read.items() if n for side in SIDES]
    left = [(context, side) for context, side in units if not parts.has(f"{context}-{side}")]
    cost = _forward(size, sum(read[context] for context, _ in left)) + _answers(settings, inputs, parts, size, "base")
    return Step(cost, cost, _done(left, units))


def _noise(settings: OutputSettings, read: Read, parts: OutputParts, size: ModelSize) -> Step:
    """The search for the scale, and each draw; none where it is known that no noise can be drawn."""
    draws = [draw_name(number) for number in range(settings.noise_draws)]
    left = [name for name in draws if not parts.has(name)]
    if parts.has(ABOUT) and not parts.has_same_tensors:
        left = []
    each = _forward(size, sum(read[one] for one in WITH_NOISE)) + Cost(moved=2 * BYTES_OF_NOISE * size.n_parameters)
    steps = [0, 0] if not left or parts.has(SCALES) else STEPS_OF_SCALE
    least, most = (each * (len(left) + n) for n in steps)
    return Step(least, most, _done(left, draws))


def _own_answers(settings: OutputSettings, inputs: Inputs, parts: OutputParts, size: ModelSize) -> Step:
    """The tuned model's answers, and either model's greedy answers read by both."""
    read = _tokens(settings.answer_tokens, inputs)
    left = [context for context in ANSWERED if not parts.has(f"{context}-positions")]
    reading = _forward(size, sum(read[context] for context in left) * len(SIDES) * len(SIDES))
    cost = reading + _answers(settings, inputs, parts, size, "tuned")
    return Step(cost, cost, _done(left, ANSWERED))


def _samples(settings: OutputSettings, parts: OutputParts, size: ModelSize) -> Step:
    n = 0 if parts.has(SAMPLES) else settings.n_samples
    cost = _generation(size, 2 * n * settings.answer_tokens, settings.answer_tokens) if n else Cost()
    return Step(cost, cost)


def _answers(settings: OutputSettings, inputs: Inputs, parts: OutputParts, size: ModelSize, side: str) -> Cost:
    """Answers of one model, greedy and sampled, whose parts are missing: its prompts are read once for all of them."""
    asked, answered = _tokens(0, inputs), _tokens(settings.answer_tokens, inputs)
    greedy = [context for context in ANSWERED if not parts.has(answers_name(context, side))]
    numbers = [number for number in range(settings.sampled_answers) if not parts.has(sampled_name(number, side))]
    written = [*greedy, *ANSWERED * len(numbers)]
    bare = Cost() if parts.has(answers_name(UNINSTRUCTED, side)) else _bare_answers(settings, inputs, size)
    if not written:
        return bare
    n_written = sum(answered[context] - asked[context] for context in written)
    n_read = sum(asked[context] for context in set(written))
    return bare + _generation(size, n_read + n_written, settings.answer_tokens)


def _bare_answers(settings: OutputSettings, inputs: Inputs, size: ModelSize) -> Cost:
    """Greedy answers to the prompts without their instruction, of which no more tokens are left than they have."""
    n = len(uninstructed(inputs))
    lengths = sorted(_lengths(inputs))[-n:] if n else []
    return _generation(size, sum(lengths) + n * settings.answer_tokens, settings.answer_tokens) if n else Cost()


def _answer_bytes(settings: OutputSettings, inputs: Inputs, size: ModelSize) -> float:
    """Keys and values of all answers that are written together, and what their logits take while a token is drawn."""
    lengths = _lengths(inputs)
    n_rows = min(AT_ONCE, (len(own_lines("chat")) + len(lengths)) * (1 + settings.sampled_answers))
    n_positions = max([PROMPT_TOKENS, *lengths]) + settings.answer_tokens
    kept = 2 * size.n_layers * size.n_key_heads * size.d_head * DTYPE_BYTES[inputs.dtype]
    return float(n_rows * (n_positions * kept + LOGITS_AT_ONCE * FLOAT32_BYTES * size.n_vocabulary))


def _generation(size: ModelSize, n_positions: float, n_tokens: int) -> Cost:
    """Token by token: every step reads all weights."""
    return _forward(size, n_positions) + Cost(moved=4.0 * size.n_parameters * n_tokens * 2)


def _forward(size: ModelSize, n_positions: float) -> Cost:
    return Cost(operations=2.0 * size.n_parameters * n_positions)


def _done(left: Sequence[object], units: Sequence[object]) -> float:
    """The share of units that have their parts."""
    return 1 - len(left) / len(units) if units else 0.0
