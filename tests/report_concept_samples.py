"""Concepts to report on: a few with odd words, and as many as a 7B model has."""

from typing import Any

import numpy as np
import polars as pl

from report_head_samples import ODD_WORDS

MODELS = ("base-model", "tuned-model")
COMPONENT_TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "expert": pl.Int16, "rank": pl.Int32, "match_rank": pl.Int32, "angle": pl.Float64},
    "gap": pl.Float64,
    **{"variance_share_base": pl.Float64, "variance_share_tuned": pl.Float64, "words_kept": pl.Float64},
    **{"words_base": pl.List(pl.String), "words_tuned": pl.List(pl.String)},
    **{"p_chance_base": pl.Float64, "p_chance_tuned": pl.Float64},
    **{"beyond_chance_base": pl.Boolean, "beyond_chance_tuned": pl.Boolean},
}


def component_row(
    place: tuple[int, int, int], match: int | None, angle: float | None, base: list[str], tuned: list[str]
) -> dict[str, Any]:
    """A component (layer, expert, rank) and its match: over the rank, share of variance is 0.01 and gap 0.5.

    First components are beyond chance in the base model.
    """
    layer, expert, rank = place
    shares = {"variance_share_base": 0.01 / rank, "variance_share_tuned": None if match is None else 0.01 / match}
    has = {word.lower() for word in tuned}
    kept = sum(word.lower() in has for word in base) / len(base) if base else None
    names = {"layer": layer, "expert": expert, "rank": rank, "match_rank": match, "angle": angle}
    names |= {"gap": None if angle is None else 0.5 / rank}
    chance = {"p_chance_base": 1.234e-5 if rank == 1 else 0.5, "p_chance_tuned": None if match is None else 0.25}
    chance |= {"beyond_chance_base": rank == 1, "beyond_chance_tuned": None if match is None else False}
    return names | shares | {"words_kept": kept, "words_base": base, "words_tuned": tuned} | chance


def network_row(layer: int, expert: int, angle: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        **{"layer": layer, "expert": expert, "mean_principal_angle": None if angle is None else angle / 2},
        **{"largest_principal_angle": 40.0, "mean_component_angle": angle, "kept_in_order": 0.75},
        "mean_separated_angle": None if angle is None else angle / 4,
        **{"variance_kept": 0.9, "variance_lost": 0.08, "share_base": 0.22, "share_tuned": 0.21, "words_kept": 0.625},
    }
    return row | changes


def spread(mean: float | None, std: float | None = 0.05, n: int = 2) -> dict[str, Any]:
    return {"n": n, "mean": mean, "std": std}


def rotation_row(layers: str, angle: float = 12.5, **changes: Any) -> dict[str, Any]:
    row = {
        **{"layers": layers, "subspace_angle": spread(angle / 2, 1.5), "largest_angle": spread(40.0, 3.0)},
        **{"component_angle": spread(angle, 3.25), "component_angle_interval": (angle - 1, angle + 1.5)},
        **{"separated_angle": spread(angle / 4, 0.5), "n_separated": 12},
        **{"kept_in_order": spread(0.75), "variance_kept": spread(0.9, 0.025), "words_kept": spread(0.6257, 0.1)},
        **{"words_kept_interval": (0.5512, 0.7), "pooled": layers == "all"},
    }
    return row | changes


def chance_row(model: str, ranks: str, n: int, n_beyond: int) -> dict[str, Any]:
    row = {"model": model, "ranks": ranks, "n": n, "nearest": 0.1625, "nearest_by_chance": 0.15, "near": 0.125}
    return row | {"n_beyond": n_beyond, "beyond": n_beyond / n, "pooled": ranks == "all"}


def frame_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COMPONENT_TYPES)


def figure8_row(model: str, rank: int, mean: float) -> dict[str, Any]:
    return {"model": model, "rank": rank, "accumulated": spread(mean, 0.03125)}


def sample_concepts(**changes: Any) -> dict[str, Any]:
    """Layers 0 and 3; layer 0 keeps odd words and turns in its second component, layer 3 has one without a match.

    The second tuned component of layer 0 is new; the second base component of that layer is lost.
    """
    components = [
        component_row((0, 0, 1), 1, 0.5, ODD_WORDS, ODD_WORDS),
        component_row((0, 0, 2), 7, 61.254, ["Write", "poem", "verse"], ["write", "solve", "Verse"]),
        component_row((3, 0, 1), 1, 30.0, ["code", "write"], ["code", "loop"]),
        component_row((3, 0, 2), None, None, [], []),
    ]
    values = {
        "rotation": [rotation_row("0"), rotation_row("3", 30.0), rotation_row("all", 20.0)],
        "figure8": [
            figure8_row(model, rank, mean) for model in MODELS for rank, mean in ((1, 0.0625), (64, 0.5), (128, 1.0))
        ],
        "chance": [chance_row(model, ranks, n, 1) for model in MODELS for ranks, n in (("1", 2), ("all", 4))],
        "networks": [network_row(0, 0, 30.87), network_row(3, 0, 15.0, words_kept=0.5)],
        "components": frame_of(components),
        "new_components": frame_of([component_row((0, 0, 2), 1, 75.5, ODD_WORDS[:2], ["fresh", "verse"])]),
        "lost_components": frame_of(components[1:2]),
        **{"n_words": 20_000, "words_source": "a <corpus>", "layers": (0, 3), "n_components": 64},
        "settings": {"n_words_each": 15},
    }
    return values | changes


def expert_concepts() -> dict[str, Any]:
    """Two layers of three experts, and a dense one between them."""
    places = [(layer, expert) for layer in (0, 1, 2) for expert in range(1 if layer == 1 else 3)]
    components = [component_row((*place, 1), 1, 5.0, ["write"], [f"other{sum(place)}"]) for place in places]
    networks = [network_row(layer, expert, 10.0 + 10 * layer + expert) for layer, expert in places]
    return sample_concepts(components=frame_of(components), networks=networks, layers=(0, 1, 2), **none_unmatched())


def none_unmatched() -> dict[str, Any]:
    return {"new_components": frame_of([]), "lost_components": frame_of([])}


def many_concepts(n_layers: int = 32, n_components: int = 300, n_words: int = 25_000) -> dict[str, Any]:
    """As large as a 7B model's: random words, of which the tuned components keep fewer in deeper layers."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(chr(97 + d) for d in generator.integers(0, 26, 7)) for _ in range(n_words)])
    rows, networks = [], []
    for layer in range(n_layers):
        turned = np.clip(4 + 40 * layer / n_layers + 12 * generator.standard_normal(n_components), 0.2, 88)
        for rank, angle in enumerate(turned.tolist(), start=1):
            base = words[generator.integers(0, n_words, 15)]
            tuned = np.where(generator.random(15) < angle / 90, words[generator.integers(0, n_words, 15)], base)
            match = min(n_components, max(1, rank + round(generator.normal() * angle / 12)))
            rows.append(component_row((layer, 0, rank), match, angle, base.tolist(), tuned.tolist()))
        networks.append(network_row(layer, 0, float(turned.mean()), words_kept=0.9 - layer / 80))
    accumulated = 1 - np.exp(-np.arange(1, 201) / 80)
    return sample_concepts(
        rotation=[rotation_row(name, 10.0 + n) for n, name in enumerate(("0-7", "8-15", "16-23", "24-31", "all"))],
        figure8=[
            figure8_row(model, 1 + 20 * n, share * less)
            for model, less in (("base-model", 1.0), ("tuned-model", 0.96))
            for n, share in enumerate(accumulated.tolist())
        ],
        networks=networks,
        components=frame_of(rows),
        **none_unmatched(),
        **{"layers": tuple(range(n_layers)), "n_components": n_components},
    )
