"""Which words became more frequent in an annotator's descriptions, and which components are read most clearly?

Tables 7 to 10 (appendix D.2), over the descriptions of a group of layers, all repeats together.
1. The words of a description, lower-cased, a plural as its singular ("keys" as "key"); other forms stay ("describing"),
   as in the published tables. Hyphens hold words together, slashes part them.
2. Those of four letters or more that are no stop words, and of each its share among all such words of a model.
3. The words' ranks in each model, most frequent first, equal ones with the same rank; unused ones come last.

Tables 4, 11 and 12, the clearest components.
4. Those that were described in every repeat, at the same linguistic level and with the same scenarios.
5. If components are given: their words. Those whose words lie nearest along the component come first.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from aftertune.errors import RunError
from aftertune.explainers.annotation.marks import ROLES, LayerGroups, Marks
from aftertune.explainers.annotation.result import ANNOTATIONS, PLACE
from aftertune.words.stop_words import STOP_WORDS

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
LEAST_LETTERS = 4
WORDS = {
    **{"layers": pl.String, "word": pl.String, "n_base": pl.Int64, "n_tuned": pl.Int64},
    **dict.fromkeys(("frequency_base", "frequency_tuned", "change"), pl.Float64),
    **dict.fromkeys(("rank_base", "rank_tuned", "rank_change"), pl.Int64),
}
FROM_COMPONENTS: dict[str, Any] = {
    "variance_share": pl.Float64,
    "words": pl.List(pl.String),
    "cosines": pl.List(pl.Float32),
}


def description_words(base: Marks, tuned: Marks, groups: LayerGroups) -> pl.DataFrame:
    """``layers, word, n_base, n_tuned, frequency_base, frequency_tuned, change, rank_base, rank_tuned, rank_change``.

    A row for each group of layers and word of its descriptions. ``frequency`` is a share of the counted words of a
    model in that group, 0 where there is none; ``change`` is tuned - base; ``rank_change`` is positive where a word
    rose.
    """
    return pl.concat([_group(name, _counted(base, layers), _counted(tuned, layers)) for name, layers in groups.items()])


def words_of(description: str) -> Iterator[str]:
    """The words of a description that count, as often as they stand in it."""
    for found in WORD.findall(description.lower()):
        *before, last = found.split("-")
        word = "-".join([*before, _singular(last)])
        if len(word.replace("-", "")) >= LEAST_LETTERS and word not in STOP_WORDS:
            yield word


@cache
def _singular(word: str) -> str:
    import lemminflect

    return str(lemminflect.getAllLemmas(word, upos="NOUN").get("NOUN", (word,))[0])


def _counted(marks: Marks, layers: Sequence[int]) -> Counter[str]:
    inside = marks.answers.filter(pl.col("layer").is_in(list(layers)), pl.col("description").is_not_null())
    return Counter(word for description in inside["description"] for word in words_of(description))


def _group(name: str, base: Counter[str], tuned: Counter[str]) -> pl.DataFrame:
    rows = [(name, word, base[word], tuned[word]) for word in sorted(base | tuned)]
    found = pl.DataFrame(rows, schema={column: WORDS[column] for column in list(WORDS)[:4]}, orient="row")
    ranks = {f"rank_{of}": pl.col(f"n_{of}").rank("min", descending=True).cast(pl.Int64) for of in ("base", "tuned")}
    totals = {"base": max(1, base.total()), "tuned": max(1, tuned.total())}
    frequencies = {f"frequency_{of}": pl.col(f"n_{of}") / total for of, total in totals.items()}
    return (
        found.with_columns(**ranks, **frequencies)
        .with_columns(
            change=pl.col("frequency_tuned") - pl.col("frequency_base"),
            rank_change=pl.col("rank_base") - pl.col("rank_tuned"),
        )
        .select(*WORDS)
    )


def clearest_components(models: Sequence[Marks], components: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
    """``model, layer, expert, rank, description, descriptions, scenarios, level, variance_share, words, cosines``.

    ``description`` is that of the first repeat, ``descriptions`` has all of them. ``components`` are those of the
    readings, by role; without them the last three columns are null. A model's rows go by falling mean |cosine|, then
    by layer, expert and rank. Raises `RunError` if components lack a model or a column.
    """
    _must_be_components(components)
    given = [None if components is None else components[role] for role in ROLES]
    return pl.concat([_clear(marks, own) for marks, own in zip(models, given, strict=True)])


def _must_be_components(components: Mapping[str, pl.DataFrame] | None) -> None:
    needed = {*PLACE, *FROM_COMPONENTS}
    for role in ROLES if components is not None else ():
        lacking = needed - set(components[role].columns if components and role in components else ())
        if lacking:
            raise RunError(
                f"The components of {role} lack {', '.join(sorted(lacking))}. Give the `components` of a reading of "
                "base and of one of tuned."
            )


def _clear(marks: Marks, components: pl.DataFrame | None) -> pl.DataFrame:
    same = [(marked == 1).all(axis=1) | (marked == 0).all(axis=1) for marked in marks.marked.values()]
    kept = marks.components.filter(np.logical_and.reduce(same))
    found = _described(marks, kept)
    if components is None:
        empty = [pl.lit(None, kind).alias(name) for name, kind in FROM_COMPONENTS.items()]
        return found.with_columns(empty)
    kinds = {name: ANNOTATIONS[name] for name in PLACE} | FROM_COMPONENTS
    own = components.select(pl.col(name).cast(kind) for name, kind in kinds.items())
    joined = found.join(own, on=PLACE, how="left", maintain_order="left")
    nearness = pl.col("cosines").list.eval(pl.element().abs()).list.mean()
    return joined.sort(nearness, descending=True, nulls_last=True, maintain_order=True)


def _described(marks: Marks, kept: pl.DataFrame) -> pl.DataFrame:
    """One row for each component that was described in all repeats."""
    own = marks.answers.join(kept, on=PLACE, how="semi", maintain_order="left")
    return (
        own.filter(pl.col("description").is_not_null())
        .group_by(PLACE, maintain_order=True)
        .agg(
            description=pl.col("description").first(),
            descriptions=pl.col("description"),
            scenarios=pl.col("scenarios").first(),
            level=pl.col("level").first(),
        )
        .select(pl.lit(marks.model).alias("model"), pl.all())
    )
