"""The rows of a located change: the size of every module's change, and what its swap brings and takes away.

A number that is not defined, or was not measured, is None. Shares are of the whole change, 0 to 1, or beyond where
modules work against one another: ``brings`` is what the tuned model's module brings when it is put into the base,
``takes`` what the base's module takes away when it is put into the tuned model. They are of the mean log-ratio, log p
of the answers against the base's; ``brings_divergence`` and ``takes_divergence`` are of the KL divergence from the
tuned model. Intervals are 95 % bootstrap intervals over prompts.
"""

from dataclasses import dataclass
from typing import Literal

from aftertune.statistics.spread import Interval

Swapped = Literal["module", "stretch", "noise"]


@dataclass(frozen=True)
class ModuleRow:
    """One module, or a stretch of neighbouring layers that was swapped as one.

    ``layer`` is its layer, counted from 0, None outside the layers and for a stretch; ``layers`` names them ("24 to
    29"). ``swapped`` is "module", "stretch", or "noise": its own weights, and noise of the norm of their change.
    ``relative_change`` is ||dW|| / ||W||, ``share_of_change`` its share of ||dW||^2 of all weights. ``top5_share`` is
    the share of ||dW||^2 in the five largest singular values s of each matrix, ``effective_rank`` (sum s^2)^2 / sum s^4
    of each, both weighted by ||dW||^2; ``noise_top5_share`` and ``noise_effective_rank`` are those of noise of the same
    shapes. ``is_beyond_noise`` is whether it brings more than noise of the norm of its change, by a permutation test of
    the signs of prompts at 5 %, not corrected; None where no noise was tried, or with too few prompts.
    """

    layer: int | None
    layers: str
    module: str
    swapped: Swapped
    n_parameters: int
    relative_change: float
    share_of_change: float | None
    top5_share: float | None
    effective_rank: float | None
    noise_top5_share: float | None
    noise_effective_rank: float | None
    brings: float | None = None
    brings_interval: Interval | None = None
    takes: float | None = None
    takes_interval: Interval | None = None
    brings_divergence: float | None = None
    takes_divergence: float | None = None
    is_beyond_noise: bool | None = None

    @property
    def is_control(self) -> bool:
        """Whether it is a control's row."""
        return self.swapped == "noise"

    @property
    def text(self) -> str:
        """Its name in a sentence."""
        return self.module if not self.layers else f"{self.module} of layer {self.layers}"


@dataclass(frozen=True)
class CumulativeRow:
    """The base with all of the tuned model from the input ``up_to`` a layer, or with all of it ``onward`` from it.

    Both include the layer. What is not put in takes away the rest: taking away all up to layer l leaves what is put in
    from layer l + 1 on.
    """

    layer: int
    up_to: float | None
    up_to_interval: Interval | None
    onward: float | None
    onward_interval: Interval | None
    up_to_divergence: float | None
    onward_divergence: float | None


@dataclass(frozen=True)
class Total:
    """The whole change: of all weights, and on the ``n_texts`` answers of ``n_tokens`` tokens together.

    Shares and ranks are of the matrices in layers: embeddings change in the rows of the tokens that tuning used, and so
    in few directions. ``n_left_out`` prompts are too long for the models' context, or have no answer that both can
    read. ``n_empty`` answers are nothing but their end, on which ``empty_share`` of the whole change sits.

    ``log_ratio`` is the mean over prompts of log p_tuned - log p_base a token, in nats, ``divergence`` that of KL(tuned
    || base). ``sum_brings`` and ``sum_takes`` add up the shares of single modules, None where not all of those that
    changed were swapped. ``tied`` says that input and output embeddings are one tensor, which is counted once.
    """

    n_parameters: int
    n_weights: int
    n_changed: int
    tied: bool
    relative_change: float
    top5_share: float | None
    effective_rank: float | None
    noise_top5_share: float | None
    noise_effective_rank: float | None
    n_texts: int
    n_tokens: int
    n_left_out: int
    n_empty: int
    empty_share: float | None
    log_ratio: float | None
    log_ratio_interval: Interval | None
    divergence: float | None
    n_swapped: int
    n_modules_changed: int
    sum_brings: float | None
    sum_takes: float | None


@dataclass(frozen=True)
class Claim:
    """The stretch that brings half of the change, swapped as one, beside weight noise of its size.

    ``name`` is its name in a sentence. ``p_value`` is two-sided, by a permutation test of the signs of prompts: that it
    brings nothing, or no more than the noise, whichever is the larger; None where it can't be tested.
    """

    name: str
    stretch: ModuleRow
    noise: ModuleRow
    p_value: float | None
