"""Which word pairs gained or lost changed most in the weights, over noise of the same size?

A pair enters or leaves a head's list where a word or a similarity crosses a limit, which noise brings about too. So
pairs are ranked by how far tuning changed the head's response to them, x' W_q W_k' y, in units of what noise changes.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from aftertune.explainers.heads.change import StrengthRow
from aftertune.explainers.heads.list_changes import HEAD, UNORDERED, pair_changes
from aftertune.explainers.named import Named

NUMBERS = ("base", "tuned", "noise", "scale")
N_PAIRS_NAMED = 3  # of a head


def strength_rows(
    draws: Sequence[pl.DataFrame], base: pl.DataFrame, tuned: pl.DataFrame, brings: Mapping[int, float | None]
) -> tuple[StrengthRow, ...]:
    """The pairs gained and lost, those that changed most over noise first; none without a draw of noise.

    ``draws`` are the strengths of each draw (`STRENGTHS`), ``base`` and ``tuned`` the lists, ``brings`` what the
    attention of a layer brings by itself.
    """
    if not draws:
        return ()
    scale = (pl.concat(draws).group_by(*HEAD, *UNORDERED).agg(pl.col("scale").pow(2).mean().sqrt())).sort(*HEAD)
    moved = pair_changes(base, tuned).filter(pl.col("change") != "kept").select(*HEAD, *UNORDERED, "change")
    place = [*HEAD, *UNORDERED]
    found = moved.join(draws[0].drop("scale"), on=place).join(scale, on=place)
    times = pl.when(pl.col("scale") > 0).then((pl.col("tuned") - pl.col("base")) / pl.col("scale"))
    a, b, turned = pl.col("word_a"), pl.col("word_b"), pl.col("is_turned")
    named = found.select(
        *HEAD,
        pl.when(turned).then(b).otherwise(a).alias("query_word"),
        pl.when(turned).then(a).otherwise(b).alias("key_word"),
        "change",
        "base",
        "tuned",
        noise=pl.col("noise") - pl.col("base"),
        scale="scale",
        times_noise=times,
    )
    ordered = named.sort(pl.col("times_noise").abs(), *HEAD, "query_word", "key_word", descending=[True] + 4 * [False])
    return tuple(StrengthRow(**row, brings=brings.get(row["layer"])) for row in ordered.iter_rows(named=True))


def named_heads(rows: Sequence[StrengthRow]) -> list[Named]:
    """The heads of the pairs gained, each once with its first pairs, in the order of ``rows``."""
    found = dict[tuple[int, int], list[str]]()
    for row in rows:
        if row.change == "gained" and row.times_noise is not None:
            found.setdefault((row.layer, row.head), []).append(f"{row.query_word} → {row.key_word}")
    return [
        Named("head", layer, "attention", head, 1, tuple(pairs[:N_PAIRS_NAMED]))
        for (layer, head), pairs in found.items()
    ]
