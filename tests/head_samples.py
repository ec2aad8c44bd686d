"""Readings of heads whose lists are written out, for the tests of the comparison of heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.heads.result import CONTROL_NEURONS, CONTROLS, NEURONS, PAIRS, HeadReading

Pair = tuple[str, str]
Lists = Mapping[tuple[int, int], Sequence[Pair]]
NeuronLists = Mapping[tuple[int, int, int], Sequence[Pair]]
Draws = Mapping[tuple[str, int], Any]

WORDS = ("The", "write", "make", "run", "walk", "Tell", "tree", "stone", "river", "qqq")


def make_reading(
    model: str,
    pairs: Lists,
    neurons: NeuronLists | None = None,
    controls: Mapping[tuple[str, int], Lists] | None = None,
    control_neurons: Mapping[tuple[str, int], NeuronLists] | None = None,
    *,
    layers: Sequence[int] = (0, 1),
    n_heads: int = 2,
    d_head: int = 3,
    words: Sequence[str] = WORDS,
    without_vector: Sequence[str] = ("qqq",),
    settings: Mapping[str, Any] | None = None,
) -> HeadReading:
    """A reading from the lists of heads by (layer, head), of neuron pairs, and of controls by (name, draw)."""
    return HeadReading(
        model=model,
        layers=tuple(layers),
        n_layers=max(layers) + 1,
        n_heads=n_heads,
        d_head=d_head,
        words=tuple(words),
        has_vector=np.array([word not in without_vector for word in words]),
        settings=dict(settings or {"n_top": 100}),
        neurons=_frame(_neuron_rows(neurons or {}), NEURONS),
        pairs=_frame(_pair_rows(pairs), PAIRS),
        controls=_frame(_drawn(_pair_rows, controls or {}), CONTROLS),
        control_neurons=_frame(_drawn(lambda lists: _numbered(lists, words), control_neurons or {}), CONTROL_NEURONS),
    )


def _frame(rows: list[tuple[Any, ...]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def _pair_rows(lists: Lists) -> list[tuple[Any, ...]]:
    return [(*place, rank, a, b, 2) for place, pairs in lists.items() for rank, (a, b) in enumerate(pairs, 1)]


def _neuron_rows(lists: NeuronLists) -> list[tuple[Any, ...]]:
    """The cosine of a pair is made up from its words, so that it is the same in every reading."""
    return [(*place, 1, 1.0, q, k, len(q) / 8 + len(k) / 64) for place, pairs in lists.items() for q, k in pairs]


def _numbered(lists: NeuronLists, words: Sequence[str]) -> list[tuple[Any, ...]]:
    return [(*place, words.index(q), words.index(k)) for place, pairs in lists.items() for q, k in pairs]


def _drawn(rows_of: Any, draws: Draws) -> list[tuple[Any, ...]]:
    return [(*draw, *row) for draw, lists in draws.items() for row in rows_of(lists)]


def drawn_reading(
    model: str, words: Sequence[str], weights: Sequence[float], seed: int, control: Sequence[float] | None = None
) -> HeadReading:
    """A reading of 8 layers of 8 heads whose lists, and one draw of a control, are words drawn by their weights."""
    generator, places = np.random.default_rng(seed), [(layer, head) for layer in range(8) for head in range(8)]
    lists, permuted = (
        {place: _drawn_pairs(generator, own, words) for place in places} for own in (weights, control or weights)
    )
    shape: dict[str, Any] = {"layers": range(8), "n_heads": 8, "words": words, "without_vector": ()}
    return make_reading(model, lists, controls={("permuted", 0): permuted}, **shape)


def _drawn_pairs(generator: np.random.Generator, weights: Sequence[float], words: Sequence[str]) -> list[Pair]:
    drawn = generator.choice(len(words), (12, 2), p=np.array(weights) / np.sum(weights))
    return list(dict.fromkeys((words[min(pair)], words[max(pair)]) for pair in drawn.tolist() if pair[0] != pair[1]))
