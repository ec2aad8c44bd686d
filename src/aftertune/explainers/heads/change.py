"""What was found between two readings of heads, and what can be asked of it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.heads.list_changes import HEAD, ORDERED, change
from aftertune.explainers.heads.rows import DepthTrend, Figure2Row, Table3Row
from aftertune.runs.frames import frame_of
from aftertune.runs.result import Result

PLAIN = (
    *("base", "tuned", "asked", "layers", "n_heads", "d_head", "n_words", "n_with_vector"),
    *("verbs_present", "verbs_missing", "n_general_missing"),
)


@dataclass(frozen=True, eq=False, repr=False)
class HeadChange(Result):
    """How the word pairs of heads differ between the models named ``base`` and ``tuned``.

    ``heads`` has a row for every head: ``layer, head, distance, neuron_distance, n_base, n_tuned, n_gained, n_lost,
    verbs_gained, verbs_lost``; a distance is null where neither model has a pair, and the last two count pairs that
    hold a word asked about. ``pairs`` are those of `pair_changes`, ``neurons`` those of `neuron_distances`. ``verbs``
    has ``layers, verb, kind, n_grew, n_shrank, share`` behind ``table3``, ``kind`` being "instruction" for the words
    asked about and "general".

    ``asked`` names the words asked about, which are ``verbs_present`` and, without any pair, ``verbs_missing``: those
    not in the vocabulary of ``n_words`` or not among its ``n_with_vector`` words with a vector. ``n_general_missing``
    counts such general words. ``neurons_base`` and ``neurons_tuned`` are the readings' own.
    """

    base: str
    tuned: str
    asked: str
    layers: tuple[int, ...]
    n_heads: int
    d_head: int
    n_words: int
    n_with_vector: int
    verbs_present: tuple[str, ...]
    verbs_missing: tuple[str, ...]
    n_general_missing: int
    heads: pl.DataFrame
    pairs: pl.DataFrame
    neurons: pl.DataFrame
    verbs: pl.DataFrame
    figure2: tuple[Figure2Row, ...]
    depth: DepthTrend
    table3: tuple[Table3Row, ...]
    neurons_base: pl.DataFrame
    neurons_tuned: pl.DataFrame

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
        """All tables by name: ``heads, pairs, neurons, verbs, figure2, table3``.

        The last two have the columns of their rows (`aftertune.explainers.heads.rows`), a mean, an interval or a control
        in columns of their own: ``distance_mean, interval_low, permuted_distance``.
        """
        frames = {name: getattr(self, name) for name in ("heads", "pairs", "neurons", "verbs")}
        return frames | {"figure2": frame_of(self.figure2, Figure2Row), "table3": frame_of(self.table3, Table3Row)}

    def to_dict(self) -> dict[str, Any]:
        """Figure 2, table 3, the depth trend and the rows of ``heads`` as plain JSON data, without ``pairs``."""
        data = {name: getattr(self, name) for name in PLAIN}
        rows = {name: [asdict(row) for row in getattr(self, name)] for name in ("figure2", "table3")}
        data |= rows | {"depth": asdict(self.depth), "heads": self.heads.to_dicts()}
        found: dict[str, Any] = json.loads(json.dumps(data, allow_nan=False))
        return found

    def _facts(self) -> dict[str, Any]:
        sizes = {"n_layers": len(self.layers), "n_heads": self.n_heads}
        return {"base": self.base, "tuned": self.tuned} | sizes | {"asked": self.asked}

    def _check_neuron(self, layer: int, head: int, neuron: int) -> None:
        if layer in self.layers and head in range(self.n_heads) and neuron in range(self.d_head):
            return
        read = ", ".join(map(str, self.layers))
        raise RunError(
            f"Layer {layer}, head {head}, neuron pair {neuron} was not read. Ask for one of the layers {read}, heads 0 "
            f"to {self.n_heads - 1}, neuron pairs 0 to {self.d_head - 1}."
        )
