"""What does the page need to show each attention head, without growing heavy?

1. `grid_of`: one row of numbers for each head; the page draws its grid from them at once.
2. `word_list`: every word of every list once, sorted; all else names a word by its place there.
3. `layer_payloads`: for each layer its heads' pairs, and the examples of neuron pairs, each layer compressed on its
   own, so that a page opens the layer of one head when it is asked for. A search opens all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.report.packing import packed, packed_words, rounded

Heads = Mapping[str, Any]

MEASURES = ("distance", "neuron_distance", "verbs_gained", "verbs_lost")
COUNTS = ("n_base", "n_tuned", "n_gained", "n_lost")
WORD_COLUMNS = {"pairs": ("word_a", "word_b"), "neurons": ("query_word", "key_word")}
N_EXAMPLES = 12


def heads_view(heads: Heads, base: str, tuned: str) -> dict[str, Any]:
    """All that the page's part on heads draws from."""
    words = word_list(heads)
    return {
        "grid": grid_of(heads) | {"models": {"base": base, "tuned": tuned}},
        "words": packed_words(words),
        "layers": {layer: packed(payload) for layer, payload in layer_payloads(heads, words).items()},
    }


def grid_of(heads: Heads) -> dict[str, Any]:
    """Layers, number of heads, and for each head its numbers in the order of ``columns``."""
    columns = ["layer", "head", *MEASURES, *COUNTS]
    rows = [[rounded(row[name]) for name in columns] for row in heads["heads"]]
    return {"asked": heads["asked"], "layers": list(heads["layers"]), "n_heads": heads["n_heads"]} | {
        "columns": columns,
        "rows": rows,
    }


def word_list(heads: Heads) -> list[str]:
    """The words of all pairs, each once, sorted."""
    found = (heads[frame][column].unique() for frame, columns in WORD_COLUMNS.items() for column in columns)
    return sorted(set[str]().union(*found))


def layer_payloads(heads: Heads, words: Sequence[str]) -> dict[int, dict[str, Any]]:
    """By layer: ``pairs`` and ``neurons`` of each head that has any, by the head's number."""
    pairs, neurons = (_by_layer(_numbered(heads[frame], WORD_COLUMNS[frame], words)) for frame in WORD_COLUMNS)
    return {
        layer: {
            "pairs": {head: _pairs(frame) for head, frame in pairs.get(layer, {}).items()},
            "neurons": {head: _neurons(frame) for head, frame in neurons.get(layer, {}).items()},
        }
        for layer in heads["layers"]
    }


def _numbered(frame: pl.DataFrame, columns: Sequence[str], words: Sequence[str]) -> pl.DataFrame:
    return frame.with_columns(pl.col(columns).cast(pl.Enum(words)).to_physical())


def _by_layer(frame: pl.DataFrame) -> dict[int, dict[int, pl.DataFrame]]:
    found: dict[int, dict[int, pl.DataFrame]] = {}
    for (layer, head), own in frame.partition_by("layer", "head", as_dict=True, maintain_order=True).items():
        found.setdefault(layer, {})[head] = own
    return found


def _pairs(frame: pl.DataFrame) -> dict[str, list[int]]:
    """The pairs of one head, column by column; a rank of 0 means that the pair is not in that model's list."""
    names = ("word_a", "word_b", "rank_base", "rank_tuned", "n_neurons_base", "n_neurons_tuned")
    return {name: frame[name].fill_null(0).to_list() for name in names}


def _neurons(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """One head's examples: of each neuron pair the gained and the lost word pairs of highest cosine, and how many."""
    return [_neuron(own) for own in frame.partition_by("neuron", maintain_order=True)]


def _neuron(frame: pl.DataFrame) -> dict[str, Any]:
    found = {"neuron": frame["neuron"][0], "distance": rounded(frame["distance"][0])}
    for change in ("gained", "lost"):
        own = frame.filter(pl.col("change") == change).sort("cosine", descending=True, maintain_order=True)
        shown = own.head(N_EXAMPLES).select("query_word", "key_word", pl.col("cosine").cast(pl.Float64).round(2))
        found |= {change: [list(row) for row in shown.iter_rows()], f"n_{change}": own.height}
    return found
