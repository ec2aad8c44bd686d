"""What does the page need to show the components of each feed-forward network, without growing heavy?

1. `strip_of`: one row of numbers for each network (a layer, or one expert of it); the page draws its strip from them.
2. `word_list`: every word of every component once, sorted; all else names a word by its place there.
3. `layer_payloads`: for each layer the components of its networks, column by column, each layer compressed on its own,
   so that a page opens a layer when it is asked for. A search opens all of them.
4. Where an annotator described components, `with_descriptions` puts the description beside the words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from aftertune.report.packing import packed, packed_words, rounded
from aftertune.results.readable import visible

Concepts = Mapping[str, Any]

MEASURES = (
    *("mean_principal_angle", "mean_separated_angle", "mean_component_angle"),
    *("words_kept", "kept_in_order", "variance_kept"),
)
WORDS = ("words_base", "words_tuned")
DESCRIPTIONS = {"description_base": "rank", "description_tuned": "match_rank"}
UNDESCRIBED = ""
NUMBERS = {"rank": 0, "match_rank": 0, "angle": 2, "gap": 4, "variance_share_base": 5, "variance_share_tuned": 5}


def concepts_view(concepts: Concepts, base: str, tuned: str, described: pl.DataFrame | None = None) -> dict[str, Any]:
    """All that the page's part on concepts draws from; ``described`` has the columns ``DESCRIBED`` of a report."""
    words = word_list(concepts)
    if described is not None:
        concepts = {**concepts, "components": with_descriptions(concepts["components"], described)}
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
    found = (concepts["components"][side].explode().drop_nulls().unique() for side in WORDS)
    return sorted(set[str]().union(*found))


def layer_payloads(concepts: Concepts, words: Sequence[str]) -> dict[int, dict[int, dict[str, Any]]]:
    """By layer and expert the columns of `NUMBERS` and `WORDS`, and `DESCRIPTIONS` if any; components by rank."""
    numbered = pl.element().cast(pl.Enum(words)).to_physical()
    frame = concepts["components"].sort("layer", "expert", "rank").with_columns(pl.col(WORDS).list.eval(numbered))
    found: dict[int, dict[int, dict[str, Any]]] = {layer: {} for layer in concepts["layers"]}
    for (layer, expert), own in frame.partition_by("layer", "expert", as_dict=True, maintain_order=True).items():
        found[layer][expert] = _columns(own)
    return found


def with_descriptions(components: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Components with `DESCRIPTIONS`: of the component and of its match, `UNDESCRIBED` or null if never asked about."""
    for (name, rank), role in zip(DESCRIPTIONS.items(), ("base", "tuned"), strict=True):
        own = described.filter(pl.col("role") == role).select(
            *("layer", "expert"), pl.col("rank").alias(rank), pl.col("description").fill_null(UNDESCRIBED).alias(name)
        )
        keys = ["layer", "expert", rank]
        alike = own.with_columns(pl.col(key).cast(components.schema[key]) for key in keys)
        components = components.join(alike, on=keys, how="left")
    return components


def _columns(frame: pl.DataFrame) -> dict[str, Any]:
    numbers = {name: _shortened(frame[name], digits) for name, digits in NUMBERS.items()}
    words = {side: frame[side].to_list() for side in WORDS}
    said = {name: _readable(frame[name]) for name in DESCRIPTIONS if name in frame.columns}
    return numbers | words | said


def _readable(column: pl.Series) -> list[str | None]:
    return [text if text is None else visible(text) for text in column.to_list()]


def _shortened(column: pl.Series, digits: int) -> list[Any]:
    return [value if value is None or not digits else round(value, digits) for value in column.to_list()]
