"""What do responses and attributions cost, and how much memory do they hold?

1. A range, since nobody knows when responses end: at most all of them have the most tokens that they may have, at least
   a quarter of those.
2. Matrix products are counted: two operations for each weight and position, as often as a step passes the layers.
   Elementwise work is counted in bytes that are moved, by constants that were fitted to measured times
   (docs/performance.md).
3. Memory is that of the step that needs most: keys, values and logits of a batch of responses, or as many directions at
   once as `chunks` takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from aftertune.explainers.attribution.importance.chunks import (
    ATTRIBUTIONS_AT_ONCE_ON_CPU,
    ATTRIBUTIONS_AT_ONCE_ON_GPU,
    MOST_ON_CPU,
    MOST_ON_GPU,
    RESPONSES_AT_ONCE,
    bytes_of_direction,
    bytes_written_out,
    most_at_once,
    scores_of_position,
)
from aftertune.explainers.attribution.importance.fused import FUSED
from aftertune.explainers.attribution.importance.head import STATES_AT_ONCE
from aftertune.explainers.attribution.importance.routes import BFLOAT16, FORWARD, REVERSE_COST, cheaper_route
from aftertune.explainers.attribution.reading import ATTRIBUTIONS, RESPONSES
from aftertune.explainers.attribution.settings import AttributionSettings, Route
from aftertune.explainers.explainer import Inputs
from aftertune.models.cost import DTYPE_BYTES, FLOAT32_BYTES, Cost, Remaining, Step
from aftertune.models.families import is_written_out
from aftertune.models.machine import Machine
from aftertune.models.size import ModelSize
from aftertune.runs.run import RunFolder

EARLY = 0.25
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
SECONDS_OF_REPORTED_PROMPT = 0.05
# Logits of response tokens are there as such, as probabilities, and as gradients of both.
COPIES_OF_LOGITS = 4


@dataclass(frozen=True)
class Item:
    """One prompt under one model: ``n_response`` is None until its response is there, which may end early."""

    n_prompt: int
    n_response: int | None
    is_attributed: bool = False


def remaining(
    settings: AttributionSettings, inputs: Inputs, run: RunFolder, role: str, size: ModelSize, machine: Machine
) -> Remaining:
    """What is left to do for the model of a role."""
    items = list(_items(inputs, run, role))
    left = [item for item in items if not item.is_attributed]
    most = _most_tokens(inputs, size) if left else 0
    # Of the prompts that are held against removal, the share that is left.
    n_checked = 0.0 if settings.route == "removal" else min(settings.check, len(items)) * len(left) / max(len(items), 1)
    ends = [[_answered(item, n) for item in left] for n in (max(1, round(EARLY * most)), most)]
    silent = sorted(item.n_prompt for item in left if item.n_response is None)
    steps = {
        "responses": Step(
            *(responses(size, silent, n) for n in (max(1, round(EARLY * most)), most)),
            already=1 - len(silent) / len(items) if items else 1.0,
        ),
        "attribution": Step(
            *(attributions(size, end, settings.route, round(n_checked), machine) for end in ends),
            already=_share_attributed(items, inputs.max_new_tokens),
        ),
    }
    number = DTYPE_BYTES[inputs.dtype]
    least_bytes, most_bytes = (
        max(
            response_bytes(size, silent[-1], n, number) if silent else 0.0,
            max((attribution_bytes(size, item, number, settings.route, machine) for item in end), default=0.0),
        )
        for n, end in zip((max(1, round(EARLY * most)), most), ends, strict=True)
    )
    return Remaining(
        steps={name: step for name, step in steps.items() if step.most != Cost()},
        least_bytes=least_bytes,
        most_bytes=most_bytes,
        report=Cost(seconds=SECONDS_OF_REPORTED_PROMPT * len(inputs.prompts)),
    )
