"""What does the page need to show the components of each feed-forward network, without growing heavy?

1. `strip_of`: one row of numbers for each network (a layer, or one expert of it); the page draws its strip from them.
2. `word_list`: every word of every component once, sorted; all else names a word by its place there.
3. `layer_payloads`: for each layer the components of its networks, column by column, each layer compressed on its own,
   so that a page opens a layer when it is asked for. A search opens all of them.
   Beside them stand the tuned components that are no best match, and the ranks of such base components.
4. Where an annotator described components, `with_descriptions` puts the description beside the words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.report.packing import packed, packed_words, rounded
from aftertune.runs.readable import visible

Concepts = Mapping[str, Any]

MEASURES = (
    *("mean_principal_angle", "mean_separated_angle", "mean_component_angle"),
    *("words_kept", "kept_in_order", "variance_kept"),
)
WORDS = ("words_base", "words_tuned")
P_VALUES = ("p_chance_base", "p_chance_tuned")
BEYOND = ("beyond_chance_base", "beyond_chance_tuned")
P_DIGITS = 2
DESCRIPTIONS = ("description_base", "description_tuned")
SHOWN = {"components": ("rank", "match_rank"), "new_components": ("match_rank", "rank")}
UNDESCRIBED = ""
NUMBERS = {"rank": 0, "match_rank": 0, "angle": 2, "gap": 4, "variance_share_base": 5, "variance_share_tuned": 5}


def concepts_view(concepts: Concepts, base: str, tuned: str, described: pl.DataFrame | None = None) -> dict[str, Any]:
    """All that the page's part on concepts draws from; ``described`` has the columns ``DESCRIBED`` of a report."""
    words = word_list(concepts)
    if described is not None:
        frames = {name: with_descriptions(concepts[name], described, ranks) for name, ranks in SHOWN.items()}
        concepts = {**concepts, **frames}
    return {
        "strip": strip_of(concepts) | {"models": {"base": base, "tuned": tuned}, "is_described": described is not None},
        "words": packed_words(words),
        "layers": {layer: packed(payload) for layer, payload in layer_payloads(concepts, words).items()},
    }


def strip_of(concepts: Concepts) -> dict[str, Any]:
    """Layers, experts, and for each network its numbers in the order of ``columns``."""
    columns = ["layer", "expert", *MEASURES]
    rows = [[rounded(row[name]) for name in columns] for row in concepts["networks"]]
    experts = sorted({row["expert"] for row in concepts["networks"]})
    return {"layers": list(concepts["layers"]), "experts": experts, "columns": columns, "rows": rows}


def word_list(concepts: Concepts) -> list[str]:
    """The words of all components, each once, sorted."""
    found = (concepts[name][side].explode().drop_nulls().unique() for side in WORDS for name in SHOWN)
    return sorted(set[str]().union(*found))


def layer_payloads(concepts: Concepts, words: Sequence[str]) -> dict[int, dict[int, dict[str, Any]]]:
    """By layer and expert what `_columns` gives of the base components, in the order of their rank.

    ``new`` has the same of the tuned components that are no best match, ``lost`` the ranks of such base components.
    """
    shown, new = (_by_network(concepts[name], words) for name in SHOWN)
    lost = concepts["lost_components"].sort("rank").partition_by("layer", "expert", as_dict=True)
    found: dict[int, dict[int, dict[str, Any]]] = {layer: {} for layer in concepts["layers"]}
    for network, own in shown.items():
        beside = _columns(new[network]) if network in new else None
        gone = lost[network]["rank"].to_list() if network in lost else []
        found[network[0]][network[1]] = _columns(own) | {"new": beside, "lost": gone}
    return found


def with_descriptions(components: pl.DataFrame, described: pl.DataFrame, ranks: Sequence[str]) -> pl.DataFrame:
    """Components with `DESCRIPTIONS` of what stands at the two ``ranks``, of base and of tuned.

    `UNDESCRIBED` where it could not be described, null where nobody was asked.
    """
    for name, rank, role in zip(DESCRIPTIONS, ranks, ("base", "tuned"), strict=True):
        own = described.filter(pl.col("role") == role).select(
            *("layer", "expert"), pl.col("rank").alias(rank), pl.col("description").fill_null(UNDESCRIBED).alias(name)
        )
        keys = ["layer", "expert", rank]
        alike = own.with_columns(pl.col(key).cast(components.schema[key]) for key in keys)
        components = components.join(alike, on=keys, how="left")
    return components


def _by_network(frame: pl.DataFrame, words: Sequence[str]) -> dict[Any, pl.DataFrame]:
    """The components of each network by rank, with the places of their words."""
    numbered = pl.element().cast(pl.Enum(words)).to_physical()
    placed = frame.sort("layer", "expert", "rank").with_columns(pl.col(WORDS).list.eval(numbered))
    return placed.partition_by("layer", "expert", as_dict=True, maintain_order=True)


def _columns(frame: pl.DataFrame) -> dict[str, Any]:
    """`NUMBERS`, `WORDS`, `P_VALUES`, `BEYOND`, and `DESCRIPTIONS` if any, each as a list."""
    numbers = {name: _shortened(frame[name], digits) for name, digits in NUMBERS.items()}
    words = {side: frame[side].to_list() for side in WORDS}
    said = {name: _readable(frame[name]) for name in DESCRIPTIONS if name in frame.columns}
    chance = {name: frame[name].round_sig_figs(P_DIGITS).to_list() for name in P_VALUES}
    return numbers | words | chance | {name: frame[name].to_list() for name in BEYOND} | said


def _readable(column: pl.Series) -> list[str | None]:
    return [text if text is None else visible(text) for text in column.to_list()]


def _shortened(column: pl.Series, digits: int) -> list[Any]:
    return [value if value is None or not digits else round(value, digits) for value in column.to_list()]
