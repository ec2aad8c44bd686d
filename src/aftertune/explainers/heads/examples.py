"""Which neuron pairs of each head changed most, and in what?  (Appendix F: "distilled" neurons.)"""

import polars as pl

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.list_changes import HEAD, NEURON, ORDERED, change


def most_changed(heads: HeadChange, n: int) -> pl.DataFrame:
    """The word pairs of the ``n`` neuron pairs of each head that gained and lost most, by head and neuron pair.

    Columns ``layer, head, neuron, distance, query_word, key_word, change, cosine``.
    """
    changed = heads.neurons.with_columns(n_changed=pl.col("n_gained") + pl.col("n_lost")).filter(
        pl.col("n_changed") > 0
    )
    order = changed.sort("n_changed", *NEURON, descending=[True, False, False, False])
    chosen = order.group_by(HEAD, maintain_order=True).head(n).select(*NEURON, "distance")
    base, tuned = (
        frame.join(chosen, on=NEURON, how="semi").select(*NEURON, *ORDERED, "cosine")
        for frame in (heads.neurons_base, heads.neurons_tuned)
    )
    both = base.join(tuned, on=[*NEURON, *ORDERED], how="full", coalesce=True)
    words = both.select(
        *(*NEURON, *ORDERED),
        change("cosine", "cosine_right"),
        pl.coalesce("cosine_right", "cosine").alias("cosine"),
    )
    found = chosen.join(words, on=NEURON).sort(*NEURON, "change", -pl.col("cosine"), *ORDERED)
    return found.select(*NEURON, "distance", *ORDERED, "change", "cosine")
