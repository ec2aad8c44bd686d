"""What does the page need to show the components of each feed-forward network, without growing heavy?

1. `strip_of`: one row of numbers for each network (a layer, or one expert of it); the page draws its strip from them.
2. `word_list`: every word of every component once, sorted; all else names a word by its place there.
3. `blocks_of`: for each layer the components of its networks, column by column, each layer compressed on its own, so
   that a page opens a layer when it is asked for. A search opens all of them.
   Beside them stand the tuned components that are no best match, and the ranks of such base components.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.result import Network
from aftertune.report.packing import packed, packed_words, rounded

MEASURES = (
    *("mean_principal_angle", "mean_separated_angle", "mean_component_angle"),
    *("words_kept", "kept_in_order", "variance_kept"),
)
WORDS = ("words_base", "words_tuned")
P_VALUES = ("p_chance_base", "p_chance_tuned")
BEYOND = ("beyond_chance_base", "beyond_chance_tuned")
P_DIGITS = 2
NUMBERS = {"rank": 0, "match_rank": 0, "angle": 2, "gap": 4, "variance_share_base": 5, "variance_share_tuned": 5}

Columns = dict[str, Any]


def strip_of(change: ConceptChange) -> dict[str, Any]:
    """The models, layers and experts, and for each network its numbers in the order of ``columns``."""
    columns = ["layer", "expert", *MEASURES]
    return {
        "models": {"base": change.base, "tuned": change.tuned},
        "layers": list(change.layers),
        "experts": change.networks["expert"].unique().sort().to_list(),
        "columns": columns,
        "rows": [[rounded(value) for value in row] for row in change.networks.select(columns).iter_rows()],
    }


def blocks_of(change: ConceptChange) -> dict[str, str]:
    """The words, and what `layer_columns` gives of each layer, packed, by the ids of their elements."""
    words = word_list(change)
    layers = layer_columns(change, words)
    return {"concept-words": packed_words(words)} | {f"concept-layer-{at}": packed(one) for at, one in layers.items()}


def word_list(change: ConceptChange) -> list[str]:
    """The words of all components, each once, sorted."""
    frames = (change.components, change.new_components())
    found = (frame[side].explode().drop_nulls().unique() for side in WORDS for frame in frames)
    return sorted(set[str]().union(*found))


def layer_columns(change: ConceptChange, words: Sequence[str]) -> dict[int, dict[int, Columns]]:
    """By layer and expert what `_columns` gives of the base components, in the order of their rank.

    ``new`` has the same of the tuned components that are no best match, ``lost`` the ranks of such base components.
    """
    shown, new = (_by_network(frame, words) for frame in (change.components, change.new_components()))
    lost = change.lost_components().sort("rank").partition_by("layer", "expert", as_dict=True)
    found: dict[int, dict[int, Columns]] = {layer: {} for layer in change.layers}
    for network, own in shown.items():
        beside = _columns(new[network]) if network in new else None
        gone = lost[network]["rank"].to_list() if network in lost else []
        found[network[0]][network[1]] = _columns(own) | {"new": beside, "lost": gone}
    return found


def _by_network(frame: pl.DataFrame, words: Sequence[str]) -> dict[Network, pl.DataFrame]:
    """The components of each network by rank, with the places of their words."""
    numbered = pl.element().cast(pl.Enum(words)).to_physical()
    placed = frame.sort("layer", "expert", "rank").with_columns(pl.col(WORDS).list.eval(numbered))
    parts = placed.partition_by("layer", "expert", as_dict=True, maintain_order=True)
    return {(int(layer), int(expert)): part for (layer, expert), part in parts.items()}


def _columns(frame: pl.DataFrame) -> Columns:
    """`NUMBERS`, `WORDS`, `P_VALUES` and `BEYOND`, each as a list."""
    numbers = {name: _shortened(frame[name], digits) for name, digits in NUMBERS.items()}
    words = {side: frame[side].to_list() for side in WORDS}
    chance = {name: frame[name].round_sig_figs(P_DIGITS).to_list() for name in P_VALUES}
    return numbers | words | chance | {name: frame[name].to_list() for name in BEYOND}


def _shortened(column: pl.Series, digits: int) -> list[Any]:
    return [value if value is None or not digits else round(value, digits) for value in column.to_list()]
