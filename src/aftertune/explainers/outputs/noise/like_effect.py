"""What would random changes of the weights, of like effect, do to the outputs?

1. Every tensor of the base becomes W + k ||dW|| e / ||e||, where dW is what tuning changed in it and e is normal noise.
2. k is found so that the total variation of the outputs is that of the tuned model: weights of the same norm in random
   directions move outputs less, or more.
3. Each draw has its own noise. What its most changed tokens are is chance.

The base's weights are kept beside while noise is drawn, and are put back bit for bit. Products may be taken in
bfloat16, where the processor has them: of the base too, for what noise is compared with.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from aftertune.models.loaded import Checkpoint
from aftertune.models.weight_noise import EXACT, Norms, noise_dtype, normal_like

CLOSE = 0.03  # of the tuned model's total variation
MOST_STEPS = 8
AT_ONCE = 2


class Noise:
    """The base with noise in its weights, for as long as the context lasts."""

    def __init__(self, base: Checkpoint, norms: Norms) -> None:
        self._weights = {name: one for name, one in base.model.named_parameters() if norms[name] > 0}
        self._norms = norms
        self._kept: dict[str, Tensor] = {}
        self._seed, self._scale = 0, 0.0

    def draw(self, seed: int) -> None:
        """Let what is put in next be the noise of a seed."""
        self._seed, self._scale = seed, 0.0

    def put(self, scale: float) -> None:
        """Put the noise in, ``scale`` times as large as the change of each tensor."""
        with ThreadPoolExecutor(AT_ONCE) as threads:  # on a processor a thread draws on one core
            list(threads.map(partial(self._put_in, scale), self._weights))
        self._scale = scale

    @torch.no_grad()
    def _put_in(self, scale: float, name: str) -> None:
        weight, kept = self._weights[name], self._kept[name]
        if self._scale and weight.dtype in EXACT:  # to stretch what is there is faster than to draw it again
            weight.sub_(kept).mul_(scale / self._scale).add_(kept)
            return
        noise = normal_like(weight, f"{self._seed}/{name}", noise_dtype(weight.dtype))
        noise *= scale * self._norms[name] / float(torch.linalg.vector_norm(noise))
        weight.copy_(noise.add_(kept))

    def __enter__(self) -> "Noise":
        self._kept = {name: weight.detach().clone() for name, weight in self._weights.items()}
        return self

    @torch.no_grad()
    def __exit__(self, *error: object) -> None:
        for name, weight in self._weights.items():
            weight.copy_(self._kept[name])
        self._kept = {}


def scale_of_like_effect(effect: Callable[[float], float], wanted: float, start: float = 1.0) -> float:
    """The scale at which ``effect`` (a total variation, growing with the scale) is ``wanted``, within 3 %.

    The effect grows about in proportion, so each step takes the proportional scale where that lies between the scales
    known to be too small and too large, else the middle of them. ``start`` is tried first.
    """
    low, high, scale = 0.0, float("inf"), start
    if not wanted:
        return 0.0
    for _ in range(MOST_STEPS):
        found = effect(scale)
        if abs(found - wanted) <= CLOSE * wanted:
            break
        low, high = (scale, high) if found < wanted else (low, scale)
        proportional = scale * wanted / found if found > 0 else 4 * scale
        scale = proportional if low < proportional < high else (low + high) / 2 if high < float("inf") else 2 * low
    return scale
