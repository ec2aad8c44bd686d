"""Which word pairs did tuning keep, add and remove?  (Paper 5.1: what figure 2 and table 3 rest on.)

1. The distance of two lists A and B: 1 - |A and B| / |A or B|. A head's list is its top word pairs, unordered; a
   neuron pair's list has ordered pairs, query word and key word. Two empty lists have no distance.
2. A head's distance at the level of neuron pairs is the mean over its neuron pairs with a distance.
3. The distances of a control are the same, averaged over its draws.
4. Each pair of a list is kept, gained or lost.
"""

from collections.abc import Sequence

import polars as pl

from aftertune.explainers.heads.result import HeadReading

HEAD = ("layer", "head")
NEURON = (*HEAD, "neuron")
UNORDERED, ORDERED, NUMBERED = ("word_a", "word_b"), ("query_word", "key_word"), ("query", "key")
COUNTS = ("n_base", "n_tuned", "n_gained", "n_lost")
Names = tuple[str, ...]


def list_distances(base: pl.DataFrame, tuned: pl.DataFrame, place: Names, pair: Names) -> pl.DataFrame:
    """The distance of the lists of each ``place`` that has a word pair in either model, in the order of places.

    Frames have the columns of ``place``, with a layer, and of ``pair``, no row twice. The answer has ``place``,
    ``distance, n_base, n_tuned, n_gained, n_lost``.
    """
    layers = pl.concat([base["layer"], tuned["layer"]]).unique().sort()
    # Layer by layer: one join of all rows of a large model would take gigabytes, and longer.
    parts = [_overlaps(*_of_layer(base, tuned, layer), place, pair) for layer in layers]
    counts = pl.concat([_overlaps(base.clear(), tuned.clear(), place, pair), *parts])
    n_base, n_tuned, n_kept = (pl.col(name) for name in ("n_base", "n_tuned", "n_kept"))
    return counts.select(
        *place,
        (1 - n_kept / (n_base + n_tuned - n_kept)).alias("distance"),
        "n_base",
        "n_tuned",
        (n_tuned - n_kept).alias("n_gained"),
        (n_base - n_kept).alias("n_lost"),
    ).sort(place)


def neuron_distances(base: HeadReading, tuned: HeadReading) -> pl.DataFrame:
    """``layer, head, neuron, distance, n_base, n_tuned, n_gained, n_lost`` of each neuron pair with a word pair."""
    return list_distances(base.neurons, tuned.neurons, NEURON, ORDERED)


def head_distances(base: HeadReading, tuned: HeadReading, neurons: pl.DataFrame) -> pl.DataFrame:
    """``layer, head, distance, neuron_distance, n_base, n_tuned, n_gained, n_lost`` of every head that was read.

    ``neurons`` is that of `neuron_distances`. Where neither model has a word pair a distance is null.
    """
    lists = list_distances(base.pairs, tuned.pairs, HEAD, UNORDERED)
    of_neurons = neurons.group_by(HEAD).agg(neuron_distance=pl.col("distance").mean())
    types = base.pairs.schema
    layers = pl.DataFrame({"layer": base.layers}, schema={"layer": types["layer"]})
    every = layers.join(pl.DataFrame({"head": range(base.n_heads)}, schema={"head": types["head"]}), how="cross")
    found = every.join(lists, on=HEAD, how="left").join(of_neurons, on=HEAD, how="left").sort(HEAD)
    return found.select(*HEAD, "distance", "neuron_distance", pl.col(COUNTS).fill_null(0))


def control_distances(base: HeadReading, tuned: HeadReading) -> dict[str, pl.DataFrame]:
    """Each control's ``layer, head, distance, neuron_distance`` of the heads that have one, averaged over draws."""
    names = pl.concat([base.controls["control"], base.control_neurons["control"]]).unique(maintain_order=True)
    return {name: _control(name, base, tuned) for name in names}


def noise_distances(base: HeadReading, noise: Sequence[HeadReading]) -> pl.DataFrame | None:
    """``layer, head, distance, neuron_distance`` of the base from itself with noise, averaged over draws."""
    if not noise:
        return None
    every = pl.concat([head_distances(base, one, neuron_distances(base, one)) for one in noise])
    means = every.group_by(HEAD).agg(pl.col("distance", "neuron_distance").mean())
    return means.sort(HEAD)


def pair_changes(base: pl.DataFrame, tuned: pl.DataFrame) -> pl.DataFrame:
    """Every word pair of a head's list in either model, those of the tuned model first, by rank.

    ``layer, head, word_a, word_b, change, rank_base, rank_tuned, n_neurons_base, n_neurons_tuned``; ``change`` is
    "kept", "gained" or "lost", and what the model without the pair would say is null.
    """
    place = [*HEAD, *UNORDERED]
    both = _side(base, place, "base").join(_side(tuned, place, "tuned"), on=place, how="full", coalesce=True)
    columns = [f"{name}_{model}" for name in ("rank", "n_neurons") for model in ("base", "tuned")]
    found = both.select(*place, change("rank_base", "rank_tuned"), *columns)
    return found.sort(*HEAD, "rank_tuned", "rank_base", nulls_last=True)


def holds(words: Sequence[str]) -> pl.Expr:
    """Whether a word pair holds one of the words."""
    return pl.col("word_a").is_in(list(words)) | pl.col("word_b").is_in(list(words))


def change(base: str, tuned: str) -> pl.Expr:
    """The ``change`` of a row, from a column of each model that is null where it lacks the pair."""
    return (
        pl.when(pl.col(base).is_null())
        .then(pl.lit("gained"))
        .when(pl.col(tuned).is_null())
        .then(pl.lit("lost"))
        .otherwise(pl.lit("kept"))
        .alias("change")
    )


def _control(name: str, base: HeadReading, tuned: HeadReading) -> pl.DataFrame:
    own = pl.col("control") == name
    lists = base.controls.filter(own), tuned.controls.filter(own)
    neurons = base.control_neurons.filter(own), tuned.control_neurons.filter(own)
    of_draws = list_distances(*lists, ("draw", *HEAD), UNORDERED)
    of_neurons = list_distances(*neurons, ("draw", *NEURON), NUMBERED)
    of_lists = of_draws.group_by(HEAD).agg(pl.col("distance").mean())
    of_heads = of_neurons.group_by("draw", *HEAD).agg(pl.col("distance").mean())
    of_heads = of_heads.group_by(HEAD).agg(neuron_distance=pl.col("distance").mean())
    return of_lists.join(of_heads, on=HEAD, how="full", coalesce=True).sort(HEAD)


def _of_layer(base: pl.DataFrame, tuned: pl.DataFrame, layer: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    return base.filter(pl.col("layer") == layer), tuned.filter(pl.col("layer") == layer)


def _overlaps(base: pl.DataFrame, tuned: pl.DataFrame, place: Names, pair: Names) -> pl.DataFrame:
    """How many pairs each place has in either model, and in both."""
    both = base.select(*place, *pair).join(tuned.select(*place, *pair), on=[*place, *pair])
    frames = {"n_base": base, "n_tuned": tuned, "n_kept": both}
    counts = [frame.group_by(place).agg(pl.len().cast(pl.Int64).alias(name)) for name, frame in frames.items()]
    found = counts[0].join(counts[1], on=place, how="full", coalesce=True).join(counts[2], on=place, how="left")
    return found.with_columns(pl.col(*frames).fill_null(0))


def _side(pairs: pl.DataFrame, place: list[str], model: str) -> pl.DataFrame:
    return pairs.select(*place, pl.col("rank", "n_neurons").name.suffix(f"_{model}"))
