"""What does the page need to show each attention head, without growing heavy?

1. `grid_of`: one row of numbers for each head; the page draws its grid from them at once.
2. `word_list`: every word of every list once, sorted; all else names a word by its place there.
3. `layer_payloads`: for each layer its heads' pairs, and the neuron pairs that changed most (appendix F: "distilled"
   neurons), each layer compressed on its own, so that a page opens the layer of one head when it is asked for. A search
   opens all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.explainers.heads.change import HeadChange
from aftertune.explainers.heads.list_changes import HEAD, NEURON, ORDERED, UNORDERED, change
from aftertune.report.packing import packed, packed_words, rounded

MEASURES = ("distance", "neuron_distance", "verbs_gained", "verbs_lost")
COUNTS = ("n_base", "n_tuned", "n_gained", "n_lost")
NUMBERS = ("rank_base", "rank_tuned", "n_neurons_base", "n_neurons_tuned")
EXAMPLE, MOVED = ("neuron", "distance", *ORDERED, "cosine", "change"), ("gained", "lost")
N_NEURONS, N_EXAMPLES = 3, 12
ByHead = Mapping[int, pl.DataFrame]


def grid_of(heads: HeadChange) -> dict[str, Any]:
    """The models, layers, number of heads, and for each head its numbers in the order of ``columns``."""
    columns = ["layer", "head", *MEASURES, *COUNTS]
    return {
        "asked": heads.verbs_name,
        "models": {"base": heads.base, "tuned": heads.tuned},
        "layers": list(heads.layers),
        "n_heads": heads.n_heads,
        "columns": columns,
        "rows": [[rounded(value) for value in row] for row in heads.heads.select(columns).iter_rows()],
    }


def blocks_of(heads: HeadChange) -> dict[str, str]:
    """The words, and what there is of each layer, packed, by the ids of their elements in the page."""
    neurons = most_changed(heads, N_NEURONS)
    words = word_list(heads.pairs, neurons)
    layers = layer_payloads(heads, neurons, words)
    return {"head-words": packed_words(words)} | {f"head-layer-{n}": packed(own) for n, own in layers.items()}


def word_list(pairs: pl.DataFrame, neurons: pl.DataFrame) -> list[str]:
    """The words of all pairs, each once, sorted."""
    columns = [*(pairs[name] for name in UNORDERED), *(neurons[name] for name in ORDERED)]
    return sorted(set[str]().union(*(column.unique() for column in columns)))


def layer_payloads(heads: HeadChange, neurons: pl.DataFrame, words: Sequence[str]) -> dict[int, dict[str, Any]]:
    """By layer: ``pairs`` and ``neurons`` of each head that has any, by the head's number."""
    lists = _by_layer(_numbered(heads.pairs, UNORDERED, words).with_columns(pl.col(NUMBERS).fill_null(0)))
    shown = pl.col("cosine").cast(pl.Float64).round(2)
    examples = _by_layer(_numbered(neurons, ORDERED, words).with_columns(shown))
    return {
        layer: {
            "pairs": {head: _pairs(frame) for head, frame in lists.get(layer, {}).items()},
            "neurons": {head: _neurons(frame) for head, frame in examples.get(layer, {}).items()},
        }
        for layer in heads.layers
    }


def most_changed(heads: HeadChange, n: int) -> pl.DataFrame:
    """Tables 13 and 14: word pairs of the ``n`` neuron pairs of each head that gained and lost most (appendix F).

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
    cosine = pl.coalesce("cosine_right", "cosine")
    words = both.select(*NEURON, *ORDERED, change("cosine", "cosine_right"), cosine.alias("cosine"))
    found = chosen.join(words, on=NEURON).sort(*NEURON, "change", -pl.col("cosine"), *ORDERED)
    return found.select(*NEURON, "distance", *ORDERED, "change", "cosine")


def _numbered(frame: pl.DataFrame, columns: Sequence[str], words: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(pl.col(columns).cast(pl.Enum(words)).to_physical())


def _by_layer(frame: pl.DataFrame) -> dict[int, ByHead]:
    found: dict[int, dict[int, pl.DataFrame]] = {}
    for (layer, head), own in frame.partition_by(*HEAD, as_dict=True, maintain_order=True).items():
        found.setdefault(layer, {})[head] = own
    return {**found}


def _pairs(frame: pl.DataFrame) -> dict[str, list[int]]:
    """The pairs of one head, column by column; a rank of 0 means that the pair is not in that model's list."""
    return {name: frame[name].to_list() for name in (*UNORDERED, *NUMBERS)}


def _neurons(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """One head's examples: of each neuron pair the gained and the lost word pairs of highest cosine, and how many.

    Row by row: a question to a frame takes longer than all of a neuron pair's rows, and there are thousands of these.
    """
    found: dict[int, dict[str, Any]] = {}
    for neuron, distance, *row, moved in frame.select(*EXAMPLE).iter_rows():
        if neuron not in found:
            about = {"neuron": neuron, "distance": rounded(distance)}
            found[neuron] = about | {"gained": [], "n_gained": 0, "lost": [], "n_lost": 0}
        if moved in MOVED:
            own = found[neuron]
            own[f"n_{moved}"] += 1
            if own[f"n_{moved}"] <= N_EXAMPLES:
                own[moved].append(row)
    return list(found.values())
