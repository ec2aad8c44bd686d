"""What is measured, in the order of its value, with the seconds that it is expected to take at most.

First one model in float32 (27 GB of 7 billion), then both (54 GB), then both in bfloat16 (27 GB): outputs keep the
base's weights once more, for which there is no room beside a pair in float32 on a GPU of 78 GB.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bench.gpu import explained
from bench.gpu.attribution import FORWARD, REMOVAL, attribution, loading, predictions, responses, waiting
from bench.gpu.clock import FLOAT32, TF32, matrix_rate, memory_rate
from bench.gpu.kept import Kept
from bench.gpu.shapes import Pair

BFLOAT16 = "bfloat16"
SECONDS_OF_BUILDING = 25.0


@dataclass(frozen=True)
class Measurement:
    """One measurement of a pair; ``seconds`` is a bound for a 7B pair, of about twice what an H200 took.

    ``is_cast`` says that it is of both models in bfloat16.
    """

    name: str
    call: Callable[[Pair, Kept], dict[str, Any]]
    seconds: float
    is_cast: bool = False

    def run(self, pair: Pair, kept: Kept) -> dict[str, Any]:
        if self.is_cast:
            pair.cast()
        with torch.no_grad():
            return self.call(pair, kept)


def rates(pair: Pair, _kept: Kept) -> dict[str, Any]:
    found = {one: matrix_rate(pair.device, one) for one in (FLOAT32, TF32, BFLOAT16)}
    return found | {"memory": memory_rate(pair.device)}


def of_attribution(way: str, precision: str) -> Callable[[Pair, Kept], dict[str, Any]]:
    return partial(attribution, way, precision)


PLAN = (
    Measurement("rates", rates, 5),
    Measurement("forward-float32", of_attribution(FORWARD, FLOAT32), 40),
    Measurement("removal-float32", of_attribution(REMOVAL, FLOAT32), 40),
    Measurement("forward-TF32", of_attribution(FORWARD, TF32), 15),
    Measurement("removal-TF32", of_attribution(REMOVAL, TF32), 15),
    Measurement("forward-bfloat16-tangents", of_attribution(FORWARD, BFLOAT16), 15),
    Measurement("responses-TF32", partial(responses, TF32), 25),
    Measurement("heads", explained.heads, 10),
    Measurement("concepts", explained.concepts, 10),
    Measurement("waits", waiting, 40),
    Measurement("predictions-float32", partial(predictions, FLOAT32), 5),
    Measurement("predictions-TF32", partial(predictions, TF32), 5),
    Measurement("loading", loading, 10),
    Measurement("removal-bfloat16", of_attribution(REMOVAL, BFLOAT16), 15, is_cast=True),
    Measurement("outputs-bfloat16", explained.outputs, 60, is_cast=True),
    Measurement("location-bfloat16", explained.location, 30, is_cast=True),
    Measurement("heads-of-pair-bfloat16", explained.heads_of_pair, 15, is_cast=True),
    Measurement("concepts-of-pair-bfloat16", explained.concepts_of_pair, 15, is_cast=True),
    Measurement("responses-bfloat16", partial(responses, BFLOAT16), 25, is_cast=True),
    Measurement("predictions-bfloat16", partial(predictions, BFLOAT16), 5, is_cast=True),
)
