"""Attention heads to report on: a few with odd words, and as many as a 7B model has."""

from typing import Any

import numpy as np
import polars as pl

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


def neuron_row(layer: int, head: int, words: tuple[str, str], change: str, cosine: float) -> dict[str, Any]:
    names = ("layer", "head", "neuron", "distance", "query_word", "key_word", "change", "cosine")
    return dict(zip(names, (layer, head, 17, 0.75, *words, change, cosine), strict=True))


PAIR_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "word_a": pl.String, "word_b": pl.String, "change": pl.String},
    **{"rank_base": pl.Int32, "rank_tuned": pl.Int32, "n_neurons_base": pl.Int32, "n_neurons_tuned": pl.Int32},
}
NEURON_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "head": pl.Int16, "neuron": pl.Int16, "distance": pl.Float64},
    **{"query_word": pl.String, "key_word": pl.String, "change": pl.String, "cosine": pl.Float32},
}


def frame_of(rows: Any, types: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=types)


def head_row(layer: int, head: int, distance: float | None, **counts: int) -> dict[str, Any]:
    names = ("n_base", "n_tuned", "n_gained", "n_lost", "verbs_gained", "verbs_lost")
    wide = None if distance is None else round((1 + distance) / 2, 6)
    return {"layer": layer, "head": head, "distance": distance, "neuron_distance": wide} | {
        name: counts.get(name, 0) for name in names
    }


def figure2_row(level: str, layers: str, mean: float, pooled: bool = False) -> dict[str, Any]:
    controls = [
        {"control": name, "distance": mean - less, "excess": less, "excess_interval": (less - 0.02, less + 0.02)}
        for name, less in (("permuted", 0.125), ("frequency-matched", 0.0625))
    ]
    return {
        **{"level": level, "layers": layers, "distance": {"n": 8, "mean": mean, "std": 0.1}},
        **{"interval": (mean - 0.04, mean + 0.05), "controls": controls, "pooled": pooled},
    }


def table3_row(layers: str, **changes: Any) -> dict[str, Any]:
    controls = [
        {"control": name, "instruction": 0.51, "general": 0.5, "difference": 0.01, "p_value": p}
        for name, p in (("permuted", 0.81), ("frequency-matched", 0.0212))
    ]
    row = {
        **{"layers": layers, "instruction": {"n": 21, "mean": 0.6596, "std": 0.2696}},
        **{"general": {"n": 812, "mean": 0.4961, "std": 0.3189}, "difference": 0.1635},
        **{"difference_interval": (-0.0123, 0.2941), "p_value": 0.005, "p_value_holm": 0.02},
        **{"p_value_permutation": 1.2e-5, "p_value_permutation_holm": 4.8e-5, "matched": 0.5123},
        **{"p_value_matched": 0.031, "effect_size_g": 0.515, "controls": controls, "pooled": False},
    }
    return row | changes


def sample_heads(**changes: Any) -> dict[str, Any]:
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
    neurons = [neuron_row(0, 1, ("solve", f"other{n}"), "gained", 0.9 - n / 100) for n in range(15)]
    neurons.append(neuron_row(0, 1, ("write", "Poem"), "lost", 0.5))
    values = {
        "figure2": [figure2_row(level, name, 0.5) for level in ("head", "neuron pair") for name in ("0", "3")],
        "table3": [table3_row("0"), table3_row("3", p_value_holm=None), table3_row("all", pooled=True)],
        "asked": "instruction verbs",
        "verbs_missing": ["demonstrate", "<b>"],
        "heads": [
            head_row(0, 0, 0.0, n_base=len(ODD_WORDS), n_tuned=len(ODD_WORDS)),
            head_row(0, 1, 0.625, n_base=1, n_tuned=3, n_gained=2, verbs_gained=2),
            head_row(0, 2, 0.25, n_base=0, n_tuned=0),
            head_row(3, 0, 1.0, n_base=1, n_lost=1, verbs_lost=1),
            head_row(3, 2, None),
        ],
        "pairs": frame_of(pairs, PAIR_TYPES),
        "neurons": frame_of(neurons, NEURON_TYPES),
        "depth": {"n_layers": 2, "n_heads": 4, "correlation": 0.45, "p_value": 0.0312, "controls": []},
        **{"n_words": 20_000, "n_with_vector": 18_311, "words_source": "a <corpus>", "vectors_source": "GloVe"},
        **{"layers": (0, 3), "n_heads": 3, "settings": {"n_neurons_least": 2, "n_draws": 5}},
    }
    return values | changes


def many_heads(n_layers: int = 32, n_heads: int = 32, n_pairs: int = 100, n_words: int = 20_000) -> dict[str, Any]:
    """As large as a 7B model's: random lists, of which the tuned model keeps fewer in deeper layers."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(chr(97 + d) for d in generator.integers(0, 26, 7)) for _ in range(n_words)])
    pairs: dict[str, list[Any]] = {name: [] for name in PAIR_TYPES}
    neurons: dict[str, list[Any]] = {name: [] for name in NEURON_TYPES}
    rows = []
    for place in range(n_layers * n_heads):
        layer, head = divmod(place, n_heads)
        kept = int(n_pairs * np.clip(0.9 - 0.6 * layer / n_layers + 0.2 * generator.normal(), 0, 1))
        lost = n_pairs - kept
        ranks = np.arange(1, n_pairs + 1)
        base = np.concatenate([ranks[:kept], ranks[kept:], np.zeros(lost, int)])
        tuned = np.concatenate([generator.permutation(ranks)[:kept], np.zeros(lost, int), ranks[kept:]])
        count = n_pairs + lost
        drawn = np.sort(generator.zipf(1.3, (count, 2)) % n_words, axis=1)
        _extend(pairs, _pair_columns(layer, head, words[drawn], base, tuned))
        size = 60
        _extend(neurons, _neuron_columns(layer, head, words[generator.integers(0, n_words, (size, 2))], generator))
        distance = 1 - kept / count
        rows.append(head_row(layer, head, distance, n_base=n_pairs, n_tuned=n_pairs, n_gained=lost, n_lost=lost))
    names = ("0-7", "8-15", "16-23", "24-31", "all")
    return sample_heads(
        figure2=[
            figure2_row(level, name, 0.4 + n / 20) for level in ("head", "neuron pair") for n, name in enumerate(names)
        ],
        table3=[table3_row(name) for name in names],
        heads=[row | {"verbs_gained": int(generator.poisson(2))} for row in rows],
        pairs=frame_of(pairs, PAIR_TYPES),
        neurons=frame_of(neurons, NEURON_TYPES),
        layers=tuple(range(n_layers)),
        n_heads=n_heads,
    )


def _pair_columns(layer: int, head: int, words: np.ndarray, base: np.ndarray, tuned: np.ndarray) -> dict[str, Any]:
    change = np.where(base == 0, "gained", np.where(tuned == 0, "lost", "kept"))
    ranks = [[int(rank) or None for rank in side] for side in (base, tuned)]
    counts = [[None if rank is None else 2 + 40 // rank for rank in side] for side in ranks]
    columns = [[layer] * len(words), [head] * len(words), *words.T.tolist(), change.tolist(), *ranks, *counts]
    return dict(zip(PAIR_TYPES, columns, strict=True))


def _neuron_columns(layer: int, head: int, words: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    size = len(words)
    neuron = np.repeat(np.sort(generator.choice(128, 3, replace=False)), size // 3)
    change = np.where(np.arange(size) % 2, "gained", "lost")
    numbers = (neuron.tolist(), [0.9] * size, *words.T.tolist(), change.tolist(), generator.random(size).tolist())
    return dict(zip(NEURON_TYPES, ([layer] * size, [head] * size, *numbers), strict=True))


def _extend(columns: dict[str, list[Any]], more: dict[str, Any]) -> None:
    for name, values in more.items():
        columns[name] += values
