"""What was found of where a change sits: the size of every module's change, and what its swap brings and takes away.

A number that is not defined, or was not measured, is None. Shares are of the whole change, 0 to 1, or beyond where
modules work against one another: ``brings`` is what the tuned model's module brings when it is put into the base,
``takes`` what the base's module takes away when it is put into the tuned model. They are of the mean log-ratio, log p
of the answers against the base's; ``brings_divergence`` and ``takes_divergence`` are of the KL divergence from the
tuned model. Intervals are 95 % bootstrap intervals over prompts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from aftertune.explainers.location.where import Where, find_where
from aftertune.runs.result import Result
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


@dataclass(frozen=True, eq=False, repr=False)
class LocationChange(Result):
    """Which layers and modules carry the change between the models named ``base`` and ``tuned``.

    ``modules`` has a row for each module, then the stretch of layers that brings half and the noise; ``cumulative`` a
    row for each layer. ``weights`` has a row for each weight: ``weight, tied_to, layer, module, n_parameters, is_equal,
    squared_change, squared_norm, top5_share, effective_rank, noise_top5_share, noise_effective_rank``; ``answers`` the
    texts: ``prompt, answer, log_ratio, divergence``. ``is_same_weights`` says that no weight differs. ``settings`` say
    how it was measured.
    """

    base: str
    tuned: str
    modules: tuple[ModuleRow, ...]
    cumulative: tuple[CumulativeRow, ...]
    total: Total
    claim: Claim | None
    weights: pl.DataFrame
    answers: pl.DataFrame
    settings: Mapping[str, Any]

    @property
    def is_same_weights(self) -> bool:
        """Whether no weight differs, so that there is nothing to locate."""
        return self.total.n_changed == 0

    @property
    def singles(self) -> tuple[ModuleRow, ...]:
        """The rows of single modules."""
        return tuple(row for row in self.modules if row.swapped == "module")

    def where(self) -> Where | None:
        """The part that brings half of the change with the fewest layers, or the module that brings most; see `Where`.

        None where no share is defined: nothing was swapped, or the tuned model's answers are no likelier under it.
        """
        return find_where(self)

    def to_polars(self) -> pl.DataFrame:
        """The rows of ``modules`` (`ModuleRow`), one for each module; an interval has two columns."""
        return self.tables()["location_modules"]

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables: ``location_modules``, ``location_cumulative``, ``location_weights``, ``location_answers``."""
        return {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """Modules, cumulative shares, the whole change and the settings as plain JSON data."""
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("modules", "cumulative")}
        claim = None if self.claim is None else asdict(self.claim)
        data = {"base": self.base, "tuned": self.tuned} | rows | {"total": asdict(self.total), "claim": claim}
        found: dict[str, Any] = json.loads(json.dumps(data | {"settings": dict(self.settings)}, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.cumulative), "n_modules": len(self.singles), "n_texts": self.total.n_texts}
        return {"base": self.base, "tuned": self.tuned} | sizes
