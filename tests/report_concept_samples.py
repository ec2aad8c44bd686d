"""Concepts to report on: a few with odd words, and as many as a 7B model has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from aftertune.explainers.concepts.chance import ChanceRow
from aftertune.explainers.concepts.change import ConceptChange
from aftertune.explainers.concepts.explained_variance import Figure8Row
from aftertune.explainers.concepts.findings import describe_concepts
from aftertune.explainers.concepts.matches import CHANCE, NUMBERS, WORDS
from aftertune.explainers.concepts.network_rotation import NETWORKS, RotationRow, RotationTrend
from aftertune.explainers.concepts.result import COMPONENTS
from aftertune.explainers.concepts.show import section
from aftertune.report.page import Report
from aftertune.report.section import Section
from aftertune.statistics.spread import Spread
from report_head_samples import ODD_WORDS

MODELS = ("base-model", "tuned-model")
TYPES: dict[str, Any] = {
    **{"layer": pl.Int16, "expert": pl.Int16, "rank": pl.Int32, "match_rank": pl.Int32},
    **dict.fromkeys(NUMBERS[4:], pl.Float64),
    **dict.fromkeys(WORDS, pl.List(pl.String)),
    **dict.fromkeys(CHANCE[:2], pl.Float64),
    **dict.fromkeys(CHANCE[2:], pl.Boolean),
}
SETTINGS = {"n_components": 64, "n_words": 15, "words": {"source": "a <corpus>", "n": 20_000, "sha256": "0" * 64}}
Row = dict[str, Any]


def component_row(
    place: tuple[int, int, int], match: int | None, angle: float | None, base: list[str], tuned: list[str]
) -> Row:
    """A component (layer, expert, rank) and its match: over the rank, share of variance is 0.01 and gap 0.5.

    First components are beyond chance in the base model.
    """
    layer, expert, rank = place
    shares = {"variance_share_base": 0.01 / rank, "variance_share_tuned": None if match is None else 0.01 / match}
    before, after = ({word.lower() for word in words} for words in (base, tuned))
    gained, lost = ([word for word in tuned if word.lower() not in before], [w for w in base if w.lower() not in after])
    names = {"layer": layer, "expert": expert, "rank": rank, "match_rank": match, "angle": angle}
    names |= {"gap": None if angle is None else 0.5 / rank, "words_kept": 1 - len(lost) / len(base) if base else None}
    chance = {"p_chance_base": 1.234e-5 if rank == 1 else 0.5, "p_chance_tuned": None if match is None else 0.25}
    chance |= {"beyond_chance_base": rank == 1, "beyond_chance_tuned": None if match is None else False}
    words = {"words_base": base, "words_tuned": tuned, "words_gained": gained, "words_lost": lost}
    return names | shares | words | chance


def components_frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TYPES)


def network_row(layer: int, expert: int, angle: float | None, **changes: Any) -> Row:
    row = {
        **{"layer": layer, "expert": expert, "mean_principal_angle": None if angle is None else angle / 2},
        **{"largest_principal_angle": 40.0, "mean_component_angle": angle, "kept_in_order": 0.75},
        **{"variance_kept": 0.9, "variance_lost": 0.08, "share_base": 0.22, "share_tuned": 0.21, "words_kept": 0.625},
        **{"mean_separated_angle": None if angle is None else angle / 4, "n_separated": 6},
    }
    return row | changes


def networks_frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=NETWORKS)


def rotation_row(layers: str, angle: float = 12.5) -> RotationRow:
    return RotationRow(
        layers=layers,
        subspace_angle=Spread(2, angle / 2, 1.5),
        largest_angle=Spread(2, 40.0, 3.0),
        component_angle=Spread(2, angle, 3.25),
        component_angle_interval=(angle - 1, angle + 1.5),
        separated_angle=Spread(2, angle / 4, 0.5),
        n_separated=12,
        kept_in_order=Spread(2, 0.75, 0.05),
        variance_kept=Spread(2, 0.9, 0.025),
        words_kept=Spread(2, 0.6257, 0.1),
        words_kept_interval=(0.5512, 0.7),
        pooled=layers == "all",
    )


def chance_row(model: str, ranks: str, n: int, n_beyond: int) -> ChanceRow:
    return ChanceRow(model, ranks, n, 0.1625, 0.15, 0.125, n_beyond, n_beyond / n, ranks == "all")


def figure8_row(model: str, rank: int, mean: float | None, std: float | None = 0.03125) -> Figure8Row:
    return Figure8Row(model, rank, Spread(2, mean, std))


def sample_concepts(**changes: Any) -> ConceptChange:
    """Layers 0 and 3; layer 0 keeps odd words and rotates its second component, layer 3 has one without a match.

    The second tuned component of layer 0 is new; the second base components of both layers are lost.
    """
    components = [
        component_row((0, 0, 1), 1, 0.5, ODD_WORDS, ODD_WORDS),
        component_row((0, 0, 2), 7, 61.254, ["Write", "poem", "verse"], ["write", "solve", "Verse"]),
        component_row((3, 0, 1), 1, 30.0, ["code", "write"], ["code", "loop"]),
        component_row((3, 0, 2), None, None, [], []),
    ]
    tuned_components = [
        component_row((0, 0, 1), 1, 0.5, ODD_WORDS, ODD_WORDS),
        component_row((0, 0, 2), 1, 75.5, ODD_WORDS[:2], ["fresh", "verse"]),
        component_row((0, 0, 7), 1, 80.0, ODD_WORDS, ["write", "solve", "Verse"]),
        component_row((3, 0, 1), 1, 30.0, ["code", "write"], ["code", "loop"]),
    ]
    all_of_one = {**COMPONENTS, "p_chance": pl.Float64, "beyond_chance": pl.Boolean}
    values: Row = {
        **{"base": MODELS[0], "tuned": MODELS[1], "layers": (0, 3), "n_networks": 2, "n_components": 64},
        **{"d_model": 128, "n_words": 20_000, "settings": SETTINGS},
        "networks": networks_frame([network_row(0, 0, 30.87), network_row(3, 0, 15.0, words_kept=0.5)]),
        "components": components_frame(components),
        "tuned_components": components_frame(tuned_components),
        "components_base": pl.DataFrame(schema=all_of_one),
        "components_tuned": pl.DataFrame(schema=all_of_one),
        "rotation": (rotation_row("0"), rotation_row("3", 30.0), rotation_row("all", 20.0)),
        "figure8": tuple(
            figure8_row(model, rank, mean) for model in MODELS for rank, mean in ((1, 0.0625), (64, 0.5), (128, 1.0))
        ),
        "chance": tuple(chance_row(model, ranks, n, 1) for model in MODELS for ranks, n in (("1", 2), ("all", 4))),
        "trend": RotationTrend(2, 2, None, None, None, None),
    }
    return ConceptChange(**values | changes)


def expert_concepts() -> ConceptChange:
    """Two layers of three experts, and a dense one between them."""
    places = [(layer, expert) for layer in (0, 1, 2) for expert in range(1 if layer == 1 else 3)]
    components = components_frame(
        [component_row((*place, 1), 1, 5.0, ["write"], [f"other{sum(place)}"]) for place in places]
    )
    return sample_concepts(
        components=components,
        tuned_components=components,
        networks=networks_frame([network_row(*place, 10.0 + 10 * place[0] + place[1]) for place in places]),
        layers=(0, 1, 2),
        n_networks=len(places),
    )


def many_concepts(n_layers: int = 32, n_components: int = 300, n_words: int = 25_000) -> ConceptChange:
    """As large as a 7B model's: random words, of which the tuned components keep fewer in deeper layers."""
    generator = np.random.default_rng(0)
    words = np.array(["".join(chr(97 + d) for d in generator.integers(0, 26, 7)) for _ in range(n_words)])
    rows, mirrored, networks = list[Row](), list[Row](), list[Row]()
    for layer in range(n_layers):
        angles = np.clip(4 + 40 * layer / n_layers + 12 * generator.standard_normal(n_components), 0.2, 88)
        for rank, angle in enumerate(angles.tolist(), start=1):
            base = words[generator.integers(0, n_words, 15)]
            tuned = np.where(generator.random(15) < angle / 90, words[generator.integers(0, n_words, 15)], base)
            match = min(n_components, max(1, rank + round(generator.normal() * angle / 12)))
            rows.append(component_row((layer, 0, rank), match, angle, base.tolist(), tuned.tolist()))
            mirrored.append(component_row((layer, 0, match), rank, angle, base.tolist(), tuned.tolist()))
        networks.append(network_row(layer, 0, float(angles.mean()), words_kept=0.9 - layer / 80))
    accumulated = 1 - np.exp(-np.arange(1, 201) / 80)
    return sample_concepts(
        rotation=tuple(rotation_row(name, 10.0 + n) for n, name in enumerate(("0-7", "8-15", "16-23", "24-31", "all"))),
        figure8=tuple(
            figure8_row(model, 1 + 20 * n, share * less)
            for model, less in zip(MODELS, (1.0, 0.96), strict=True)
            for n, share in enumerate(accumulated.tolist())
        ),
        networks=networks_frame(networks),
        components=components_frame(rows),
        tuned_components=components_frame(mirrored),
        layers=tuple(range(n_layers)),
        n_networks=n_layers,
        n_components=n_components,
    )


def report_of(change: ConceptChange, *before: Section) -> Report:
    """A report on concepts, and on what other explainers say before."""
    return Report("What tuning changed", MODELS, [], describe_concepts(change), [*before, section(change)])
