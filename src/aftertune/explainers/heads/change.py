"""What was found between two readings of heads: figure 2, table 3, and what can be asked of them.

A number that is not defined for its data is None, never NaN. ``layers`` is a group of neighbouring layers, counted from
0, written "0-7"; the pooled row, of all layers, is left out by Holm's correction. ``lists`` says which lists a row is
from: those "as read", or those of a control. In "noise of the same size" each weight of the base was changed at random
as much as tuning changed it; in the others word vectors were given to other words: "permuted" to any,
"frequency-matched" to words about as frequent. Intervals are 95 % bootstrap intervals.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.heads.list_changes import HEAD, ORDERED, change
from aftertune.runs.result import Result
from aftertune.statistics.spread import Interval, Spread

AS_READ = "as read"
HEAD_LEVEL, NEURON_LEVEL = "head", "neuron pair"
# Of each kind, for a test: the shares of fewer words are often all the same, and then Welch's test takes any other mean
# for sure.
LEAST_WORDS = 5
PLAIN = (
    *("base", "tuned", "verbs_name", "layers", "n_heads", "d_head", "n_words", "n_with_vector"),
    *("verbs_present", "verbs_missing", "n_general_missing", "n_noise", "settings"),
)


@dataclass(frozen=True)
class Figure2Row:
    """How far the lists of base and tuned lie apart in one group of layers: 1 - |A and B| / |A or B|.

    ``level`` is "head" or "neuron pair". A head's distance at the level of neuron pairs is the mean over its neuron
    pairs; heads (and neuron pairs) without any word pair in both models are left out. ``distance`` has the number of
    heads, the mean and the standard deviation; its ``interval`` resamples heads.

    Of a control, ``excess`` is the distance as read minus the control's, head by head. At the level of heads its
    interval and the one-sided p-value (that the excess is above 0) are over words, the latter None where too few words
    stand in pairs. Of neuron pairs there is an interval only, over heads. Of noise the interval is over heads and the
    p-value two-sided, by the signs of whole layers, at both levels.
    """

    level: str
    layers: str
    pooled: bool
    lists: str
    distance: Spread
    interval: Interval | None = None
    excess: float | None = None
    excess_interval: Interval | None = None
    excess_p_value: float | None = None

    @property
    def is_control(self) -> bool:
        """Whether it is a control's row."""
        return self.lists != AS_READ


@dataclass(frozen=True)
class DepthControl:
    """The depth trend under one kind of control: of its distances, and of ``excess``, as read minus control."""

    control: str
    correlation: float | None
    p_value: float | None
    excess_correlation: float | None
    excess_p_value: float | None


@dataclass(frozen=True)
class DepthTrend:
    """Do the lists of deeper heads change more?  Spearman's rank correlation of layer and distance, over heads.

    The two-sided p-values are of permutations of whole layers. They describe: layers next to one another are alike, so
    no trend is claimed by them.
    """

    n_layers: int
    n_heads: int
    correlation: float | None
    p_value: float | None
    controls: tuple[DepthControl, ...]


@dataclass(frozen=True)
class Table3Row:
    """For one group of layers: of the heads in which the number of pairs with a verb changed, the share that grew.

    ``instruction`` (the words asked about) and ``general`` spread over the verbs of that kind for which at least one
    head changed, each verb counting once, as shares from 0 to 1. P-values are two-sided: Welch's as in the paper, and
    of a permutation test of Welch's t; ``p_value_matched`` is the share of random sets of words as frequent as those
    asked about whose mean lies as far from that of the general verbs, in either direction. ``effect_size_g`` is Hedges'
    g. A control has its shares, their difference and Welch's test.
    """

    layers: str
    pooled: bool
    lists: str
    instruction: Spread
    general: Spread
    difference: float | None
    difference_interval: Interval | None = None
    p_value: float | None = None
    p_value_holm: float | None = None
    p_value_permutation: float | None = None
    p_value_permutation_holm: float | None = None
    matched: float | None = None
    p_value_matched: float | None = None
    effect_size_g: float | None = None

    @property
    def is_control(self) -> bool:
        """Whether it is a control's row."""
        return self.lists != AS_READ


@dataclass(frozen=True)
class StrengthRow:
    """A word pair that a head's list gained or lost, by how much tuning changed the head's response to it.

    ``base`` and ``tuned`` are x' W_q W_k' y of the unit input embeddings x of ``query_word`` and y of ``key_word``,
    with the layer's norms folded in: of both orders the one that changed more. ``times_noise`` is their difference
    over ``scale``, the root mean square of what noise of the same size changes in the head's pairs; ``noise`` is what
    it changed in this pair (of the first draw). ``brings`` is the share of the change of outputs that the layer's
    attention brings by itself (the explainer "location"), None where that was not measured.
    """

    layer: int
    head: int
    query_word: str
    key_word: str
    change: str
    base: float
    tuned: float
    noise: float
    scale: float
    times_noise: float | None
    brings: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class HeadChange(Result):
    """How the word pairs of heads differ between the models named ``base`` and ``tuned``.

    ``heads`` has a row for every head: ``layer, head, distance, neuron_distance, n_base, n_tuned, n_gained, n_lost,
    verbs_gained, verbs_lost``; a distance is null where neither model has a pair, and the last two count pairs that
    hold a word asked about. ``pairs`` are those of `pair_changes`, ``neurons`` those of `neuron_distances`. ``verbs``
    has ``layers, verb, kind, n_grew, n_shrank, share``, from which ``table3`` is made, ``kind`` being "instruction" for
    the words asked about and "general".

    ``verbs_name`` is what texts call the words asked about. These are ``verbs_present`` and, without any pair,
    ``verbs_missing``: those not in the vocabulary of ``n_words``, or not among its ``n_with_vector`` words that have a
    vector. ``n_general_missing`` counts such general words. ``neurons_base`` and ``neurons_tuned`` are the readings'
    own, and ``settings`` say how both were read. ``strengths`` are the pairs gained and lost, those that changed most
    over noise first; ``n_noise`` is the number of models with noise that were read, 0 for none: then both are empty.
    """

    base: str
    tuned: str
    verbs_name: str
    layers: tuple[int, ...]
    n_heads: int
    d_head: int
    n_words: int
    n_with_vector: int
    verbs_present: tuple[str, ...]
    verbs_missing: tuple[str, ...]
    n_general_missing: int
    settings: Mapping[str, Any]
    heads: pl.DataFrame
    pairs: pl.DataFrame
    neurons: pl.DataFrame
    verbs: pl.DataFrame
    figure2: tuple[Figure2Row, ...]
    depth: DepthTrend
    table3: tuple[Table3Row, ...]
    neurons_base: pl.DataFrame
    neurons_tuned: pl.DataFrame
    strengths: tuple[StrengthRow, ...] = ()
    n_noise: int = 0

    def distances(self, level: str = HEAD_LEVEL) -> tuple[Figure2Row, ...]:
        """The rows of figure 2 of a level, as read."""
        return tuple(row for row in self.figure2 if row.level == level and not row.is_control)

    def pooled_distance(self, level: str = HEAD_LEVEL) -> tuple[Figure2Row, tuple[Figure2Row, ...]]:
        """The row of figure 2 of all layers, as read, and those of its controls."""
        rows = [row for row in self.figure2 if row.level == level and row.pooled]
        (observed,) = (row for row in rows if not row.is_control)
        return observed, tuple(row for row in rows if row.is_control)

    def gaining_heads(self, min_pairs: int = 1) -> pl.DataFrame:
        """The rows of ``heads`` that gained at least so many pairs with a word asked about, most first."""
        gaining = self.heads.filter(pl.col("verbs_gained") >= min_pairs)
        return gaining.sort("verbs_gained", *HEAD, descending=[True, False, False])

    def neuron(self, layer: int, head: int, neuron: int) -> pl.DataFrame:
        """The word pairs of one neuron pair in either model: ``query_word, key_word, change, cosine`` (appendix F).

        Kept pairs first, then gained and lost ones, each by falling cosine. Raises `RunError` if it was not read.
        """
        self._check_neuron(layer, head, neuron)
        here = (pl.col("layer") == layer) & (pl.col("head") == head) & (pl.col("neuron") == neuron)
        own = [frame.filter(here).select(*ORDERED, "cosine") for frame in (self.neurons_base, self.neurons_tuned)]
        both = own[0].join(own[1], on=ORDERED, how="full", coalesce=True)
        cosine = pl.coalesce("cosine_right", "cosine")
        found = both.select(*ORDERED, change("cosine", "cosine_right"), cosine.alias("cosine"))
        order = pl.col("change").cast(pl.Enum(["kept", "gained", "lost"]))
        return found.sort(order, -pl.col("cosine"), *ORDERED)

    def to_polars(self) -> pl.DataFrame:
        """The rows of ``heads``, one for each head; distances are shares of pairs, 0 to 1. `tables` has the others."""
        return self.heads

    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name: ``heads, pairs, neurons, verbs, head_strengths, figure2, table3``.

        The last three have the columns of their rows (`Figure2Row`, `Table3Row`), a mean or an interval in columns of
        their own: ``distance_mean, interval_low``.
        """
        frames = {name: getattr(self, name) for name in ("heads", "pairs", "neurons", "verbs")}
        return frames | {table.name: table.frame for table in self._show().tables(self)}

    def to_dict(self) -> dict[str, Any]:
        """Figure 2, table 3, the depth trend and the rows of ``heads`` as plain JSON data, without ``pairs``."""
        data = {name: getattr(self, name) for name in PLAIN}
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("figure2", "table3", "strengths")}
        data |= rows | {"depth": asdict(self.depth), "heads": self.heads.to_dicts()}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.layers), "n_heads": self.n_heads}
        return {"base": self.base, "tuned": self.tuned} | sizes | {"verbs_name": self.verbs_name}

    def _check_neuron(self, layer: int, head: int, neuron: int) -> None:
        if layer in self.layers and head in range(self.n_heads) and neuron in range(self.d_head):
            return
        read = ", ".join(map(str, self.layers))
        raise RunError(
            f"Layer {layer}, head {head}, neuron pair {neuron} was not read. Ask for one of the layers {read}, heads 0 "
            f"to {self.n_heads - 1}, neuron pairs 0 to {self.d_head - 1}."
        )
