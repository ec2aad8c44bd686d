"""Changes of attention heads to report on: a few with odd words, and as many as a 7B model has."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.heads import HeadExplainer
from aftertune.explainers.heads.change import DepthTrend, Figure2Row, HeadChange, Table3Row
from aftertune.report.page import Report
from aftertune.statistics.questions import answer
from aftertune.statistics.spread import Spread

ODD_WORDS = [
    "</script><script>alert('no')</script>",
    "<!--",
    "a\u202eb\x00c",
    "a⟨U+202E⟩b␀c",
    "اكتب",
    "x" * 10_000,
    "write",
    "writer",
    "solve",
    "poem",
    "",
]
PAIR_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "word_a": pl.String, "word_b": pl.String, "change": pl.String},
    **{"rank_base": pl.Int32, "rank_tuned": pl.Int32, "n_neurons_base": pl.Int32, "n_neurons_tuned": pl.Int32},
}
NEURON_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "neuron": pl.Int16, "distance": pl.Float64},
    **{"n_base": pl.Int64, "n_tuned": pl.Int64, "n_gained": pl.Int64, "n_lost": pl.Int64},
}
LIST_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "neuron": pl.Int16},
    **{"query_word": pl.String, "key_word": pl.String, "cosine": pl.Float32},
}
HEAD_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "distance": pl.Float64, "neuron_distance": pl.Float64},
    **dict.fromkeys(("n_base", "n_tuned", "n_gained", "n_lost", "verbs_gained", "verbs_lost"), pl.Int64),
}
SETTINGS = {
    "words": {"source": "a <corpus>", "n": 20_000},
    "vectors": {"source": "GloVe"},
    "plan": {"n_pairs": 100, "n_draws": 5},
}


def pair_row(layer: int, head: int, words: tuple[str, str], ranks: tuple[int | None, int | None]) -> dict[str, Any]:
    """A word pair of one head by its ranks under base and tuned; its number of neuron pairs is rank + 1."""
    base, tuned = ranks
    return {
        **{"layer": layer, "head": head, "word_a": words[0], "word_b": words[1]},
        "change": "gained" if base is None else "lost" if tuned is None else "kept",
        **{"rank_base": base, "rank_tuned": tuned},
        "n_neurons_base": None if base is None else base + 1,
        "n_neurons_tuned": None if tuned is None else tuned + 1,
    }


def head_row(layer: int, head: int, distance: float | None, **counts: int) -> dict[str, Any]:
    wide = None if distance is None else round((1 + distance) / 2, 6)
    names = {"layer": layer, "head": head, "distance": distance, "neuron_distance": wide}
    return names | {name: counts.get(name, 0) for name in HEAD_TYPES if name not in names}


def figure2_rows(level: str, layers: str, mean: float) -> list[Figure2Row]:
    """The lists as read, and two controls."""
    pooled, spread = layers == "all", Spread(8, mean, 0.1)
    rows = [Figure2Row(level, layers, pooled, "as read", spread, (mean - 0.04, mean + 0.05))]
    for name, less in (("permuted", 0.125), ("frequency-matched", 0.0625)):
        interval = (less - 0.02, less + 0.02)
        rows.append(Figure2Row(level, layers, pooled, name, Spread(8, mean - less, 0.1), None, less, interval, 0.001))
    return rows


def table3_rows(layers: str, **changes: Any) -> list[Table3Row]:
    """The lists as read, and two controls."""
    row = Table3Row(
        layers=layers,
        pooled=layers == "all",
        lists="as read",
        instruction=Spread(21, 0.6596, 0.2696),
        general=Spread(812, 0.4961, 0.3189),
        difference=0.1635,
        difference_interval=(-0.0123, 0.2941),
        p_value=0.005,
        p_value_holm=0.02,
        p_value_permutation=1.2e-5,
        p_value_permutation_holm=4.8e-5,
        matched=0.5123,
        p_value_matched=0.031,
        effect_size_g=0.515,
    )
    shares = Spread(20, 0.51, 0.25), Spread(800, 0.5, 0.3)
    controls = [
        Table3Row(layers, layers == "all", name, *shares, 0.01, p_value=p)
        for name, p in (("permuted", 0.81), ("frequency-matched", 0.0212))
    ]
    return [replace(row, **changes), *controls]


def sample_heads(**changes: Any) -> HeadChange:
    """Layers 0 and 3 with three heads: (0, 0) kept odd words, (0, 1) gained, (3, 0) lost its one, (3, 2) has none.

    Head (3, 1) is not there.
    """
    odd = [pair_row(0, 0, (word, "poem"), (n + 1, n + 1)) for n, word in enumerate(ODD_WORDS)]
    pairs = [
        *odd,
        pair_row(0, 1, ("poem", "write"), (1, 2)),
        pair_row(0, 1, ("solve", "write"), (None, 1)),
        pair_row(0, 1, ("solve", "writer"), (None, 3)),
        pair_row(3, 0, ("poem", "write"), (1, None)),
    ]
    gained = [(0, 1, 17, "solve", f"other{n}", 0.9 - n / 100) for n in range(15)]
    heads = [
        head_row(0, 0, 0.0, n_base=len(ODD_WORDS), n_tuned=len(ODD_WORDS)),
        head_row(0, 1, 0.625, n_base=1, n_tuned=3, n_gained=2, verbs_gained=2),
        head_row(0, 2, 0.25, n_base=0, n_tuned=0),
        head_row(3, 0, 1.0, n_base=1, n_lost=1, verbs_lost=1),
        head_row(3, 2, None),
    ]
    values = {
        **{"base": "base-model", "tuned": "tuned-model", "verbs_name": "instruction verbs", "settings": SETTINGS},
        **{"layers": (0, 3), "n_heads": 3, "d_head": 64, "n_words": 20_000, "n_with_vector": 18_311},
        **{"verbs_present": ("write",), "verbs_missing": ("demonstrate", "<b>"), "n_general_missing": 7},
        "heads": pl.DataFrame(heads, schema=HEAD_TYPES),
        "pairs": pl.DataFrame(pairs, schema=PAIR_TYPES),
        "neurons": pl.DataFrame([(0, 1, 17, 0.75, 1, 15, 15, 1)], schema=NEURON_TYPES, orient="row"),
        "neurons_base": pl.DataFrame([(0, 1, 17, "write", "Poem", 0.5)], schema=LIST_TYPES, orient="row"),
        "neurons_tuned": pl.DataFrame(gained, schema=LIST_TYPES, orient="row"),
        "verbs": pl.DataFrame({"layers": ["all"], "verb": ["write"]}),
        "figure2": figure2_of(("0", 0.5), ("3", 0.5), ("all", 0.5)),
        "table3": tuple(row for layers in ("0", "3", "all") for row in table3_rows(layers)),
        "depth": DepthTrend(2, 4, 0.45, 0.0312, ()),
    }
    return HeadChange(**(values | changes))


def figure2_of(*groups: tuple[str, float]) -> tuple[Figure2Row, ...]:
    levels = product(("head", "neuron pair"), groups)
    return tuple(row for level, (layers, mean) in levels for row in figure2_rows(level, layers, mean))


def head_report(change: HeadChange) -> Report:
    """A report on heads alone."""
    found, models = answer(HeadExplainer().questions(change)), (change.base, change.tuned)
    return Report("A base & its <tuned> child", models, (), found, (HeadExplainer().section(change),))


def many_heads(n_layers: int = 32, n_heads: int = 32, n_pairs: int = 100, n_words: int = 20_000) -> HeadChange:
    """As large as a 7B model's: random lists, of which the tuned model keeps fewer in deeper layers."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(chr(97 + d) for d in generator.integers(0, 26, 7)) for _ in range(n_words)])
    pairs, heads, neurons, lists = [], [], [], ([], [])
    for layer, head in product(range(n_layers), range(n_heads)):
        kept = int(n_pairs * np.clip(0.9 - 0.6 * layer / n_layers + 0.2 * generator.normal(), 0, 1))
        lost = n_pairs - kept
        ranks = np.arange(1, n_pairs + 1)
        base = np.concatenate([ranks[:kept], ranks[kept:], np.zeros(lost, int)])
        tuned = np.concatenate([generator.permutation(ranks)[:kept], np.zeros(lost, int), ranks[kept:]])
        drawn = np.sort(generator.zipf(1.3, (n_pairs + lost, 2)) % n_words, axis=1)
        pairs.append(_pairs(layer, head, words[drawn], base, tuned))
        counts = {"n_base": n_pairs, "n_tuned": n_pairs, "n_gained": lost, "n_lost": lost}
        heads.append(
            head_row(layer, head, 1 - kept / (n_pairs + lost), verbs_gained=int(generator.poisson(2)), **counts)
        )
        for neuron in sorted(generator.choice(128, 3, replace=False).tolist()):
            neurons.append((layer, head, neuron, 0.9, 10, 10, 10, 10))
            for side in lists:
                side.append(_list(layer, head, neuron, words[generator.integers(0, n_words, (10, 2))], generator))
    groups = tuple((name, 0.4 + n / 20) for n, name in enumerate(("0-7", "8-15", "16-23", "24-31", "all")))
    return sample_heads(
        figure2=figure2_of(*groups),
        table3=tuple(row for layers, _ in groups for row in table3_rows(layers)),
        heads=pl.DataFrame(heads, schema=HEAD_TYPES),
        pairs=pl.concat(pairs),
        neurons=pl.DataFrame(neurons, schema=NEURON_TYPES, orient="row"),
        **{f"neurons_{role}": pl.concat(side) for role, side in zip(("base", "tuned"), lists, strict=True)},
        layers=tuple(range(n_layers)),
        n_heads=n_heads,
    )


def _pairs(layer: int, head: int, words: np.ndarray, base: np.ndarray, tuned: np.ndarray) -> pl.DataFrame:
    change = np.where(base == 0, "gained", np.where(tuned == 0, "lost", "kept"))
    ranks = [[int(rank) or None for rank in side] for side in (base, tuned)]
    counts = [[None if rank is None else 2 + 40 // rank for rank in side] for side in ranks]
    columns = [[layer] * len(words), [head] * len(words), *words.T.tolist(), change.tolist(), *ranks, *counts]
    return pl.DataFrame(dict(zip(PAIR_TYPES, columns, strict=True)), schema=PAIR_TYPES)


def _list(layer: int, head: int, neuron: int, words: np.ndarray, generator: np.random.Generator) -> pl.DataFrame:
    size = len(words)
    columns = ([layer] * size, [head] * size, [neuron] * size, *words.T.tolist(), generator.random(size).tolist())
    return pl.DataFrame(dict(zip(LIST_TYPES, columns, strict=True)), schema=LIST_TYPES).unique(maintain_order=True)
